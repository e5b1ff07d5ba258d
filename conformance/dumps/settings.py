"""The settings of a dump that no shape says: kind, dtype, arithmetic, batch_first; and the names of its arrays."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from conformance.backend import CellConfig, LayerConfig
from conformance.claims import FLOAT32_ARITHMETICS
from conformance.dumps.files import BrokenDump, plain, short
from conformance.dumps.printed import printed
from reference.config import KINDS
from reference.parameters import GATES
from reference.precision import ARITHMETICS, Arithmetic

SETTINGS = ("kind", "batch_first", "dtype", "arithmetic")
ARGUMENTS, RESULTS = ("x", "h_0", "c_0", "lengths"), ("output", "h_n", "c_n")
CELL_ARGUMENTS, CELL_RESULTS = ("x", "h", "c"), ("h", "c")
ALIASES = {"h0": "h_0", "c0": "c_0", "hn": "h_n", "cn": "c_n", "h": "h_0", "c": "c_0", "h_1": "h_n", "c_1": "c_n"}
COARSEST_FIRST = ("bfloat16", "float16", "float32", "float64")


def kind_of(values: dict[str, Any]) -> str:
    every = ", ".join(KINDS)
    if "kind" not in values:
        recurrent = values.get("weight_hh_l0", values.get("weight_hh"))
        shape = np.shape(recurrent) if isinstance(recurrent, np.ndarray) else ()
        fits = [k for k in KINDS if len(shape) == 2 and shape[0] == len(GATES[k]) * shape[1]]
        like = f", of which {' and '.join(fits)} fit{'s' * (len(fits) == 1)} weight_hh_l0" if fits else ""
        raise BrokenDump(f"kind is missing; add one of {every}{like}")
    kind = plain(values.pop("kind"))
    found = kind.lower() if isinstance(kind, str) else kind
    if isinstance(found, str):
        found = found.strip().removesuffix("cell")
    if not isinstance(found, str) or found not in KINDS:
        raise BrokenDump(f"kind: got {said(kind)}, expected one of {every}")
    return str(found)


def said(value: Any) -> str:
    return short(value)


def choice_of(values: dict[str, Any], name: str, known: tuple[str, ...]) -> str:
    if name not in values:
        return ""
    value = plain(values.pop(name))
    found = value.removeprefix("torch.") if isinstance(value, str) else value
    if not isinstance(found, str) or found not in known:
        raise BrokenDump(f"{name}: got {said(value)}, expected one of {', '.join(known)}")
    return str(found)


def arithmetic_of(values: dict[str, Any]) -> str:
    return choice_of(values, "arithmetic", FLOAT32_ARITHMETICS) or "float32"


def arithmetic_in(dtype: str, name: str) -> Arithmetic:
    """Return what computes numbers of a dtype; ``name`` says it for float32. Raises BrokenDump for another dtype."""
    if dtype != "float32" and name != "float32":
        raise BrokenDump(f"arithmetic: {name} is one of float32, and these numbers are {dtype}; leave it out")
    return ARITHMETICS[name if dtype == "float32" else dtype]


def flag_of(values: dict[str, Any], name: str) -> bool | None:
    if name not in values:
        return None
    value = plain(values.pop(name))
    if isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return bool(value)
    raise BrokenDump(f"{name}: got {said(value)}, expected true or false")


def check_names(values: Mapping[str, Any]) -> None:
    known = (*SETTINGS, *ARGUMENTS, *RESULTS, *CELL_ARGUMENTS, "h_1", "c_1")
    for name in values:
        if name in (*ARGUMENTS, *RESULTS):
            continue
        parameters = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_ih", "weight_hh", "bias_ih")
        near = difflib.get_close_matches(str(name), [*known, *parameters], 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        other = "the same array as another name" if name in known else "no name of an array"
        raise BrokenDump(f"{str(name)[:60]}: this is {other}{hint or '; leave it out'} ({_names_in_words()})")


def _names_in_words() -> str:
    return (
        "known are kind, weight_ih_l0 and so on, x, h_0, c_0, lengths, output, h_n, c_n, batch_first, dtype, arithmetic"
    )


def check_redundant(config: LayerConfig | CellConfig, redundant: Mapping[str, Any]) -> None:
    for name, value in redundant.items():
        follows = getattr(config, name, None)
        if follows is not None and value != follows:
            raise BrokenDump(f"{name}: got {said(value)}, but the shapes of the arrays are those of {follows}")


def dtype_of(arrays: list[np.ndarray], results: list[np.ndarray]) -> str:
    """Return the coarsest dtype; float32 without one, and where float64 holds results that float32 may have, too."""
    names = {a.dtype.name for a in arrays}
    if not names:
        return "float32"
    found = next((name for name in COARSEST_FIRST if name in names), "float64")
    if found == "float64":
        with np.errstate(over="ignore"):
            exact = all(np.array_equal(a, a.astype(np.float32), equal_nan=True) for a in results)
        digits = printed(results)
        few = digits is not None and 10.0**-digits.digits > ARITHMETICS["float32"].u
        return "float32" if exact or few else "float64"
    return found
