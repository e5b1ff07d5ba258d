"""A Node process that answers requests in lines of JSON, for the adapters of JavaScript libraries."""

from __future__ import annotations

import base64
import itertools
import json
import os
import subprocess
from collections import deque
from pathlib import Path
from threading import Lock

import numpy as np

from conformance.backend import Unsupported


class Node:
    """A Node process that runs a program, started on first use.

    Node finds the package by NODE_PATH, or in node_modules of the working folder or above the program's file.
    """

    def __init__(self, program: Path, package: str) -> None:
        self.program, self.package = program, package
        self.lock, self.keys = Lock(), itertools.count()
        self.forgotten: deque[int] = deque()
        self.process: subprocess.Popen[str] | None = None

    def start(self):
        """Start the process and return it. Raises Unsupported where Node is not installed."""
        folders = [os.environ.get("NODE_PATH", ""), str(Path.cwd() / "node_modules")]
        environment = os.environ | {"NODE_PATH": os.pathsep.join(filter(None, folders))}
        try:
            return subprocess.Popen(
                ["node", str(self.program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        except OSError:
            raise Unsupported(
                f"needs Node, which is not installed here: install it, then npm install {self.package}"
            ) from None

    def version(self):
        """Return the package's version. Raises Unsupported where Node does not find it."""
        try:
            return f"{self.package} {self.ask(act='version')}"
        except RuntimeError:
            raise Unsupported(f"needs {self.package} under Node: npm install {self.package}") from None

    def ask(self, **request):
        """Return the answer to a request. Raises RuntimeError with the error that the library gives."""
        with self.lock:
            while self.forgotten:
                self._exchange({"act": "forget", "key": self.forgotten.popleft()})
            answer = self._exchange(request)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["found"]

    def _exchange(self, request):
        """Send a request and return the answer. Raises RuntimeError if the process ends."""
        if self.process is None:
            self.process = self.start()
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status, self.process = self.process.wait(), None
            self.forgotten.clear()
            raise RuntimeError(f"Node ended with exit status {status}")
        return json.loads(line)

    def forget(self, key):
        """Release what the program keeps under a key before the next request; for finalizers, which run anywhere."""
        self.forgotten.append(key)


def packed(array):
    """Return an array as JSON."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"type": array.dtype.name, "dims": list(array.shape), "data": data}


def unpacked(value):
    """Return JSON as an array."""
    return np.frombuffer(base64.b64decode(value["data"]), value["type"]).reshape(value["dims"]).copy()
