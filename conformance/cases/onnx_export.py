"""The export of cases as ONNX test data: a model, its inputs and outputs, in the layout of ONNX's backend tests.

The files of a case are ``DIR/test_CASE/model.onnx``, ``test_data_set_0/input_K.pb`` and ``output_K.pb``, and
``data.json`` with the tolerance. conformance.backends.onnx_ops makes the model, with a node for each layer of a stack
and the parameters among its inputs; takes become Gather. The outputs are the case's expected numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from onnx import ModelProto, helper, numpy_helper, save_model

from conformance.backends.onnx_ops import TYPES, model, native_parameters
from conformance.cases.load import Case
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


def onnx_model(case: Case) -> tuple[ModelProto, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the model of a case, its inputs and its expected outputs by name, both in the graph's order."""
    first, *takes = case.program
    (name,) = {first["module"]}
    number, arguments = numpy_dtype(DTYPE), first["from"]
    config = case.modules[name].layer_config(DTYPE)
    native = native_parameters(config, case.modules[name].loaded(DTYPE))
    made = model(config, native, states="h_0" in arguments, lengths="lengths" in first)
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
        folder = directory / f"test_{case.id.replace('-', '_')}"
        data = folder / "test_data_set_0"
        data.mkdir(parents=True, exist_ok=True)
        save_model(made, folder / "model.onnx")
        (folder / "data.json").write_text(json.dumps({"rtol": BOUND, "atol": BOUND}) + "\n", "utf-8")
        for kind, arrays in (("input", inputs), ("output", outputs)):
            for k, (name, array) in enumerate(arrays.items()):
                tensor = numpy_helper.from_array(array, name)
                (data / f"{kind}_{k}.pb").write_bytes(tensor.SerializeToString())
        written.append(folder.name)
    return written, left_out
