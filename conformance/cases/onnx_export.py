"""The export of cases as ONNX test data: a model, its inputs and outputs, in the layout of ONNX's backend tests.

The files of a case are ``DIR/test_CASE/model.onnx``, ``test_data_set_0/input_K.pb`` and ``output_K.pb``, and
``data.json`` with the tolerance. conformance.onnx builds the nodes, one for each layer of a stack, with the parameters
among the inputs; nodes around them bring states and outputs into the documented layout, and takes become Gather. The
outputs are the case's expected numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper, save_model

from conformance.backend import LayerConfig
from conformance.cases.load import Case
from conformance.onnx.graph import TYPES, build_model, name_in
from conformance.onnx.layers import native_parameters, nodes_of, state_letters
from reference.config import numpy_dtype
from reference.precision import ARITHMETICS

DTYPE = "float32"
BOUND = 64 * ARITHMETICS[DTYPE].u  # absolute and relative, as in cases/README.md


def why_not(case: Case) -> str:
    """Return why ONNX's operators cannot express a case, or "" if they can."""
    ops = [step["op"] for step in case.program]
    modules = {step["module"] for step in case.program if "module" in step}
    for reason, holds in (
        ("a case that must not match", case.verdict == "mismatch"),
        ("refusals: a model has no argument that it could refuse", "refuse" in ops),
        ("gradients", "gradients" in ops),
        ("training", any("seed" in step for step in case.program)),
        ("cells", "cell" in ops),
        ("projections", "projection" in case.features),
        ("unbatched x", "unbatched" in case.features),
        ("several calls, or other operations before the layer's", ops[:1] != ["layer"] or len(modules) != 1),
        ("several calls, or other operations before the layer's", not set(ops[1:]) <= {"take"}),
        (f"numbers that are not exact in {DTYPE}", DTYPE not in case.dtypes),
    ):
        if holds:
            return reason
    return ""


def layer_model(config: LayerConfig, *, states: bool, lengths: bool) -> ModelProto:
    """Return a layer's model with PyTorch's inputs x, h_0, c_0 and lengths, and outputs output, h_n and c_n.

    The parameters are inputs, named as by ``native_parameters``.
    """
    D, L, H, letters = config.directions, config.num_layers, config.hidden_size, state_letters(config)
    inputs = {f"initial_{s}" for s in letters} if states else set()
    inputs |= {"sequence_lens"} if lengths else set()
    made = build_model(nodes_of(config, frozenset(inputs)), dtype=config.dtype)
    graph, first = made.graph, config.batch_first
    renamed = {"X": "x", "sequence_lens": "lengths"}
    before: list[NodeProto] = []
    after: list[NodeProto] = []

    def turned(source: str, target: str) -> NodeProto:
        return helper.make_node("Transpose", [source], [target], perm=[1, 0, 2])

    for s in letters:
        initial, final = ([name_in(k, L, f"{name}_{s}") for k in range(L)] for name in ("initial", "Y"))
        if states:
            rows = [f"{name}_rows" for name in initial] if first else initial
            before += [helper.make_node("Split", [f"{s}_0", "rows"], rows, axis=0)] if L > 1 else []
            source = rows if L > 1 else [f"{s}_0"]
            before += [turned(a, b) for a, b in zip(source, initial, strict=True)] if first else []
            renamed |= {initial[0]: f"{s}_0"} if L == 1 and not first else {}
        last = [f"{name}_rows" for name in final] if first else final
        after += [turned(a, b) for a, b in zip(final, last, strict=True)] if first else []
        after.append(helper.make_node("Concat", last, [f"{s}_n"], axis=0))
    joined = "Y" if first else "Y_turned"  # (N, T, D, H)
    after += [] if first else [helper.make_node("Transpose", ["Y"], [joined], perm=[0, 2, 1, 3])]
    after.append(helper.make_node("Reshape", [joined, "joined"], ["output"]))
    graph.initializer.append(numpy_helper.from_array(np.array([0, 0, D * H]), "joined"))
    if states and L > 1:
        graph.initializer.append(numpy_helper.from_array(np.array([D] * L), "rows"))
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)

    kept = [value for value in graph.input if not value.name.startswith("initial_")]
    for value in kept:
        value.name = renamed.get(value.name, value.name)
    type_, state = TYPES[config.dtype], [D * L, "N", H]
    given = [helper.make_tensor_value_info(f"{s}_0", type_, state) for s in letters] if states else []
    of_output = [*(["N", "T"] if first else ["T", "N"]), D * H]
    results = {"output": of_output, **{f"{s}_n": state for s in letters}}
    ordered = [*(v for v in kept if v.name in ("x", "lengths")), *given]
    ordered += [v for v in kept if v.name not in ("x", "lengths")]
    del graph.input[:], graph.output[:]
    graph.input.extend(ordered)
    graph.output.extend(helper.make_tensor_value_info(name, type_, shape) for name, shape in results.items())
    return made


