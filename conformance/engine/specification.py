"""A specification as a value: all that the suite knows about the documentation of one family of operators."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from conformance.engine.form import Call, Form
from reference.catalogue import Catalogue, Requirement
from reference.precision import Arithmetic


class Claims(Protocol):
    """The claims of a backend about a specification."""

    kinds: Any
    dtypes: Any

    def claims(self, feature: str) -> bool:
        """Return whether a boolean feature is claimed. Raises ValueError for an unknown name."""

    def arithmetic(self, kind: str, dtype: str) -> Arithmetic:
        """Return how the backend rounds."""

    def as_json(self) -> dict[str, Any]:
        """Return the claims as JSON data."""


class KnownFault(Protocol):
    """A known departure from the documentation, which diagnosis compares with the backend."""

    @property
    def id(self) -> str:
        """The name, unique in the bank."""

    @property
    def explanation(self) -> str:
        """The end of the sentence "These are the numbers of ..."."""

    @property
    def family(self) -> str:
        """The family: two faults of the same family are not combined."""

    @property
    def common(self) -> bool:
        """Whether diagnosis also tries it in pairs."""

    @property
    def build(self) -> Callable[[], Any]:
        """A function that builds a backend with the fault."""


def claims_of(features: Any, kind: str) -> Any:
    """Return the claims for one kind, where the claims of a specification can differ by kind (a method ``of``)."""
    return features.of(kind) if hasattr(features, "of") else features


def every_claim(features: Any) -> Hashable:
    """Return the claims: examples depend on all of them."""
    return features


def to_every(claims: Any, requirement: Requirement, kind: str) -> bool:
    """Return True."""
    return True


def no_faults(kind: str) -> Sequence[KnownFault]:
    """Return no faults."""
    return ()


def no_dialects(kind: str, claimed: Sequence[str]) -> Sequence[KnownFault]:
    """Return no faults."""
    return ()


def no_claim(fault: str, kind: str) -> str:
    """Return no words."""
    return ""


def no_composition(a: KnownFault, b: KnownFault) -> Any:
    """Raise ValueError: two faults of this specification cannot be combined."""
    raise ValueError(f"{a.id} and {b.id} do not go together")


def as_it_is(backend: Any) -> Any:
    """Return the backend."""
    return backend


def no_plan(data: Mapping[str, Any], kind: str, dtype: str) -> Any:
    """Raise KeyError: calls of this specification are not stored as plans."""
    raise KeyError("plan")


class Bridge(NamedTuple):
    """Another class of backends that a specification takes, by a view of each as an adapter."""

    adapter: type[Any]
    features: type[Any]
    """The class of such a backend's claims."""
    view: Callable[[Any], Any]
    """Returns the view of a backend, the same one each time; None if its claims are not about the specification."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Specification:
    """One documentation, its requirements, and the ways to put a backend to them."""

    name: str
    """The name in reports and after ``--specification``: ``torch.nn``."""
    documentation: str
    """The address of the documentation."""
    catalogue: Catalogue
    dtypes: tuple[str, ...]
    features: type[Any]
    """The class of a backend's claims."""
    call_features: frozenset[str]
    """The features that a single call can use; the others are claims about the backend as a whole."""
    forms: tuple[Form, ...]
    suite: str
    """The package whose modules ``test_...`` hold the checks."""
    adapter: type[Any]
    """The class of the backends that this specification can be put to."""
    oracle: Callable[[], Any]
    """Builds a right backend."""
    bridges: tuple[Bridge, ...] = ()
    """Other classes of backends that it can be put to."""
    adapt: Callable[[Any], Any] = as_it_is
    """Returns a view of a backend with the methods that the forms call and with claims of the class ``features``."""
    speaks_to: Callable[[Any, Requirement, str], bool] = to_every
    """Returns whether a requirement speaks to a backend with these claims, which have the features that it needs, for
    a kind."""
    faults: Callable[[str], Sequence[KnownFault]] = no_faults
    """Returns the known faults that touch a kind."""
    dialects: Callable[[str, Sequence[str]], Sequence[KnownFault]] = no_dialects
    """``dialects(kind, claimed)``: the documented equations of a kind other than those claimed, as faults."""
    claim_of: Callable[[str, str], str] = no_claim
    """``claim_of(fault, kind)``: the claim that makes the fault with this id right, in words; empty if none does."""
    compose: Callable[[KnownFault, KnownFault], Any] = no_composition
    """Builds a backend with two faults. Raises ValueError if they cannot be combined."""
    drawn_from: Callable[[Any], Hashable] = every_claim
    """Returns the part of a backend's claims on which drawn examples depend."""
    planned: Callable[[Mapping[str, Any], str, str], Any] = no_plan
    """Builds the call that stored data of a plan describe. Raises KeyError, TypeError or ValueError."""
    random_areas: frozenset[str] = frozenset()
    """The areas whose numbers depend on the random generator. Diagnosis skips them."""
    undiagnosed_areas: frozenset[str] = frozenset()
    """The areas that no known fault can be put to. Diagnosis skips them as well."""
    cost_of_area: Mapping[str, float] = field(default_factory=dict)
    """The relative cost of a check by area; 1 for areas that are missing."""
    cost_of_kind: Mapping[str, float] = field(default_factory=dict)
    """The relative cost of a check by kind; 1 for kinds that are missing."""

    def __repr__(self) -> str:
        return f"Specification({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a specification crosses between processes by its name")

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds, in the order of the documentation."""
        return self.catalogue.kinds

    @property
    def areas(self) -> tuple[str, ...]:
        """The areas of the catalogue, in its order."""
        return self.catalogue.areas

    # --- backends ---------------------------------------------------------------------------------------

    @property
    def adapters(self) -> dict[type[Any], type[Any]]:
        """The classes of backends that it can be put to, each with the class of its claims."""
        return {self.adapter: self.features} | {bridge.adapter: bridge.features for bridge in self.bridges}

    def view(self, backend: Any) -> Any:
        """Return the specification's view of a backend; None if it cannot be put to the backend."""
        if isinstance(backend, self.adapter):
            return self.adapt(backend)
        bridge = next((bridge for bridge in self.bridges if isinstance(backend, bridge.adapter)), None)
        seen = None if bridge is None else bridge.view(backend)
        return None if seen is None else self.adapt(seen)

    # --- checks and requirements ----------------------------------------------------------------------

    @cached_property
    def modules(self) -> tuple[Any, ...]:
        """The modules of the suite."""
        package = importlib.import_module(self.suite)
        names = [module.name for module in pkgutil.iter_modules(package.__path__) if module.name.startswith("test_")]
        return tuple(importlib.import_module(f"{self.suite}.{name}") for name in names)

    @cached_property
    def laws(self) -> tuple[Any, ...]:
        """The test functions of the suite that decide requirements."""
        found = [law for module in self.modules for law in vars(module).values() if getattr(law, "checks", None)]
        return tuple({id(law): law for law in found}.values())

    @cached_property
    def checks(self) -> tuple[Any, ...]:
        """Every check of the suite."""
        return tuple({id(check): check for law in self.laws for check in law.checks}.values())

    @cached_property
    def requirements(self) -> dict[str, Requirement]:
        """Every requirement by its id: the entries of the catalogue, then the checks' own entries, such as cases."""
        return dict(self.catalogue) | {check.requirement: check.entry for check in self.checks}

    @cached_property
    def _checks_by_requirement(self) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for check in self.checks:
            found.setdefault(check.requirement, []).append(check)
        return found

    def checks_of(self, requirement: str) -> list[Any]:
        """Return the checks that decide a requirement."""
        return self._checks_by_requirement.get(requirement, [])

    def number_of(self, check: Any) -> int | None:
        """Return the position of a check among the checks of its requirement; None for another suite's check."""
        checks = self.checks_of(check.requirement)
        return next((number for number, mine in enumerate(checks) if mine is check), None)

    def combinations(self, features: Claims, requirement: Requirement) -> list[tuple[str, str]]:
        """Return the pairs (kind, dtype) in which a requirement is put to a backend that claims these features.

        The list is empty if the requirement does not apply. A requirement about unclaimed kinds or dtypes is put to the
        backend in exactly these.
        """
        unless = requirement.unless
        found = []
        for kind in (kind for kind in requirement.kinds if (kind in features.kinds) != (unless == "kinds")):
            claims = claims_of(features, kind)
            if not self.applies(claims, requirement, kind):
                continue
            dtypes = [dtype for dtype in self.dtypes if (dtype in claims.dtypes) != (unless == "dtypes")]
            every = requirement.every_dtype or unless == "dtypes"
            found += [(kind, dtype) for dtype in (dtypes if every else dtypes[:1])]
        return found

    def applies(self, claims: Claims, requirement: Requirement, kind: str) -> bool:
        """Return whether a requirement is put to a backend with these claims for a kind."""
        most_steps = getattr(claims, "most_steps", None)
        needed = all(claims.claims(need) for need in requirement.needs)
        if not needed or not self.speaks_to(claims, requirement, kind):
            return False
        if most_steps is not None and requirement.steps > most_steps:
            return False
        takes = getattr(claims, "takes", None)
        if takes is not None and not all(takes(*sizes) for sizes in requirement.sizes):
            return False
        return not self.claimed_after_all(claims, requirement)

    def claimed_after_all(self, claims: Claims, requirement: Requirement) -> bool:
        """Return whether a requirement speaks of a feature that is not claimed, and these claims hold it."""
        return requirement.unless not in ("", "kinds", "dtypes") and claims.claims(requirement.unless)

    def first_dtype(self, features: Claims, kind: str) -> str:
        """Return the first dtype claimed for a kind, in which requirements that need one dtype only are checked."""
        return next(dtype for dtype in self.dtypes if dtype in claims_of(features, kind).dtypes)

    def cost(self, requirement: str, kind: str) -> float:
        """Return the estimated relative cost of a check."""
        area = self.requirements[requirement].area
        return self.cost_of_area.get(area, 1.0) * self.cost_of_kind.get(kind, 1.0)

    # --- forms ----------------------------------------------------------------------------------------

    def form_of(self, call: Call) -> Form:
        """Return the form of a call."""
        return next(form for form in self.forms if type(call) is form.call)

    def form(self, name: str) -> Form:
        """Return the form with a name. Raises KeyError."""
        found = [form for form in self.forms if form.name == name]
        if not found:
            raise KeyError(name)
        return found[0]
