"""The claims of an ONNX runtime: operators, opsets, dtypes, attributes, inputs and directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields, replace
from typing import Any

import numpy as np

from conformance.claims import EXTENTS, FLOAT32_ARITHMETICS
from reference.config import DTYPES, is_integer, require
from reference.precision import ARITHMETICS, Arithmetic

OPERATORS = ("RNN", "LSTM", "GRU")
VERSIONS = (7, 14, 22)
"""The opsets that changed the operators: 14 added ``layout``, 22 bfloat16."""
OLDEST_OPSET, LAYOUT_OPSET, BFLOAT16_OPSET = VERSIONS
ATTRIBUTES = (
    "activations",
    "activation_alpha",
    "activation_beta",
    "clip",
    "input_forget",
    "layout",
    "linear_before_reset",
)
NEEDED_ATTRIBUTES = ("direction", "hidden_size")
"""Attributes of every node. They need no claim: ``directions`` says which directions a runtime takes."""
ACTIVATIONS = (
    "Relu",
    "Tanh",
    "Sigmoid",
    "Affine",
    "LeakyRelu",
    "ThresholdedRelu",
    "ScaledTanh",
    "HardSigmoid",
    "Elu",
    "Softsign",
    "Softplus",
)
INPUTS = ("B", "sequence_lens", "initial_h", "initial_c", "P")
NEEDED_INPUTS = ("X", "W", "R")
"""Inputs of every node. They need no claim."""
WEIGHTS = ("W", "R", "B", "P")
"""The inputs that are a model's parameters."""
OUTPUTS = ("Y", "Y_h", "Y_c")
DIRECTIONS = ("forward", "reverse", "bidirectional")
PARAMETERS = ("initializers", "inputs")


