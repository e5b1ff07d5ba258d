"""The claims of a backend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any

import numpy as np

from conformance.backwards import COTANGENTS, GRADIENTS, PARTS, has_part, plain_part
from reference.config import DTYPES, KINDS, is_integer, require
from reference.dialects import judged_by, plain_dialects
from reference.precision import ARITHMETICS, Arithmetic

MAX_SIZE = 1 << 14
"""The largest size and boundary that can be claimed; the suite computes such layers itself."""
EXTENTS = ("steps", "samples")
"""The values of ``Features.fixed_shapes`` other than True and False."""
FLOAT32_ARITHMETICS = (
    "float32",
    "tf32",
    "bfloat16-products",
    "approximate-activations",
    "int8-dynamic",
    "int8-dynamic-rows",
)
"""The values of ``Features.float32_arithmetic``."""


@dataclass(frozen=True)
class Features:
    """The claims of a backend: it must support everything it claims and raise Unsupported for the rest.

    ``kinds`` and ``dtypes`` may be given as any iterable of names, or as one name; they are stored as frozensets.
    Members of an enumeration of strings are stored as plain names, and numbers of NumPy as plain numbers.
    Raises ValueError for an unknown kind, dtype, extent, arithmetic, dialect or claim, for no kinds or no dtypes, for a
    limit or size below 1, for a size above MAX_SIZE, for claims by a kind that is not in ``kinds``, and for
    ``OF_EVERY_STEP`` without the output of all steps.
    """

    kinds: Iterable[str] = frozenset(KINDS)
    """Some of "rnn_tanh", "rnn_relu", "lstm" and "gru"."""
    dtypes: Iterable[str] = frozenset({"float32"})
    """Some of "float32", "float64", "float16" and "bfloat16"."""

    _: KW_ONLY

    layers: bool = True
    """``Backend.layer``. False: the backend has cells alone, which it then claims, and nothing of layers is
    asked of it."""
    multilayer: bool = True
    """num_layers > 1."""
    bidirectional: bool = True
    """bidirectional=True."""
    no_bias: bool = True
    """bias=False."""
    batch_first: bool = True
    """batch_first=True: x (N, T, I) and output (N, T, D*O)."""
    unbatched: bool = True
    """Input without samples: x (T, I) for a layer, (I) for a cell."""
    projection: bool = True
    """proj_size > 0, for lstm."""
    initial_state: bool = True
    """Given h_0 and c_0, or h and c."""
    lengths: bool = True
    """Samples of different lengths: the argument ``lengths``."""

    cells: bool = False
    """``Backend.cell``."""
    parameters: bool = False
    """``Layer.parameters``."""
    gradients: bool | Iterable[str] = False
    """``Layer.gradients``. True: of everything; or some of "x", "h_0", "c_0", "weight_ih", "weight_hh", "bias_ih",
    "bias_hh" and "weight_hr": no other gradient is looked at."""
    dropout: bool = False
    """``Layer.forward_training``."""
    initialization: bool = False
    """``Backend.initial_parameters``."""
    cell_gradients: bool | Iterable[str] = False
    """``Cell.gradients``; or some of "x", "h", "c", "weight_ih", "weight_hh", "bias_ih" and "bias_hh"."""
    parameters_set: bool = False
    """``Layer.load``."""
    reverse_alone: bool = False
    """``Backend.reverse_layer``."""
    masks: bool = False
    """``Layer.forward_masked``."""
    stateful: bool = False
    """``Layer.forward_stateful`` and ``Layer.reset``."""
    training_gradients: bool | Iterable[str] = False
    """``Layer.gradients_training``; or some of the names of ``gradients``."""
    cotangents: Iterable[str] = frozenset(COTANGENTS)
    """The cotangents that gradients are computed of: some of "d_output", "d_h_n" and "d_c_n" for layers, "d_h" and
    "d_c" for cells. None of a layer's, or none of a cell's, stands for all of these."""
    output: Iterable[str] = frozenset({"all"})
    """The outputs that a layer returns: "all" is ``Layer.forward``, with the output of all steps, and "last" is
    ``Layer.forward_last``, with the last one alone. With "last" alone the suite asks ``forward_last`` for everything
    that can be seen without the other steps."""
    torch_behaviors: bool = False
    """``Layer.torch_behavior``: what torch promises of its modules beyond numbers, for backends of torch modules."""

    deterministic: bool = True
    """True if repeating a call repeats its bits. False: the suite compares repeated calls within the tolerance."""
    configurations: int | None = None
    """The most configurations that the suite builds of a kind, for a backend that exports or compiles each one. The
    rest of the examples varies as usual. None: no limit."""
    fixed_shapes: bool | Iterable[str] = False
    """True if a built layer serves one shape of its arguments only; some of ``EXTENTS`` if it serves one number of
    steps or samples. These extents, omitted states and unbatched input then count as part of a configuration, so
    ``configurations`` limits their combinations too."""
    most_steps: int | None = None
    """The most steps of a call, for a backend whose graphs grow with the steps. Cases of more steps count as not
    claimed. None: no limit."""
    float32_arithmetic: str | Mapping[str, str] = "float32"
    """The arithmetic that computes float32, for all kinds or by kind: one of ``FLOAT32_ARITHMETICS``. One that is
    coarser than float32 widens the tolerance to its own rounding; the report names it."""
    hidden_sizes: Iterable[int] | None = None
    """The numbers of units that the backend takes, such as {64, 128}. The suite asks for no other, and the report names
    them. None: every number."""
    input_sizes: Iterable[int] | None = None
    """The numbers of input features that the backend takes, as in ``hidden_sizes``."""
    boundaries: Iterable[int] = ()
    """Numbers of units, samples or steps at which the backend's kernels change. The suite also draws calls of b-1, b
    and b+1 of each for every b."""
    dialects: Mapping[str, str | Iterable[str]] = field(default_factory=dict)
    """The kinds that the backend computes by another documented equation, with its name, or with several that hold
    together: ``{"gru": "reset-before-product"}``. The names are those of ``reference.DIALECTS``. The suite judges these
    kinds by that equation; the cases, whose numbers are PyTorch's, are not asked of them."""
    dialect_sources: Mapping[str, str] = field(default_factory=dict)
    """By kind, where the backend's own documentation has the equation of ``dialects``: shown in place of the dialect's
    general source."""
    by_kind: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The claims that differ for some kinds: ``{"gru": {"lengths": False}}``."""

    def __post_init__(self) -> None:
        for name, known in (("kinds", KINDS), ("dtypes", DTYPES)):
            claimed = getattr(self, name)
            claimed = frozenset({claimed} if isinstance(claimed, str) else claimed)
            allowed = f"some of {', '.join(known)}"
            require(bool(claimed) and claimed <= set(known), name, allowed, sorted(map(str, claimed)))
            object.__setattr__(self, name, frozenset(plain for plain in known if plain in claimed))
        for claim in fields(self):
            value = getattr(self, claim.name)
            if claim.type in (bool, "bool") or isinstance(value, np.bool_):
                object.__setattr__(self, claim.name, bool(value))
            elif claim.name in PARTS:
                object.__setattr__(self, claim.name, plain_part(claim.name, value, self.kinds))
        if not self.layers:
            object.__setattr__(self, "cells", True)
        if "all" not in self.output:
            beside = [name for name in OF_EVERY_STEP if self.claims(name)]
            require(not beside, "output", f"'all' as well beside {', '.join(beside)}", sorted(self.output))
        for name in ("hidden_sizes", "input_sizes", "boundaries"):
            object.__setattr__(self, name, self._plain_sizes(name))
        for name in ("configurations", "most_steps"):
            limit = getattr(self, name)
            require(limit is None or (is_integer(limit) and limit > 0), name, "None or at least 1", limit)
            object.__setattr__(self, name, None if limit is None else int(limit))
        if not isinstance(self.fixed_shapes, bool):
            fixed = frozenset({self.fixed_shapes} if isinstance(self.fixed_shapes, str) else self.fixed_shapes)
            allowed = f"True, False or some of {', '.join(EXTENTS)}"
            require(bool(fixed) and fixed <= set(EXTENTS), "fixed_shapes", allowed, sorted(map(str, fixed)))
            object.__setattr__(self, "fixed_shapes", frozenset(plain for plain in EXTENTS if plain in fixed))
        for kind in self.kinds:
            declared = self._float32_arithmetic(kind)
            one_of = f"one of {', '.join(FLOAT32_ARITHMETICS)}"
            require(declared in FLOAT32_ARITHMETICS, "float32_arithmetic", one_of, declared)
        object.__setattr__(self, "float32_arithmetic", self._plain_arithmetic())
        object.__setattr__(self, "dialects", plain_dialects(self.dialects, self.kinds))
        object.__setattr__(self, "dialect_sources", self._plain_sources())
        object.__setattr__(self, "by_kind", self._plain_by_kind())

    def of(self, kind: str) -> Features:
        """Return the claims for one kind: these claims with the changes that ``by_kind`` has for it."""
        if not self.by_kind:
            return self
        if "_of" not in self.__dict__:
            object.__setattr__(self, "_of", {})
        known: dict[str, Features] = self.__dict__["_of"]
        if kind not in known:
            known[kind] = replace(self, by_kind={}, **self.by_kind.get(kind, {}))
        return known[kind]

    def takes(self, input_size: int, hidden_size: int) -> bool:
        """Return whether the backend takes these sizes."""
        claimed = (self.input_sizes, self.hidden_sizes)
        return all(some is None or size in some for some, size in zip(claimed, (input_size, hidden_size), strict=True))

    def limits(self) -> list[str]:
        """Return sentences on limited sizes and on the claims of single kinds."""
        told = [
            f"{name} {', '.join(map(str, sizes))} alone is asked for"
            for name, sizes in (("input_size", self.input_sizes), ("hidden_size", self.hidden_sizes))
            if sizes is not None
        ]
        data = self.as_json()
        told += [
            f"{name} {', '.join(data[name])} alone {'are asked for' if name in GRADIENTS else 'are given'}"
            for name in PARTS
            if name != "output" and not isinstance(data[name], bool) and data[name] != list(COTANGENTS)
        ]
        told += ["the last output alone is returned"] * ("all" not in self.output)
        told += [
            f"{said}; the cases of {kind} are PyTorch's and are not asked" for kind, said in self.judged_by().items()
        ]
        return told + [
            f"{kind}: " + ", ".join(f"{name}={value}" for name, value in changes.items())
            for kind, changes in data["by_kind"].items()
        ]

    def judged_by(self) -> dict[str, str]:
        """Return a sentence for each kind with a dialect: the equation that judges the kind, and its source."""
        return judged_by(self.dialects, self.dialect_sources)

    def _plain_sizes(self, name: str) -> tuple[int, ...] | None:
        """Return sizes in ascending order. Raises ValueError for other values."""
        given = getattr(self, name)
        if given is None and name != "boundaries":
            return None
        some: Iterable[Any] = (given,) if is_integer(given) else given if isinstance(given, Iterable) else (given,)
        sizes = [*some]
        good = all(is_integer(size) and 0 < size <= MAX_SIZE for size in sizes) and (
            bool(sizes) or name == "boundaries"
        )
        allowed = f"integers from 1 to {MAX_SIZE:,}" + ("" if name == "boundaries" else ", or None")
        require(good, name, allowed, given)
        return tuple(sorted({int(size) for size in sizes}))

    def _plain_sources(self) -> dict[str, str]:
        """Return ``dialect_sources`` in plain strings. Raises ValueError."""
        given = self.dialect_sources
        require(isinstance(given, Mapping), "dialect_sources", "a mapping from kinds to texts", given)
        unknown = sorted(map(str, set(given) - set(self.dialects)))
        require(not unknown, "dialect_sources", "kinds that have a dialect", unknown)
        require(all(isinstance(text, str) and text for text in given.values()), "dialect_sources", "texts", given)
        return {kind: str(given[kind]) for kind in self.dialects if kind in given}

    def _plain_by_kind(self) -> dict[str, dict[str, Any]]:
        """Return ``by_kind`` with plain names and checked claims. Raises ValueError."""
        given, claims = (
            self.by_kind,
            {f.name for f in fields(self)} - {"kinds", "by_kind", "dialects", "dialect_sources"},
        )
        good = isinstance(given, Mapping) and all(isinstance(changes, Mapping) for changes in given.values())
        require(good, "by_kind", "a mapping from kinds to the claims that differ there", given)
        unknown = set(given) - set(self.kinds)
        claimed = ", ".join(kind for kind in KINDS if kind in self.kinds)
        require(not unknown, "by_kind", f"kinds that are claimed ({claimed})", sorted(map(str, unknown)))
        plain = {}
        for kind in (kind for kind in KINDS if kind in given):
            changes = {str(name): value for name, value in given[kind].items()}
            unknown = set(changes) - claims
            require(not unknown, f"by_kind[{kind!r}]", "names of claims, such as lengths=False", sorted(unknown))
            checked = replace(self, by_kind={}, **changes)
            plain[kind] = {name: getattr(checked, name) for name in changes}
        return plain

    def _plain_arithmetic(self) -> str | dict[str, str]:
        """Return ``float32_arithmetic`` in plain strings: an adapter's enumeration means nothing in another process."""
        declared = self.float32_arithmetic
        plain = {name: name for name in (*FLOAT32_ARITHMETICS, *KINDS)}
        if isinstance(declared, str):
            return plain[declared]
        return {plain.get(kind, str(kind)): plain.get(value, str(value)) for kind, value in declared.items()}

    def claims(self, feature: str) -> bool:
        """Return whether a boolean feature is claimed for the kinds that ``by_kind`` does not name.

        "gradients" is claimed if some are; "gradients.x" and "cotangents.d_h_n" name a part. Raises ValueError for a
        feature that is not in BOOLEAN_FEATURES.
        """
        feature, _, part = feature.partition(".")
        if part:
            return has_part(self, feature, part)
        require(feature in BOOLEAN_FEATURES, "feature", f"one of {', '.join(BOOLEAN_FEATURES)}", feature)
        return bool(getattr(self, feature))

    def fixes(self, extent: str) -> bool:
        """Return whether a built layer serves one number of steps or samples only; ``extent`` is one of EXTENTS."""
        return self.fixed_shapes if isinstance(self.fixed_shapes, bool) else extent in self.fixed_shapes

    def arithmetic(self, kind: str, dtype: str) -> Arithmetic:
        """Return the arithmetic in which the backend computes this kind and dtype; it decides the tolerance."""
        return ARITHMETICS[self.of(kind)._float32_arithmetic(kind) if dtype == "float32" else dtype]

    def _float32_arithmetic(self, kind: str) -> str:
        declared = self.float32_arithmetic
        return declared if isinstance(declared, str) else declared.get(kind, "float32")

    def as_json(self) -> dict[str, Any]:
        """Return the claims as JSON data, with kinds and dtypes in the documentation's order."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in ("hidden_sizes", "input_sizes", "boundaries"):
            data[name] = None if data[name] is None else list(data[name])
        own = {kind: self.of(kind).as_json() for kind in self.by_kind}
        data["by_kind"] = {kind: {name: own[kind][name] for name in changes} for kind, changes in self.by_kind.items()}
        for name, known in PARTS.items():
            if not isinstance(data[name], bool):
                data[name] = [part for part in known if part in data[name]]
        data["dialects"] = {kind: list(names) for kind, names in self.dialects.items()}
        data["dialect_sources"] = dict(self.dialect_sources)
        if not isinstance(self.float32_arithmetic, str):
            data["float32_arithmetic"] = dict(self.float32_arithmetic)
        if not isinstance(self.fixed_shapes, bool):
            data["fixed_shapes"] = [extent for extent in EXTENTS if extent in self.fixed_shapes]
        data["kinds"] = [k for k in KINDS if k in self.kinds]
        data["dtypes"] = [d for d in DTYPES if d in self.dtypes]
        return data


OF_EVERY_STEP = (
    "gradients", "dropout", "training_gradients", "reverse_alone", "masks", "stateful", "torch_behaviors",
)  # fmt: skip
"""The features whose methods return or take the output of all steps."""
NOT_CLAIMED = ("deterministic", "fixed_shapes")  # boolean fields that describe the backend and claim nothing
BOOLEAN_FEATURES = tuple(
    f.name for f in fields(Features) if (f.type in (bool, "bool") or f.name in GRADIENTS) and f.name not in NOT_CLAIMED
)
