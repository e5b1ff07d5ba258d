"""Measure how many faults ONNX's node tests of RNN, LSTM and GRU notice: ``python -m tests.onnx_vectors``.

The script turns each vector into a documented layer and its call, so that a fault's backend can compute it, and
compares the result as ONNX's test runner does, with the case's rtol and atol. It writes docs/kill-matrix-onnx.json.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from conformance import LayerConfig
from conformance.backends.oracle import OracleBackend
from conformance.specifications.torch_nn.faults import BANK, Fault, compose
from reference.parameters import GATES

FILE = Path(__file__).parents[1] / "docs" / "kill-matrix-onnx.json"
ORDERS = {"lstm": "iofg", "gru": "zrn", "rnn_tanh": "h", "rnn_relu": "h"}  # ONNX's orders in documented letters
# The features of a single ONNX node; faults that show only with others are left out.
EXPRESSIBLE = {"bidirectional", "no_bias", "batch_first", "initial_state", "lengths"}
RESET_BEFORE = "gru-reset-before-product"  # the equation of ONNX's GRU without linear_before_reset


@dataclass
class Vector:
    """One case: the call, the expected output, h_n and c_n, and the tolerances."""

    name: str
    config: LayerConfig
    parameters: dict[str, np.ndarray]
    arguments: tuple
    want: dict[int, np.ndarray]
    rtol: float
    atol: float
    base: Fault | None = None

    def accepts(self, backend) -> bool:
        """Return whether a backend passes."""
        try:
            x, *rest = (a.copy() if isinstance(a, np.ndarray) else a for a in self.arguments)
            got = backend.layer(self.config, dict(self.parameters)).forward(x, *rest)
            return all(
                np.shape(got[k]) == want.shape
                and np.allclose(got[k], want, rtol=self.rtol, atol=self.atol, equal_nan=True)
                for k, want in self.want.items()
            )
        except Exception:  # any exception fails the case, as in ONNX's runner
            return False


def vectors() -> Iterator[tuple[str, Vector | str]]:
    """Yield every case by name: the vector, or the reason why no documented layer expresses it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = {case.name: case for case in collect_testcases(None)}
    for name, case in cases.items():
        node = case.model.graph.node[0]
        if case.kind == "node" and len(case.model.graph.node) == 1 and node.op_type in ("RNN", "LSTM", "GRU"):
            yield name, _vector(case, node)


def _vector(case, node) -> Vector | str:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    given = dict(zip([n for n in node.input if n], case.data_sets[0][0], strict=True))
    inputs = {name: given.get(n) for name, n in zip(
        ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P"), node.input, strict=False)}  # fmt: skip
    outputs = dict(zip([n for n in node.output if n], case.data_sets[0][1], strict=True))
    if inputs.get("P") is not None or set(attributes) - {"hidden_size", "direction", "layout", "linear_before_reset"}:
        return "peepholes, or an attribute that a documented layer does not have"
    kind = {"RNN": "rnn_tanh"}.get(node.op_type, node.op_type.lower())
    direction, layout = attributes.get("direction", b"forward").decode(), attributes.get("layout", 0)
    X = inputs["X"][:, ::-1].copy() if direction == "reverse" and layout else inputs["X"]
    X = X[::-1].copy() if direction == "reverse" and not layout else X
    config = LayerConfig(
        kind, X.shape[2], attributes["hidden_size"], bias=inputs.get("B") is not None, batch_first=layout == 1,
        bidirectional=direction == "bidirectional",
    )  # fmt: skip
    states = [inputs.get(name) for name in ("initial_h", "initial_c")]
    states = [np.swapaxes(s, 0, 1).copy() if layout and s is not None else s for s in states]
    lengths = inputs.get("sequence_lens")
    parameters = {}
    for d in range(config.directions):
        suffix = "_l0" + ("_reverse" if d else "")
        parameters |= {f"weight_ih{suffix}": inputs["W"][d], f"weight_hh{suffix}": inputs["R"][d]}
        if config.bias:
            b_ih, b_hh = np.split(inputs["B"][d], 2)
            parameters |= {f"bias_ih{suffix}": b_ih, f"bias_hh{suffix}": b_hh}
    take = [ORDERS[kind].index(gate) for gate in GATES[kind]]
    parameters = {n: np.concatenate([np.split(a, len(take))[k] for k in take]) for n, a in parameters.items()}
    want = {}
    for k, output in enumerate(node.output):
        if output:
            want[k] = _as_documented(outputs[output], k, layout, direction)
    lengths = None if lengths is None else [int(n) for n in lengths]
    vector = Vector(case.name, config, parameters, (X, *states, lengths), want, case.rtol, case.atol)
    if vector.accepts(OracleBackend()):
        return vector
    vector.base = BANK[RESET_BEFORE]
    return vector if kind == "gru" and vector.accepts(vector.base.build()) else "not the documented equations"


def _as_documented(a, k, layout, direction):
    """Convert Y (T, D, N, H), or (N, T, D, H) with layout 1, to output, or Y_h and Y_c to h_n and c_n."""
    if k > 0:
        return np.swapaxes(a, 0, 1) if layout else a
    a = np.moveaxis(a, 2, 2) if layout else np.moveaxis(a, 1, 2)
    a = a.reshape(*a.shape[:2], -1)
    return np.flip(a, 1 if layout else 0) if direction == "reverse" else a


def caught_by(fault: Fault, usable: list[Vector]) -> list[str] | None:
    """Return the vectors that fail a fault; None if the fault fits no vector."""
    put, failing = 0, []
    for vector in usable:
        if vector.config.kind not in fault.kinds:
            continue
        try:
            backend = compose(fault, vector.base) if vector.base else fault.build()
        except ValueError:
            continue
        put += 1
        if not vector.accepts(backend):
            failing.append(vector.name)
    return failing if put else None


def main() -> None:
    """Write docs/kill-matrix-onnx.json."""
    found = dict(vectors())
    usable = [vector for vector in found.values() if isinstance(vector, Vector)]
    applicable = [
        fault
        for fault in BANK.values()
        if fault.numeric and fault.features <= EXPRESSIBLE and "float32" in fault.build().features.dtypes
    ]
    caught = {fault.id: caught_by(fault, usable) for fault in applicable}
    data = {
        "onnx": onnx.__version__,
        "vectors": [vector.name for vector in usable],
        "most_steps": max(v.arguments[0].shape[int(v.config.batch_first)] for v in usable),
        "left_out": {name: why for name, why in found.items() if isinstance(why, str)},
        "caught": {identifier: names for identifier, names in caught.items() if names is not None},
    }
    FILE.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    noticed = sum(bool(names) for names in data["caught"].values())
    print(f"{len(usable)} vectors, {noticed} of {len(data['caught'])} faults noticed")


if __name__ == "__main__":
    main()