def onnx_model(case: Case) -> tuple[ModelProto, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the model of a case, its inputs and its expected outputs by name, both in the graph's order."""
    first, *takes = case.program
    (name,) = {first["module"]}
    number, arguments = numpy_dtype(DTYPE), first["from"]
    config = case.modules[name].layer_config(DTYPE)
    native = native_parameters(config, case.modules[name].loaded(DTYPE))
    made = layer_model(config, states="h_0" in arguments, lengths="lengths" in first)
    graph = made.graph
    # the program has its own names for output, h_n and c_n; results that it drops get a name too
    renamed = {field: first["to"].get(field, f"{field}_dropped") for field in ("output", "h_n", "c_n")}
    for node in graph.node:
        node.output[:] = [renamed.get(result, result) for result in node.output]
        node.input[:] = [renamed.get(result, result) for result in node.input]
    for step in takes:
        graph.initializer.append(numpy_helper.from_array(np.array(step["indices"], np.int64), f"{step['to']}_at"))
        graph.node.append(
            helper.make_node("Gather", [step["from"], f"{step['to']}_at"], [step["to"]], axis=step["axis"])
        )
    outputs = {n: right.astype(number) for n, right in case.numbers.items()}
    del graph.output[:]
    graph.output.extend(helper.make_tensor_value_info(n, TYPES[DTYPE], a.shape) for n, a in outputs.items())
    given = {argument: case.arrays[array].astype(number) for argument, array in arguments.items()}
    given |= {"lengths": np.array(first["lengths"], np.int32)} if "lengths" in first else {}
    given |= native
    return made, {i.name: given[i.name] for i in graph.input}, outputs


def export(cases: Iterable[Case], directory: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Write every case that ONNX can express. Return the names of their folders, and the other ids by reason."""
    written: list[str] = []
    left_out: dict[str, list[str]] = {}
    for case in cases:
        reason = why_not(case)
        if reason:
            left_out.setdefault(reason, []).append(case.id)
            continue
        made, inputs, outputs = onnx_model(case)
        written.append(write(directory, case.id, made, inputs, outputs))
    return written, left_out


def write(
    directory: Path,
    name: str,
    model: ModelProto,
    inputs: dict[str, np.ndarray],
    outputs: dict[str, np.ndarray],
) -> str:
    """Write one test of ONNX's layout; return the name of its folder. Inputs and outputs are in the graph's order."""
    folder = directory / f"test_{name.replace('-', '_')}"
    data = folder / "test_data_set_0"
    data.mkdir(parents=True, exist_ok=True)
    save_model(model, folder / "model.onnx")
    (folder / "data.json").write_text(json.dumps({"rtol": BOUND, "atol": BOUND}) + "\n", "utf-8")
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for k, (tensor, array) in enumerate(arrays.items()):
            (data / f"{kind}_{k}.pb").write_bytes(numpy_helper.from_array(array, tensor).SerializeToString())
    return folder.name
