"""The claims of an ONNX runtime: operators, opsets, dtypes, attributes, inputs and directions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

import numpy as np

from conformance.backend import EXTENTS, FLOAT32_ARITHMETICS
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
    """True: the runtime rejects inputs whose shape or dtype is not the model's, and lengths beyond its steps, and the
    suite gives it such inputs. False: the suite rejects them itself."""
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
        for operator in OPERATORS:
            declared = self._float32_arithmetic(operator)
            require(declared in FLOAT32_ARITHMETICS, "float32_arithmetic", one_of, declared)

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

    # --- as claims about the operators' specification ---------------------------------------------------

    @property
    def kinds(self) -> frozenset[str]:
        """The operators: the kinds of their specification."""
        return frozenset(self.operators)

    def claims(self, feature: str) -> bool:
        """Return whether an attribute, an optional input, a direction, an activation or a flag is claimed.

        Raises ValueError for a name that is none of these.
        """
        flags = ("stacks", "checks_inputs")
        known = {*ATTRIBUTES, *INPUTS, *DIRECTIONS, *ACTIVATIONS, *flags}
        require(feature in known, "feature", f"one of {', '.join(sorted(known))}", feature)
        if feature in flags:
            return bool(getattr(self, feature))
        claimed = (self.attributes, self.inputs, self.directions, self.activations)
        return any(feature in names for names in claimed)

    def opsets_for(self, dtype: str = "float32", attributes: Iterable[str] = ()) -> list[int]:
        """Return the claimed opsets that have a dtype and attributes, oldest first."""
        oldest = BFLOAT16_OPSET if dtype == "bfloat16" else LAYOUT_OPSET if "layout" in attributes else OLDEST_OPSET
        return sorted(opset for opset in self.opsets if opset >= oldest)

    def arithmetic(self, kind: str, dtype: str) -> Arithmetic:
        """Return the arithmetic in which the runtime computes this operator and dtype; it decides the tolerance."""
        return ARITHMETICS[self._float32_arithmetic(kind) if dtype == "float32" else dtype]

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
        if not isinstance(self.float32_arithmetic, str):
            data["float32_arithmetic"] = dict(self.float32_arithmetic)
        return data
