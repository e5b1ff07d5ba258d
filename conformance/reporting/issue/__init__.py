"""Write a reproducer as the text of an issue for the upstream project: ``python -m conformance issue``."""
