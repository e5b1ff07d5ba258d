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

from conformance.backend import Backend, Cell, CellConfig, Features, Layer, LayerConfig, Result, Unsupported
from conformance.backends.checked import refuse
from conformance.engine.files import bounded_count
from conformance.engine.subject import Broken
from conformance.engine.text import cut, one_line, printable, text_of

VERSION = 1
MAX_LINE_BYTES = 1 << 30
MAX_SHOWN_BYTES = 80  # of a line in a message
END_SECONDS = 1  # for a command that has closed its output
UNREADABLE = (ValueError, TypeError, RecursionError, OverflowError, MemoryError)  # raised by readers of bad answers
DTYPES = ("float32", "float64", "float16", "bfloat16")


class CannotStart(Exception):
    """A command that cannot serve as a backend. The message is the end of a sentence that says why."""


class AdapterError(Exception):
    """The adapter's answer ``error``, which stands for an exception in its language."""


class Process:
    """A running process of the command. Raises Broken if the command cannot be started."""

    def __init__(self, words: list[str]) -> None:
        self.owner = os.getpid()
        try:
            self.popen = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=-1)
        except (OSError, ValueError) as error:
            raise Broken(f"the command cannot be started ({one_line(error)})") from error
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.requests, self.answers = self.popen.stdin, self.popen.stdout

    def exchange(self, line: bytes) -> bytes:
        """Write a line and read one; an empty line if the process has ended."""
        try:
            self.requests.write(line + b"\n")
            self.requests.flush()
        except OSError:
            pass  # the process has ended; reading its answer reports how
        return self.answers.readline(MAX_LINE_BYTES)

    def how_it_ended(self) -> str:
        """Describe the end of the process."""
        with suppress(subprocess.TimeoutExpired):
            code = self.popen.wait(END_SECONDS)
            return f"ended by signal {-code}" if code < 0 else f"ended with exit status {code}"
        return "closed its output"

    def end(self) -> None:
        """Kill the process."""
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.requests, self.answers):
            with suppress(OSError):
                pipe.close()


