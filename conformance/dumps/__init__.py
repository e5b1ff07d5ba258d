"""Dumps: recorded calls as data, with a verdict and an explanation that need no backend."""

from conformance.dumps.explanation import Explanation, explain
from conformance.dumps.files import BrokenDump

__all__ = ["BrokenDump", "Explanation", "explain"]
