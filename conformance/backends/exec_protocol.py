"""``exec:COMMAND``: an adapter in any language, as a program that answers lines of JSON; see docs/protocol.md."""

from __future__ import annotations

import base64
import json
import math
import os
import shlex
import subprocess
import threading
from collections import deque
from contextlib import suppress
from dataclasses import asdict, fields
from typing import Any

import ml_dtypes  # noqa: F401  makes bfloat16 a name that NumPy knows
import numpy as np

from conformance.backend import Backend, Cell, Features, Layer, Result, Unsupported
from conformance.engine.subject import Broken, one_line

VERSION = 1
LONGEST = 1 << 30  # bytes of a line
UNREADABLE = (ValueError, TypeError, RecursionError, OverflowError, MemoryError)  # raised by readers of bad answers
DTYPES = ("float32", "float64", "float16", "bfloat16")


class CannotStart(Exception):
    """A command that cannot serve as a backend. The message is the end of a sentence that says why."""


class AdapterError(Exception):
    """The adapter's answer ``error``, which stands for an exception in its language."""


class Program:
    """The running command. It is started when needed and killed after an unusable answer."""

    def __init__(self, command: str) -> None:
        self.words = shlex.split(command)
        self.process: subprocess.Popen | None = None
        self.owner = 0
        self.started = 0  # the number of starts: a handle is valid during one of them
        self.number = 0
        self.released: deque[tuple[int, int]] = deque()  # handles that are no longer used, each with its start
        self.lock = threading.Lock()

    def ask(self, method: str, **content: Any) -> dict[str, Any]:
        """Return the result of a request.

        Raises Unsupported or AdapterError if the program answers so, and Broken if it gives no usable answer.
        """
        with self.lock:
            self.ensure()
            while self.released:
                handle, start = self.released.popleft()
                if start == self.started:
                    self.exchange("release", {"handle": handle})
            return self.exchange(method, content)

    def ensure(self) -> None:
        """Start the program unless this process has started it. After a fork the child starts another one."""
        if self.process is not None and self.owner == os.getpid():
            return
        self.process, self.owner = None, os.getpid()
        try:
            self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1)
        except (OSError, ValueError) as error:
            raise Broken(f"the command cannot be started ({one_line(error)})") from error
        self.started += 1
        try:
            self.hello = self.exchange("hello", {"protocol": VERSION})
        except (Unsupported, AdapterError) as error:
            raise self.broken(f"the command refuses hello ({one_line(error)})") from None

    def exchange(self, method: str, content: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result. End the program and raise Broken if it gives no usable answer."""
        self.number += 1
        try:
            line = json.dumps({"id": self.number, "method": method} | content, default=_encoded)
            try:
                self.process.stdin.write(line.encode() + b"\n")
                self.process.stdin.flush()
            except OSError:
                pass  # the program has ended; reading its answer reports how
            return self.answer(self.process.stdout.readline(LONGEST))
        except Broken:
            self.end()
            raise

    def answer(self, line: bytes) -> dict[str, Any]:
        """Return the result in a line. Raises Unsupported or AdapterError as answered, Broken for any other line."""
        if not line:
            raise Broken(f"the command {self.how_it_ended()} without an answer")
        if not line.endswith(b"\n"):
            raise Broken(f"the command's answer broke off: {_shown(line)}")
        try:
            answer = json.loads(line)
        except UNREADABLE:
            raise Broken(f"the command wrote a line that is not JSON: {_shown(line)}") from None
        if not isinstance(answer, dict) or len(answer.keys() & {"result", "unsupported", "error"}) != 1:
            raise Broken(f"the command's answer has not one of result, unsupported and error: {_shown(line)}")
        if answer.get("id") != self.number:
            raise Broken(f"the command answered request {answer.get('id')!r}, asked was {self.number}")
        for name, exception in (("unsupported", Unsupported), ("error", AdapterError)):
            if name in answer:
                raise exception(str(answer[name]))
        if not isinstance(answer["result"], dict):
            raise Broken(f"the command's result is no object: {_shown(line)}")
        return answer["result"]

    def how_it_ended(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self.process.wait(1)
            return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
        return "closed its output"

    def end(self) -> None:
        """Kill the program; the next request starts it again."""
        process, self.process = self.process, None
        if process is not None and self.owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    pipe.close()

    def broken(self, told: str) -> Broken:
        """End the program and return the exception for an answer that cannot be used."""
        self.end()
        return Broken(told)


class Handle:
    """A layer or cell that the program built. It is built again after a restart and released with this object."""

    def __init__(self, program: Program, method: str, config, parameters: dict[str, np.ndarray]) -> None:
        self.program, self.method = program, method
        self.request = {"config": asdict(config), "parameters": {n: np.copy(a) for n, a in parameters.items()}}
        self.start = 0
        self.build()

    def build(self) -> None:
        result = self.program.ask(self.method, **self.request)
        self.handle, self.start = result.get("handle"), self.program.started
        if not isinstance(self.handle, int):
            raise self.program.broken(f"the command's answer to {self.method} has no handle, an integer")

    def ask(self, method: str, **content: Any) -> dict[str, Any]:
        if self.program.process is None or self.program.owner != os.getpid() or self.start != self.program.started:
            self.build()
        return self.program.ask(method, handle=self.handle, **content)

    def arrays(self, found: Any) -> dict[str, np.ndarray]:
        """Return the arrays of a JSON object by name. Raises Broken if it is no such object."""
        if not isinstance(found, dict):
            raise self.program.broken(f"the command's arrays are no object but {type(found).__name__}")
        return {name: self.array(name, value) for name, value in found.items()}

    def array(self, name: str, value: Any) -> np.ndarray | None:
        try:
            return decoded(value)
        except UNREADABLE as error:
            raise self.program.broken(f"{name} of the command's answer: {one_line(error)}") from None

    def __del__(self) -> None:
        if self.start:
            self.program.released.append((self.handle, self.start))


class ExecLayer(Layer):
    """A layer in the program."""

    def __init__(self, program: Program, config, parameters) -> None:
        self.there = Handle(program, "layer", config, parameters)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        return self._result(self.there.ask("forward", x=x, h_0=h_0, c_0=c_0, lengths=lengths))

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        return self._result(self.there.ask("forward_training", x=x, h_0=h_0, c_0=c_0, lengths=lengths, seed=seed))

    def _result(self, answer):
        return Result(*(self.there.array(name, answer.get(name)) for name in Result._fields))

    def parameters(self):
        return self.there.arrays(self.there.ask("parameters").get("parameters"))

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        arguments = {"x": x, "h_0": h_0, "c_0": c_0, "lengths": lengths}
        cotangents = {"d_output": d_output, "d_h_n": d_h_n, "d_c_n": d_c_n}
        return self.there.arrays(self.there.ask("gradients", **arguments, **cotangents).get("gradients"))


class ExecCell(Cell):
    """A cell in the program."""

    def __init__(self, program: Program, config, parameters) -> None:
        self.there = Handle(program, "cell", config, parameters)

    def step(self, x, h=None, c=None):
        answer = self.there.ask("step", x=x, h=h, c=c)
        return self.there.array("h", answer.get("h")), self.there.array("c", answer.get("c"))


class ExecBackend(Backend):
    """A program as a backend. Raises CannotStart if it cannot be started or its hello is invalid."""

    def __init__(self, command: str) -> None:
        try:
            self.program = Program(command)
        except ValueError as error:
            raise CannotStart(f"the command cannot be split into words ({one_line(error)})") from None
        if not self.program.words:
            raise CannotStart("there is no command after exec:")
        try:
            self.program.ensure()
            hello = self.program.hello
        except Broken as error:
            raise CannotStart(one_line(error)) from None
        self.program.end()  # each process that calls it starts its own program
        if hello.get("protocol") != VERSION:
            raise CannotStart(f"the command speaks protocol {hello.get('protocol')!r}, not {VERSION}")
        self.name, self.version = hello.get("name"), hello.get("version", "unknown")
        if not isinstance(self.name, str) or not self.name:
            raise CannotStart("the command's hello has no name, a string")
        self.features = _features(hello.get("features"))

    def layer(self, config, parameters):
        return ExecLayer(self.program, config, parameters)

    def cell(self, config, parameters):
        return ExecCell(self.program, config, parameters)

    def initial_parameters(self, config, *, seed):
        answer = self.program.ask("initial_parameters", config=asdict(config), seed=seed)
        found = answer.get("parameters")
        if not isinstance(found, dict):
            raise self.program.broken("the command's answer to initial_parameters has no parameters, an object")
        try:
            return {name: decoded(value) for name, value in found.items()}
        except UNREADABLE as error:
            raise self.program.broken(f"the command's initial parameters: {one_line(error)}") from None


def _features(claimed: Any) -> Features:
    if not isinstance(claimed, dict):
        raise CannotStart("the command's hello has no features, an object")
    known = [f.name for f in fields(Features)]
    unknown = sorted(set(claimed) - set(known))
    if unknown:
        raise CannotStart(f"the command claims {unknown[0]!r}; the features are {', '.join(known)}")
    try:
        return Features(**claimed)
    except (ValueError, TypeError, AttributeError) as error:
        raise CannotStart(f"the command's features: {one_line(error)}") from None


def _encoded(value: Any) -> Any:
    """Return JSON data for an array or a NumPy number."""
    if isinstance(value, np.generic):
        return value.item()
    little = value.astype(value.dtype.newbyteorder("<")) if value.dtype.byteorder == ">" else value
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def decoded(value: Any) -> np.ndarray | None:
    """Return the array that JSON data describe; None for null. Raises ValueError if they describe none."""
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"}:
        raise ValueError("an array is an object of dtype, shape and data")
    dtype, shape, data = value["dtype"], value["shape"], value["data"]
    if dtype not in DTYPES:
        raise ValueError(f"got dtype {dtype!r}, expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"got shape {shape!r}, expected a list of integers")
    if math.prod(shape) > LONGEST:
        raise ValueError(f"got shape {shape!r}, of more numbers than a line can hold")
    try:
        raw = base64.b64decode(data, validate=True)
    except (ValueError, TypeError):
        raise ValueError("its data are not base64") from None
    size = np.dtype(dtype).itemsize * math.prod(shape)
    if len(raw) != size:
        raise ValueError(f"got {len(raw)} bytes, expected {size} for shape {shape} of {dtype}")
    return np.frombuffer(raw, np.dtype(dtype)).reshape(shape).copy()


def _shown(line: bytes) -> str:
    text = line[:80].decode("utf-8", "replace").rstrip()
    return repr(text + "..." if len(line) > 80 else text)
