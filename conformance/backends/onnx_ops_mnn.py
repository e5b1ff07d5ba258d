"""``onnx-ops-mnn``: ONNX's operators in MNN."""

from __future__ import annotations

import tempfile
from pathlib import Path

import _tools
import MNN
import numpy as np
import onnx
from MNN import expr, nn

from conformance.onnx.features import OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime


class OnnxOpsMNN(OnnxRuntime):
    """ONNX's operators in MNN, by its converter, on the CPU.

    It does not convert a GRU whose parameters are inputs, and a model of free extents gives wrong results, so the
    shapes are fixed. It ignores direction=reverse and every attribute but hidden_size (docs/findings.md).
    linear_before_reset is claimed: MNN computes every GRU as if it were 1.
    """

    name, version, forks = "onnx-ops-mnn", f"MNN {MNN.version()}", False
    features = OnnxFeatures(
        attributes={"linear_before_reset"},
        inputs={"B", "initial_h", "initial_c"},
        directions={"forward", "bidirectional"},
        checks_inputs=True,
        parameters="initializers",
        fixed_shapes=True,
        configurations=40,
    )

    script = """
import tempfile
from pathlib import Path

import _tools
import numpy as np
from MNN import expr, nn

names = [name for name in outputs if name]
with tempfile.TemporaryDirectory() as folder:
    source, target = str(Path(folder) / "model.onnx"), str(Path(folder) / "model.mnn")
    Path(source).write_bytes(model)
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", source, "--MNNModel", target, "--bizCode", "x"])
    module = nn.load_module_from_file(target, list(inputs), names)
given = [expr.const(a, list(a.shape), expr.NCHW, expr.float) for a in inputs.values()]
outputs = {name: np.array(expr.convert(a, expr.NCHW).read()) for name, a in zip(names, module.forward(given))}
"""

    def prepare(self, model):
        graph = onnx.load_model_from_string(model).graph
        constants = {array.name for array in graph.initializer}
        inputs = [value.name for value in graph.input if value.name not in constants]
        outputs = [value.name for value in graph.output]
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "model.onnx", Path(folder) / "model.mnn"
            source.write_bytes(model)
            arguments = ["-f", "ONNX", "--modelFile", str(source), "--MNNModel", str(target), "--bizCode", "x"]
            # The command mnnconvert would install a package with pip and report its use; this function does neither.
            _tools.mnnconvert(["mnnconvert", *arguments])
            if not target.exists():
                raise ValueError("MNN's converter writes no model")
            module = nn.load_module_from_file(str(target), inputs, outputs)

        def run(given):
            arrays = [np.ascontiguousarray(given[name]) for name in inputs]
            came = module.forward([expr.const(a, list(a.shape), expr.NCHW, expr.float) for a in arrays])
            return {name: np.array(expr.convert(a, expr.NCHW).read()) for name, a in zip(outputs, came, strict=True)}

        return run
