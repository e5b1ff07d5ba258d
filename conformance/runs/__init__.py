"""Runs, from their settings to their findings."""
