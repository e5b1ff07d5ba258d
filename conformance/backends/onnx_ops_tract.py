"""``onnx-ops-tract``: ONNX's operators in tract."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import tract
from onnx import TensorProto, helper

from conformance.onnx.features import INPUTS, OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime


def with_states(model):
    """Return the model with inputs for the initial states that its LSTM nodes omit, and zeros for them by name.

    They are no constants: of constant zeros tract makes a state of one sample (docs/findings.md).
    """
    loaded = onnx.load_model_from_string(model)
    graph = loaded.graph
    samples = graph.input[0].type.tensor_type.shape.dim[1].dim_value
    zeros = {}
    for k, node in enumerate(node for node in graph.node if node.op_type == "LSTM"):
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        directions = 2 if given.get("direction", b"forward") == b"bidirectional" else 1
        names = [*node.input, *[""] * (7 - len(node.input))]
        for place in (5, 6):
            if not names[place]:
                name = names[place] = f"zeros_{k}_{place}"
                zeros[name] = np.zeros((directions, samples, given["hidden_size"]), np.float32)
                graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, zeros[name].shape))
        del node.input[:]
        node.input.extend(names)
    return loaded.SerializeToString(), zeros


class OnnxOpsTract(OnnxRuntime):
    """ONNX's operators in tract, which reads models from files.

    A free number of samples ends the process (docs/findings.md), so the shapes are fixed. tract refuses sequence_lens
    as an input, and layout=1 with two directions. It ignores direction=reverse, clip, input_forget and activations.
    Its LSTM without initial states takes one sample alone: the adapter gives it zeros.
    """

    name, version = "onnx-ops-tract", f"tract {tract.version()}"
    features = OnnxFeatures(
        attributes={"linear_before_reset"},
        inputs=set(INPUTS) - {"sequence_lens"},
        directions={"forward", "bidirectional"},
        # tanh and sigmoid are rational approximations that end short of 1 by up to 12 u.
        float32_arithmetic="approximate-activations",
        checks_inputs=True,
        parameters="inputs",
        fixed_shapes=True,
        configurations=40,
    )

    script = """
import tempfile
from pathlib import Path

import tract

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "model.onnx"
    file.write_bytes(model)
    loaded = tract.onnx().load(file)
runnable = loaded.into_model().into_runnable()
outputs = dict(zip(outputs, (a.to_numpy() for a in runnable.run(list(inputs.values())))))
"""

    def prepare(self, model):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            extended, zeros = with_states(model)
            file.write_bytes(extended)
            loaded = tract.onnx().load(file)
        inputs = [loaded.input_name(k) for k in range(loaded.input_count())]
        # The model's own names: tract calls all outputs Y.
        outputs = [output.name for output in onnx.load_model_from_string(model).graph.output]
        runnable = loaded.into_model().into_runnable()

        def run(given):
            came = runnable.run([(zeros | given)[name] for name in inputs])
            return {name: array.to_numpy() for name, array in zip(outputs, came, strict=True)}

        return run
