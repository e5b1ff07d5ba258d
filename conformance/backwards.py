"""The names of gradients, of cotangents and of outputs, and the part of them that a backend claims."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from reference.config import require

COTANGENTS = ("d_output", "d_h_n", "d_c_n")
CELL_COTANGENTS = ("d_h", "d_c")
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
OF_LAYERS = ("x", "h_0", "c_0", *PARAMETERS, "weight_hr")
OF_CELLS = ("x", "h", "c", *PARAMETERS)
OF_LSTM = frozenset({"c_0", "c", "weight_hr", "d_c_n", "d_c"})
"""The names that no other kind has."""
GRADIENTS = {"gradients": OF_LAYERS, "cell_gradients": OF_CELLS, "training_gradients": OF_LAYERS}
"""The names of the gradients behind each claim, parameters without the suffix of their layer."""
OUTPUTS = ("all", "last")
PARTS = GRADIENTS | {"cotangents": (*COTANGENTS, *CELL_COTANGENTS), "output": OUTPUTS}
"""The names of which such a claim may be a set."""


def plain_part(claim: str, given: Any, kinds: Iterable[str]) -> bool | frozenset[str]:
    """Return the value of a claim in ``PARTS``: a set of names, or, of gradients, a bool.

    Raises ValueError for other names, for none, and for names that none of the claimed kinds has.
    """
    if claim in GRADIENTS and not isinstance(given, (str, Iterable)):
        return bool(given)
    names: Iterable[Any] = given if isinstance(given, Iterable) and not isinstance(given, str) else (given,)
    several, known = [*names], PARTS[claim]
    allowed = f"{'True, False or ' if claim in GRADIENTS else ''}some of {', '.join(known)}"
    require(bool(several) and all(name in known for name in several), claim, allowed, sorted(map(str, several)))
    had = "lstm" in [*kinds] or not OF_LSTM.issuperset(several)
    require(had, claim, f"names that {', '.join(sorted(kinds))} has too", sorted(several))
    return frozenset(name for name in known if name in several)


def has_part(features: Any, claim: str, part: str) -> bool:
    """Return whether a name in ``PARTS`` is claimed, for a kind that has it. Raises ValueError for other names."""
    require(part in PARTS.get(claim, ()), "feature", f"a part of {', '.join(PARTS)}", f"{claim}.{part}")
    if claim == "cotangents":
        return part in cotangents(features, of=CELL_COTANGENTS if part in CELL_COTANGENTS else COTANGENTS)
    value = getattr(features, claim)
    return value is True or (bool(value) and part in value)


def gives(claims: Any, claim: str, name: str) -> bool:
    """Return whether the gradient of a name, which may have a layer's suffix, is claimed or has no documented name."""
    return base_name(name) not in GRADIENTS[claim] or has_part(claims, claim, base_name(name))


def differentiated(claims: Any, claim: str, kind: str) -> tuple[str, ...]:
    """Return the names of the gradients that are claimed, by a claim in ``GRADIENTS``, and that a kind has."""
    names = (name for name in GRADIENTS[claim] if kind == "lstm" or name not in OF_LSTM)
    return tuple(name for name in names if has_part(claims, claim, name))


def cotangents(claims: Any, kind: str = "lstm", of: tuple[str, ...] = COTANGENTS) -> tuple[str, ...]:
    """Return the claimed cotangents that a kind has: of a layer, or with CELL_COTANGENTS of a cell.

    Where none of them is named, all are claimed.
    """
    names = tuple(name for name in of if name in claims.cotangents) or of
    return tuple(name for name in names if kind == "lstm" or name not in OF_LSTM)


def unclaimed_cotangents(claims: Any, kind: str = "lstm", of: tuple[str, ...] = COTANGENTS) -> tuple[str, ...]:
    """Return the cotangents that a kind has and that are not claimed."""
    every = (name for name in of if kind == "lstm" or name not in OF_LSTM)
    return tuple(name for name in every if name not in cotangents(claims, kind, of))


def refused_cotangent(claims: Any, kind: str, given: Mapping[str, Any]) -> str:
    """Return the sentence for the first given cotangent that is not claimed; empty if there is none.

    ``given`` has those of a layer, or of a cell, by name; None stands for an omitted one.
    """
    of = CELL_COTANGENTS if "d_h" in given else COTANGENTS
    lacking = [name for name in unclaimed_cotangents(claims, kind, of) if given[name] is not None]
    return f"the cotangent {lacking[0]} is not claimed" if lacking else ""


def base_name(name: str) -> str:
    """Return the name of a gradient without the suffix of its layer and direction: weight_ih of weight_ih_l0."""
    return next((base for base in OF_LAYERS if name == base or name.startswith(f"{base}_l")), name)