class Program:
    """The command. It is started when needed and killed after an unusable answer."""

    def __init__(self, command: str) -> None:
        self.words = shlex.split(command)
        self._process: Process | None = None
        self.hello: dict[str, Any] = {}
        self.started = 0  # the number of starts: a handle is valid during one of them
        self.number = 0
        self.released: deque[tuple[int, int]] = deque()  # handles that are no longer used, each with its start
        self.lock = threading.Lock()

    @property
    def process(self) -> Process | None:
        """The running process of the command; None before the first start, after the end and after a fork."""
        return self._process if self._process is not None and self._process.owner == os.getpid() else None

    def ask(self, method: str, **content: Any) -> dict[str, Any]:
        """Return the result of a request.

        Raises Unsupported or AdapterError if the program answers so, and Broken if it gives no usable answer.
        """
        with self.lock:
            process = self.ensure()
            while self.released:
                handle, start = self.released.popleft()
                if start == self.started:
                    self.exchange(process, "release", {"handle": handle})
            return self.exchange(process, method, content)

    def ensure(self) -> Process:
        """Return the process of the command; start it if it is not running. After a fork the child starts its own."""
        if self.process is not None:
            return self.process
        self._process = None
        self._process = process = Process(self.words)
        self.started += 1
        try:
            self.hello = self.exchange(process, "hello", {"protocol": VERSION})
        except (Unsupported, AdapterError) as error:
            raise self.broken(f"the command refuses hello ({one_line(error)})") from None
        return process

    def exchange(self, process: Process, method: str, content: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its result. End the process and raise Broken if it gives no usable answer."""
        self.number += 1
        try:
            line = json.dumps({"id": self.number, "method": method} | content, default=_encoded)
            came = process.exchange(line.encode())
            result = self.answer(process, came)
        except Broken:
            self.end()
            raise
        if inside := result.keys() & {"unsupported", "error"}:  # the program need not end
            raise Broken(f"the command's {min(inside)} is inside of result, it belongs in its place: {_shown(came)}")
        return result

    def answer(self, process: Process, line: bytes) -> dict[str, Any]:
        """Return the result in a line. Raises Unsupported or AdapterError as answered, Broken for any other line."""
        if not line:
            raise Broken(f"the command {process.how_it_ended()} without an answer")
        if not line.endswith(b"\n"):
            raise Broken(f"the command's answer broke off: {_shown(line)}")
        try:
            answer = json.loads(line)
        except UNREADABLE:
            raise Broken(f"the command wrote a line that is not JSON: {_shown(line)}") from None
        if not isinstance(answer, dict) or len(answer.keys() & {"result", "unsupported", "error"}) != 1:
            raise Broken(f"the command's answer has not one of result, unsupported and error: {_shown(line)}")
        if type(answer.get("id")) is not int or answer["id"] != self.number:
            raise Broken(f"the command answered request {_short(answer.get('id'))}, asked was {self.number}")
        for name, exception in (("unsupported", Unsupported), ("error", AdapterError)):
            if name in answer:
                raise exception(text_of(answer[name]))
        if not isinstance(answer["result"], dict):
            raise Broken(f"the command's result is no object: {_shown(line)}")
        return answer["result"]

    def end(self) -> None:
        """Kill the process; the next request starts the command again."""
        process, self._process = self.process, None
        if process is not None:
            process.end()

    def broken(self, message: str) -> Broken:
        """End the process and return the exception for an unusable answer."""
        self.end()
        return Broken(message)


class Handle:
    """A layer or cell that the program built. It is built again after a restart and released with this object."""

    def __init__(
        self, program: Program, method: str, config: LayerConfig | CellConfig, parameters: dict[str, np.ndarray]
    ) -> None:
        self.program, self.method = program, method
        self.request: dict[str, Any] = {
            "config": asdict(config),
            "parameters": {n: np.copy(a) for n, a in parameters.items()},
        }
        self.handle = self.start = 0
        self.build()

    def build(self) -> None:
        """Build the object in the program. Raises Broken if the answer has no handle."""
        handle = self.program.ask(self.method, **self.request).get("handle")
        if type(handle) is not int:
            raise self.program.broken(f"the command's answer to {self.method} has no handle, an integer")
        self.handle, self.start = handle, self.program.started

    def ask(self, method: str, **content: Any) -> dict[str, Any]:
        """Return the result of a request about the object; build it first if the program was restarted."""
        if self.program.process is None or self.start != self.program.started:
            self.build()
        return self.program.ask(method, handle=self.handle, **content)

    def load(self, parameters: dict[str, np.ndarray]) -> None:
        """Exchange the parameters, also for building the object again."""
        self.ask("load", parameters=parameters)
        self.request["parameters"] = parameters

    def arrays(self, found: Any) -> dict[str, np.ndarray | None]:
        """Return the arrays of a JSON object by name. Raises Broken if it is no such object."""
        if not isinstance(found, dict):
            raise self.program.broken(f"the command's arrays are no object but {type(found).__name__}")
        return {name: self.array(name, value) for name, value in found.items()}

    def array(self, name: str, value: Any) -> np.ndarray | None:
        """Return the array in an answer, None for null. Raises Broken if the data do not describe one."""
        try:
            return decoded(value)
        except UNREADABLE as error:
            raise self.program.broken(f"{name} of the command's answer: {one_line(error)}") from None

    def __del__(self) -> None:
        if self.start:
            self.program.released.append((self.handle, self.start))


class ExecLayer(Layer):
    """A layer in the program."""

    def __init__(
        self,
        program: Program,
        claims: Features,
        config: LayerConfig,
        parameters: dict[str, np.ndarray],
        method: str = "layer",
    ) -> None:
        self.claims, self.there = claims, Handle(program, method, config, parameters)

    def forward(self, x, h_0=None, c_0=None, lengths=None):
        refuse(self.claims, "output.all", True)
        return self._result(self.there.ask("forward", x=x, h_0=h_0, c_0=c_0, lengths=lengths))

    def forward_training(self, x, h_0=None, c_0=None, lengths=None, *, seed):
        return self._result(self.there.ask("forward_training", x=x, h_0=h_0, c_0=c_0, lengths=lengths, seed=seed))

    def _result(self, answer: dict[str, Any]) -> Result:
        arrays = (self.there.array(name, answer.get(name)) for name in Result._fields)
        return Result(*arrays)  # type: ignore[arg-type]  # the suite fails a missing output or h_n

    def parameters(self):
        return self.there.arrays(self.there.ask("parameters").get("parameters"))

    def gradients(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n):
        arguments = {"x": x, "h_0": h_0, "c_0": c_0, "lengths": lengths}
        cotangents = {"d_output": d_output, "d_h_n": d_h_n, "d_c_n": d_c_n}
        return self.there.arrays(self.there.ask("gradients", **arguments, **cotangents).get("gradients"))

    def gradients_training(self, x, h_0, c_0, lengths, d_output, d_h_n, d_c_n, *, seed):
        refuse(self.claims, "training_gradients", True)  # a program need not know this method
        arguments = {"x": x, "h_0": h_0, "c_0": c_0, "lengths": lengths}
        cotangents = {"d_output": d_output, "d_h_n": d_h_n, "d_c_n": d_c_n}
        answer = self.there.ask("gradients_training", **arguments, **cotangents, seed=seed)
        return self._result(answer), self.there.arrays(answer.get("gradients"))

    # A program need not know these methods.

    def forward_last(self, x, h_0=None, c_0=None, lengths=None):
        refuse(self.claims, "output.last", True)
        return self._result(self.there.ask("forward_last", x=x, h_0=h_0, c_0=c_0, lengths=lengths))

    def forward_masked(self, x, h_0=None, c_0=None, mask=None):
        refuse(self.claims, "masks", True)
        rows = None if mask is None else np.asarray(mask).tolist()
        return self._result(self.there.ask("forward_masked", x=x, h_0=h_0, c_0=c_0, mask=rows))

    def forward_stateful(self, x, lengths=None):
        refuse(self.claims, "stateful", True)
        return self._result(self.there.ask("forward_stateful", x=x, lengths=lengths))

    def reset(self):
        refuse(self.claims, "stateful", True)
        self.there.ask("reset")

    def load(self, parameters):
        refuse(self.claims, "parameters_set", True)  # a program need not know this method
        self.there.load({name: np.copy(a) for name, a in parameters.items()})


class ExecCell(Cell):
    """A cell in the program."""

    def __init__(
        self, program: Program, claims: Features, config: CellConfig, parameters: dict[str, np.ndarray]
    ) -> None:
        self.claims, self.there = claims, Handle(program, "cell", config, parameters)

    def step(self, x, h=None, c=None):
        answer = self.there.ask("step", x=x, h=h, c=c)
        return self.there.array("h", answer.get("h")), self.there.array("c", answer.get("c"))

    def gradients(self, x, h, c, d_h, d_c):
        refuse(self.claims, "cell_gradients", True)  # a program need not know this method
        return self.there.arrays(self.there.ask("gradients", x=x, h=h, c=c, d_h=d_h, d_c=d_c).get("gradients"))


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
            raise CannotStart(f"the command speaks protocol {_short(hello.get('protocol'))}, not {VERSION}")
        name = hello.get("name")
        if not isinstance(name, str) or not name:
            raise CannotStart("the command's hello has no name, a string")
        self.name, self.version = name, hello.get("version", "unknown")
        self.features = _features(hello.get("features"))

    def layer(self, config, parameters):
        return ExecLayer(self.program, self.features.of(config.kind), config, parameters)

    def reverse_layer(self, config, parameters):
        claims = self.features.of(config.kind)
        refuse(claims, "reverse_alone", True)
        return ExecLayer(self.program, claims, config, parameters, "reverse_layer")

    def cell(self, config, parameters):
        return ExecCell(self.program, self.features.of(config.kind), config, parameters)

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
        raise CannotStart(f"the command claims {_short(unknown[0])}; the features are {', '.join(known)}")
    try:
        return Features(**claimed)
    except (*UNREADABLE, AttributeError) as error:
        raise CannotStart(f"the command's features: {one_line(error)}") from None


def _encoded(value: Any) -> Any:
    """Return JSON data for an array or a NumPy number."""
    if isinstance(value, np.generic):
        return value.item()
    little = value.astype(value.dtype.newbyteorder("<")) if value.dtype.byteorder == ">" else value
    data = base64.b64encode(little.tobytes()).decode("ascii")
    return {"dtype": value.dtype.name, "shape": list(value.shape), "data": data}


def decoded(value: Any) -> np.ndarray | None:
    """Return the array that JSON data describe; None for null. Raises ValueError for other data."""
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data"}:
        raise ValueError("an array is an object of dtype, shape and data")
    dtype, shape, data = value["dtype"], value["shape"], value["data"]
    if dtype not in DTYPES:
        raise ValueError(f"got dtype {_short(dtype)}, expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"got shape {_short(shape)}, expected a list of integers")
    bounded_count(shape, MAX_LINE_BYTES)
    try:
        raw = base64.b64decode(data, validate=True)
    except (ValueError, TypeError):
        raise ValueError("its data are not base64") from None
    size = np.dtype(dtype).itemsize * math.prod(shape)
    if len(raw) != size:
        raise ValueError(f"got {len(raw)} bytes, expected {size} for shape {shape} of {dtype}")
    return np.frombuffer(raw, np.dtype(dtype)).reshape(shape).copy()


def _short(value: Any) -> str:
    """Return a value of an answer in a few characters."""
    return cut(printable(repr(value)), MAX_SHOWN_BYTES)


def _shown(line: bytes) -> str:
    text = line[:MAX_SHOWN_BYTES].decode("utf-8", "replace").rstrip()
    return repr(text + "..." if len(line) > MAX_SHOWN_BYTES else text)