@dataclass(frozen=True)
class OnnxFeatures:
    """The claims of a runtime: it must support what it claims and refuse the rest by an error.

    Names may be given as any iterable of strings, or as one name; they are stored as frozensets.
    Raises ValueError for an unknown name, for no operators, opsets, dtypes or directions, and for a limit below 1.
    """

    operators: Iterable[str] = frozenset(OPERATORS)
    """Some of "RNN", "LSTM" and "GRU"."""
    opsets: Iterable[int] = frozenset({14, 22})
    """The opsets of the models, 7 or newer. The suite spreads its models over them."""
    dtypes: Iterable[str] = frozenset({"float32"})
    """Some of "float32", "float64", "float16" and "bfloat16". bfloat16 needs opset 22."""
    attributes: Iterable[str] = frozenset(ATTRIBUTES)
    """Some of ``ATTRIBUTES``: the attributes other than direction and hidden_size."""
    inputs: Iterable[str] = frozenset(INPUTS)
    """Some of "B", "sequence_lens", "initial_h", "initial_c" and "P": the optional inputs."""
    directions: Iterable[str] = frozenset(DIRECTIONS)
    """Some of "forward", "reverse" and "bidirectional"."""

    _: KW_ONLY

    activations: Iterable[str] = frozenset({"Relu", "Tanh", "Sigmoid"})
    """The functions that the attribute activations may name, some of ``ACTIVATIONS``. The operators' pages call those
    other than the default optional."""
    stacks: bool = True
    """Models of several nodes, with Transpose and Reshape between them. False: each model is a single node."""
    checks_inputs: bool = False
    """True: the runtime rejects inputs whose shape or dtype differs from the model, and lengths beyond its steps. The
    suite then passes such inputs on; with False it rejects them itself."""
    parameters: str = "initializers"
    """Where W, R, B and P are: "initializers", constants of the model as in an exported one, so that a model is
    prepared for each set of them; or "inputs" of the graph, so that one model serves all of them."""
    fixed_shapes: bool | Iterable[str] = False
    """True if a model's numbers of steps and samples must be fixed; some of "steps" and "samples" if one must be."""
    configurations: int | None = None
    """The most configurations of an operator that are prepared; None: no limit. Useful if preparing is slow, together
    with ``parameters="inputs"``."""
    most_steps: int | None = None
    """The most steps of a call; None: no limit."""
    deterministic: bool = True
    """True if repeating a call repeats its bits."""
    float32_arithmetic: str | Mapping[str, str] = "float32"
    """The arithmetic that computes float32, for all operators or by operator, one of
    ``conformance.backend.FLOAT32_ARITHMETICS``."""

    hidden_sizes: Iterable[int] | None = None
    """The hidden sizes that the runtime takes; the suite uses only them. None: every size."""
    input_sizes: Iterable[int] | None = None
    """The input sizes that the runtime takes; the suite uses only them. None: every size."""
    boundaries: Iterable[int] = ()
    """Numbers of units, samples or steps at which the runtime's kernels change: calls of b-1, b and b+1 are drawn."""
    by_operator: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The claims that differ for some operators: ``{"GRU": {"inputs": {"B"}}}``."""

    def __post_init__(self) -> None:
        self._keep("operators", OPERATORS)
        self._keep_opsets()
        self._keep("dtypes", DTYPES)
        self._keep("attributes", ATTRIBUTES, NEEDED_ATTRIBUTES, may_be_empty=True)
        self._keep("inputs", INPUTS, NEEDED_INPUTS, may_be_empty=True)
        self._keep("directions", DIRECTIONS)
        self._keep("activations", ACTIVATIONS, may_be_empty=True)
        for name in ("stacks", "checks_inputs", "deterministic"):
            object.__setattr__(self, name, bool(getattr(self, name)))
        one_of = f"one of {', '.join(PARAMETERS)}"
        require(self.parameters in PARAMETERS, "parameters", one_of, self.parameters)
        for name in ("configurations", "most_steps"):
            limit = getattr(self, name)
            require(limit is None or (is_integer(limit) and limit > 0), name, "None or at least 1", limit)
            object.__setattr__(self, name, None if limit is None else int(limit))
        if isinstance(self.fixed_shapes, (bool, np.bool_)):
            object.__setattr__(self, "fixed_shapes", bool(self.fixed_shapes))
        else:
            self._keep("fixed_shapes", EXTENTS)
        one_of = f"one of {', '.join(FLOAT32_ARITHMETICS)}"
        for name in ("hidden_sizes", "input_sizes", "boundaries"):
            self._keep_sizes(name)
        for operator in OPERATORS:
            declared = self._float32_arithmetic(operator)
            require(declared in FLOAT32_ARITHMETICS, "float32_arithmetic", one_of, declared)
        self._check_by_operator()

    def _keep(
        self, name: str, known: tuple[str, ...], needed: tuple[str, ...] = (), may_be_empty: bool = False
    ) -> None:
        """Store a claim of names as a frozenset of plain strings; names that every node needs are left out."""
        given: Any = getattr(self, name)
        given = (given,) if isinstance(given, str) else given
        require(isinstance(given, Iterable), name, f"some of {', '.join(known)}", given)
        claimed = list(given)
        right = all(isinstance(one, str) and one in (*known, *needed) for one in claimed)
        expected = f"{'none or ' * may_be_empty}some of {', '.join(known)}"
        require(right and (may_be_empty or bool(claimed)), name, expected, sorted(map(str, claimed)))
        object.__setattr__(self, name, frozenset(plain for plain in known if plain in claimed))

    def _keep_opsets(self) -> None:
        given: Any = self.opsets
        expected = f"some whole numbers of at least {OLDEST_OPSET}"
        given = (given,) if is_integer(given) else given
        require(isinstance(given, Iterable) and not isinstance(given, str), "opsets", expected, given)
        claimed = list(given)
        right = bool(claimed) and all(is_integer(opset) and opset >= OLDEST_OPSET for opset in claimed)
        require(right, "opsets", expected, claimed)
        object.__setattr__(self, "opsets", frozenset(map(int, claimed)))
        before_layout = max(self.opsets) < LAYOUT_OPSET and "layout" in self.attributes
        if before_layout:  # the default claims it
            object.__setattr__(self, "attributes", frozenset(self.attributes) - {"layout"})

    def _keep_sizes(self, name: str) -> None:
        given: Any = getattr(self, name)
        if given is None and name != "boundaries":
            return
        sizes = [given] if is_integer(given) else [*given] if isinstance(given, Iterable) else [given]
        right = all(is_integer(size) and size > 0 for size in sizes) and (bool(sizes) or name == "boundaries")
        require(right, name, "whole numbers of at least 1", given)
        object.__setattr__(self, name, tuple(sorted({int(size) for size in sizes})))

    def _check_by_operator(self) -> None:
        given, known = self.by_operator, {f.name for f in fields(self)} - {"operators", "by_operator"}
        right = isinstance(given, Mapping) and all(isinstance(changes, Mapping) for changes in given.values())
        require(right, "by_operator", "a mapping from operators to the claims that differ there", given)
        claimed = ", ".join(operator for operator in OPERATORS if operator in self.operators)
        require(set(given) <= set(self.operators), "by_operator", f"some of {claimed}", sorted(map(str, given)))
        for operator, changes in given.items():
            unknown = sorted(map(str, set(changes) - known))
            require(not unknown, f"by_operator[{operator!r}]", "names of claims, such as inputs", unknown)
            replace(self, by_operator={}, **changes)  # raises ValueError for wrong ones
        object.__setattr__(self, "by_operator", {name: dict(changes) for name, changes in given.items()})

    # --- as claims about the operators' specification ---------------------------------------------------

    @property
    def kinds(self) -> frozenset[str]:
        """The operators: the kinds of their specification."""
        return frozenset(self.operators)

    def of(self, operator: str) -> OnnxFeatures:
        """Return the claims for one operator: these claims with the changes of ``by_operator``."""
        if not self.by_operator:
            return self
        return replace(self, by_operator={}, **self.by_operator.get(operator, {}))

    def claims(self, feature: str) -> bool:
        """Return whether an attribute, an optional input, a direction, an activation or a flag is claimed.

        Raises ValueError for another name.
        """
        flags = ("stacks", "checks_inputs")
        known = {*ATTRIBUTES, *INPUTS, *DIRECTIONS, *ACTIVATIONS, *flags}
        require(feature in known, "feature", f"one of {', '.join(sorted(known))}", feature)
        if feature in flags:
            return bool(getattr(self, feature))
        claimed = (self.attributes, self.inputs, self.directions, self.activations)
        return any(feature in names for names in claimed)

    def fixes(self, extent: str) -> bool:
        """Return whether each model has one number of steps or samples; ``extent`` is one of EXTENTS."""
        fixed = self.fixed_shapes
        return fixed if isinstance(fixed, bool) else extent in fixed

    def takes(self, input_size: int, hidden_size: int) -> bool:
        """Return whether the runtime takes these sizes."""
        claimed = (self.input_sizes, self.hidden_sizes)
        return all(some is None or size in some for some, size in zip(claimed, (input_size, hidden_size), strict=True))

    def opsets_for(self, dtype: str = "float32", attributes: Iterable[str] = ()) -> list[int]:
        """Return the claimed opsets that have a dtype and attributes, oldest first."""
        oldest = BFLOAT16_OPSET if dtype == "bfloat16" else LAYOUT_OPSET if "layout" in attributes else OLDEST_OPSET
        return sorted(opset for opset in self.opsets if opset >= oldest)

    def arithmetic(self, kind: str, dtype: str) -> Arithmetic:
        """Return the arithmetic in which the runtime computes this operator and dtype; it decides the tolerance."""
        return ARITHMETICS[self.of(kind)._float32_arithmetic(kind) if dtype == "float32" else dtype]

    def _float32_arithmetic(self, operator: str) -> str:
        declared = self.float32_arithmetic
        return declared if isinstance(declared, str) else declared.get(operator, "float32")

    def as_json(self) -> dict[str, Any]:
        """Return the claims as JSON data, with names in the documentation's order."""
        data = {f.name: getattr(self, f.name) for f in fields(self)}
        orders = {
            "operators": OPERATORS,
            "dtypes": DTYPES,
            "attributes": ATTRIBUTES,
            "inputs": INPUTS,
            "directions": DIRECTIONS,
            "activations": ACTIVATIONS,
            "fixed_shapes": EXTENTS,
        }
        for name, order in orders.items():
            if not isinstance(data[name], bool):
                data[name] = [one for one in order if one in data[name]]
        data["opsets"] = sorted(self.opsets)
        own = {operator: self.of(operator).as_json() for operator in self.by_operator}
        data["by_operator"] = {o: {name: own[o][name] for name in self.by_operator[o]} for o in own}
        for name in ("hidden_sizes", "input_sizes", "boundaries"):
            data[name] = None if data[name] is None else list(data[name])
        if not isinstance(self.float32_arithmetic, str):
            data["float32_arithmetic"] = dict(self.float32_arithmetic)
        return data
