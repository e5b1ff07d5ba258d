"""The specifications that the suite can use: the packages below this one, and entry points of installed packages.

A specification is a package whose attribute ``SPECIFICATION`` is the value. Another distribution registers its value in
the entry-point group ``rnn_conformance.specifications``.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from conformance import registry
from conformance.engine.specification import Specification

FIRST = "torch_nn"  # the first in reports: a reader of a report may know this one alone
GROUP = "rnn_conformance.specifications"


class UnknownSpecification(Exception):
    """An unknown name of a specification, or a broken registration; the message is one sentence."""


@cache
def every() -> dict[str, Specification]:
    """Return every specification by its name, this package's own first. Raises UnknownSpecification."""
    names = sorted((module.name for module in pkgutil.iter_modules(__path__)), key=lambda name: (name != FIRST, name))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    found = [module.SPECIFICATION for module in modules]
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            found.append(point.load())
        except Exception as error:
            raise UnknownSpecification(
                f"specification {point.name!r} cannot be imported from {point.value} "
                f"({type(error).__name__}: {' '.join(str(error).split())}): correct or uninstall that package."
            ) from None
    by_name: dict[str, Specification] = {}
    for specification in found:
        if not isinstance(specification, Specification):
            kind = type(specification).__name__
            raise UnknownSpecification(f"a registered specification is of type {kind}: register a Specification.")
        if specification.name in by_name:
            raise UnknownSpecification(f"two specifications are named {specification.name!r}: uninstall one of them.")
        by_name[specification.name] = specification
    return by_name


def named(name: str) -> Specification:
    """Return the specification with a name. Raises UnknownSpecification."""
    known = every()
    if name not in known:
        raise UnknownSpecification(f"specification {name!r} is unknown: give one of {', '.join(known)}.")
    return known[name]


def spoken_by(backend: Any) -> list[Specification]:
    """Return the specifications that a backend can be put to."""
    return [specification for specification in every().values() if specification.view(backend) is not None]


def _adapters() -> registry.Adapters:
    return {adapter: claims for specification in every().values() for adapter, claims in specification.adapters.items()}


def backend(name: str) -> Any:
    """Import and build the backend with a name. Raises UnknownBackend."""
    return registry.backend(name, _adapters())


def built(name: str, found: Any) -> Any:
    """Return the backend that an object is or builds; messages call it by the name. Raises UnknownBackend."""
    return registry.built(name, found, _adapters())


def adapted(backend: Any, specification: Specification) -> Any:
    """Return the specification's view of a backend. Raises UnknownBackend for a backend of another class."""
    view = specification.view(backend)
    if view is None:
        raise registry.UnknownBackend(
            f"backend {backend.name!r} is no {specification.adapter.__name__}: "
            f"it cannot be put to the specification {specification.name}."
        )
    return view


def view(name: str, specification: str) -> Any:
    """Return the specification's view of the backend with a name, for scripts. Raises UnknownBackend."""
    return adapted(backend(name), named(specification))
