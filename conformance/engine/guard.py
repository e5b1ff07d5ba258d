"""Keep what an adapter's objects raise apart from errors of the suite.

A law reads an adapter's results after the call, and an object of the adapter's may raise then.
"""

from __future__ import annotations

import os
import re
import sysconfig
from collections.abc import Callable
from functools import wraps
from traceback import walk_tb
from typing import Any

import numpy as np

import reference
from conformance.engine.compare import Failed, signature
from conformance.engine.text import one_line

PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
OURS = (PACKAGE, *(os.path.join(os.path.dirname(module.__file__ or ""), "") for module in (reference, np)))
ADAPTERS = re.compile(r"backends/|specifications/\w+/faults/")  # in the package; their code is an adapter's
PYTHON, INSTALLED = sysconfig.get_path("stdlib"), re.compile(r"/(site|dist)-packages/")


def guarded(law: Callable[[Any], None]) -> Callable[[Any], None]:
    """Return the law; an exception from code that is neither the suite's nor the law's becomes Failed."""
    folder = os.path.join(os.path.dirname(law.__code__.co_filename), "")

    @wraps(law)
    def judged(trial: Any) -> None:
        try:
            law(trial)
        except Exception as error:
            if isinstance(error, Failed) or not _from_outside(error, folder):
                raise
            what = f"{type(error).__name__}: {one_line(error)}"
            failure = Failed(f"what the backend returned raised {what}")
            failure.raised = signature(what)
            raise failure from error

    return judged


def _from_outside(error: BaseException, folder: str) -> bool:
    """Return whether other code was running than the suite's, NumPy's, Python's and that in a folder."""
    return any(is_outside(frame.f_code.co_filename, folder) for frame, _ in walk_tb(error.__traceback__))


def is_outside(place: str, folder: str) -> bool:
    """Return whether code of that place is neither the suite's, NumPy's, Python's nor in a folder."""
    if place.startswith(PACKAGE):
        return ADAPTERS.match(place.removeprefix(PACKAGE)) is not None
    if not os.path.isabs(place) or place.startswith((*OURS, folder)):  # <frozen importlib...>
        return False
    return not place.startswith(PYTHON) or INSTALLED.search(place) is not None
