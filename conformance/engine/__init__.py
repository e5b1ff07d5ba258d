"""Checks, the drawing of their examples, and their verdicts, for any specification."""
