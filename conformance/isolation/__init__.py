"""Backends in separate processes."""
