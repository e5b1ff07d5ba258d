"""A module that cannot be imported, for tests/hostile.py."""

raise ValueError("no driver")
