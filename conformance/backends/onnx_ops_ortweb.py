"""``onnx-ops-ortweb``: ONNX's operators on onnxruntime-web, the WebAssembly build of onnxruntime, under Node."""

from __future__ import annotations

import base64
import weakref
from pathlib import Path

from conformance.backends.node_process import Node, packed, unpacked
from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime

NODE = Node(Path(__file__).with_suffix(".js"), "onnxruntime-web")


class OnnxOpsOrtWeb(OnnxRuntime):
    """ONNX's operators in onnxruntime-web, which refuses layout=1 and dtypes other than float32."""

    name, forks = "onnx-ops-ortweb", False
    features = OnnxFeatures(
        attributes=set(ATTRIBUTES) - {"layout"},
        activations=ACTIVATIONS,
        checks_inputs=True,
        parameters="inputs",
        # The GRU kernel is onnxruntime's: docs/findings.md.
        float32_arithmetic={"GRU": "approximate-activations"},
    )

    def __init__(self):
        self.version = NODE.version()

    def prepare(self, model):
        key = next(NODE.keys)
        NODE.ask(act="prepare", key=key, model=base64.b64encode(model).decode())

        def run(inputs):
            found = NODE.ask(act="run", key=key, inputs={name: packed(a) for name, a in inputs.items()})
            return {name: unpacked(value) for name, value in found.items()}

        weakref.finalize(run, NODE.forget, key)
        return run
