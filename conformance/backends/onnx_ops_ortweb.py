"""``onnx-ops-ortweb``: ONNX's operators on onnxruntime-web, the WebAssembly build of onnxruntime, under Node.

Node finds the package onnxruntime-web by NODE_PATH, or in node_modules of the working folder or above this file.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
import weakref
from pathlib import Path
from threading import Lock

import numpy as np

from conformance.backend import Unsupported
from conformance.onnx.features import ACTIVATIONS, ATTRIBUTES, OnnxFeatures
from conformance.onnx.runtime import OnnxRuntime

PROGRAM = Path(__file__).with_suffix(".js")


class Node:
    """A Node process that runs models, started on first use."""

    def __init__(self):
        self.lock, self.keys, self.process = Lock(), itertools.count(), None

    def start(self):
        folders = [os.environ.get("NODE_PATH", ""), str(Path.cwd() / "node_modules")]
        environment = os.environ | {"NODE_PATH": os.pathsep.join(filter(None, folders))}
        try:
            self.process = subprocess.Popen(
                ["node", str(PROGRAM)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        except OSError:
            raise Unsupported(
                "needs Node, which is not installed here: install it, then npm install onnxruntime-web"
            ) from None

    def ask(self, **request):
        """Return the answer to a request. Raises RuntimeError with the error that onnxruntime-web gives."""
        with self.lock:
            if self.process is None:
                self.start()
            try:
                self.process.stdin.write(json.dumps(request) + "\n")
                self.process.stdin.flush()
                line = self.process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if not line:
                status, self.process = self.process.wait(), None
                raise RuntimeError(f"Node ended with exit status {status}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["found"]


NODE = Node()


def packed(array):
    """Return an array as JSON."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": array.dtype.name, "dims": list(array.shape), "data": data}


def unpacked(value):
    """Return JSON as an array."""
    return np.frombuffer(base64.b64decode(value["data"]), value["type"]).reshape(value["dims"]).copy()


def forget(key):
    """Release a session, unless the process has ended."""
    try:
        NODE.ask(act="forget", key=key)
    except (RuntimeError, OSError, ValueError):
        return


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
        try:
            self.version = f"onnxruntime-web {NODE.ask(act='version')}"
        except RuntimeError:
            raise Unsupported("needs onnxruntime-web under Node: npm install onnxruntime-web") from None

    def prepare(self, model):
        key = next(NODE.keys)
        NODE.ask(act="prepare", key=key, model=base64.b64encode(model).decode())

        def run(inputs):
            found = NODE.ask(act="run", key=key, inputs={name: packed(a) for name, a in inputs.items()})
            return {name: unpacked(value) for name, value in found.items()}

        weakref.finalize(run, forget, key)
        return run
