"""The version of the suite, which is the distribution's."""

__version__ = "0.1.0"
