"""The version of the suite and of its distribution."""

__version__ = "0.1.0"
