# ruff: noqa: E501  one backend on a line
"""Programs behind ``exec:`` whose hello is sound and whose answers to every call are not."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass

from conformance.backends.exec_protocol import ExecBackend
from tests.hostile_kinds import Hostile

FEATURES = {"kinds": ["gru"], "dtypes": ["float32"]}
PROGRAM = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    number, method = request["id"], request["method"]
    if method == "hello":
        result = {"protocol": 1, "name": "program", "version": "1", "features": FEATURES}
    elif method in ("forward", "BROKEN"):
        sys.stdout.buffer.write(ANSWER)
        sys.stdout.flush()
        continue
    else:
        result = {"handle": 1}
    print(json.dumps({"id": number, "result": result}), flush=True)
"""
ARRAY = {"dtype": "float32", "shape": [1], "data": "AACAPw=="}


@dataclass(frozen=True)
class Command:
    """A command that can be built as a backend."""

    command: str

    def __call__(self):
        return ExecBackend(self.command)


def program(answer: str, broken: str = "forward"):
    """Return a function that makes the backend; ``answer`` is Python for the bytes of its answer."""
    source = PROGRAM.replace("ANSWER", answer).replace("BROKEN", broken).replace("FEATURES", repr(FEATURES))
    return Command(shlex.join([sys.executable, "-S", "-E", "-c", source]))


def text(answer: str):
    """Return a function that makes a backend that answers with a line, in which ID stands for the request's."""
    return program(f"{answer!r}.replace('ID', str(number)).encode('utf-8', 'surrogatepass') + b'\\n'")


def output(**fields):
    """Return a function that makes a backend whose output is an array with these fields."""
    found = json.dumps({"output": ARRAY | fields, "h_n": ARRAY, "c_n": None})
    return text(f'{{"id": ID, "result": {found}}}')


NOT_JSON, NO_OBJECT, OUTPUT = "wrote a line that is not JSON", "is no object", "output of the command's answer: "
NOT_ONE = "has not one of result, unsupported and error"
AXES = """json.dumps({"id": number, "result": {"output": {"dtype": "float32", "shape": [1] * 10**6, "data": ""}}}).encode() + b'\\n'"""
BANK = (
    Hostile("a line of words", text("loading kernels"), f"{NOT_JSON}: 'loading kernels'"),
    Hostile("an empty line", text(""), NOT_JSON),
    Hostile("200,000 open brackets", program("b'[' * 200_000 + b'\\n'"), NOT_JSON),
    Hostile("an integer of 100,000 digits", program("b'1' * 100_000 + b'\\n'"), NOT_JSON),
    Hostile("bytes that are no UTF-8", program(r"b'\xff\xfe\n'"), NOT_JSON),
    Hostile("NUL", program(r"b'\x00\n'"), NOT_JSON),
    Hostile("UTF-16", program(r"'{}\n'.encode('utf-16-be') + b'\n'"), NOT_ONE),
    Hostile("escapes for a terminal", text("\x1b[2J"), r"\x1b[2J"),
    Hostile("a list", text("[1, 2]"), NOT_ONE),
    Hostile("a number", text("3"), NOT_ONE),
    Hostile("neither result nor error", text('{"id": ID}'), NOT_ONE),
    Hostile("both result and error", text('{"id": ID, "result": {}, "error": "x"}'), NOT_ONE),
    Hostile("the id as a text", text('{"id": "ID", "result": {}}'), "the command answered request"),
    Hostile("the id as a float", text('{"id": ID.0, "result": {}}'), "the command answered request"),
    Hostile("an id of 1 MB", program("""b'{"id": "' + b"9" * 10**6 + b'", "result": {}}\\n'"""), "the command answered request '999"),
    Hostile("no id", text('{"result": {}}'), "the command answered request None"),
    Hostile("a result that is a list", text('{"id": ID, "result": []}'), NO_OBJECT),
    Hostile("a result that is null", text('{"id": ID, "result": null}'), NO_OBJECT),
    Hostile("an answer without its end", program("b'{' if not sys.stdout.buffer.write(b'{') else sys.exit()"), "broke off"),
    Hostile("no answer", program("sys.exit(7)"), "ended with exit status 7 without an answer"),
    Hostile("a handle that is true", program("""json.dumps({"id": number, "result": {"handle": True}}).encode() + b'\\n'""",
                                             "layer"), "has no handle, an integer"),
    Hostile("an array that is a number", text('{"id": ID, "result": {"output": 3}}'), f"{OUTPUT}an array is an object"),
    Hostile("an array without data", text('{"id": ID, "result": {"output": {"dtype": "float32"}}}'), "an array is an object"),
    Hostile("a dtype that is none", output(dtype="int8"), f"{OUTPUT}got dtype 'int8'"),
    Hostile("a dtype that is a list", output(dtype=["float32"] * 9), f"{OUTPUT}got dtype ['float32'"),
    Hostile("a shape that is a text", output(shape="1"), f"{OUTPUT}got shape '1'"),
    Hostile("a shape of floats", output(shape=[1.0]), f"{OUTPUT}got shape [1.0]"),
    Hostile("a shape below 0", output(shape=[-1]), f"{OUTPUT}got shape [-1]"),
    Hostile("a shape of booleans", output(shape=[True]), f"{OUTPUT}got shape [True]"),
    Hostile("a shape beyond all memory", output(shape=[1 << 40, 1 << 40]), f"{OUTPUT}the shape"),
    Hostile("a shape of integers of 4,000 digits", output(shape=[10**4000] * 3), f"{OUTPUT}the shape"),
    Hostile("a shape of a million axes", program(AXES), f"{OUTPUT}a shape of 1000000 axes"),
    Hostile("data that are no base64", output(data="*"), f"{OUTPUT}its data are not base64"),
    Hostile("data that are no text", output(data=7), f"{OUTPUT}its data are not base64"),
    Hostile("data with a letter of no alphabet", output(data="ÄACAPw=="), f"{OUTPUT}its data are not base64"),
    Hostile("too few data", output(data="AACA"), f"{OUTPUT}got 3 bytes, expected 4"),
    Hostile("an error that is a list", text('{"id": ID, "error": [0, 0, 0]}'), "AdapterError: [0, 0, 0]"),
    Hostile("an error with escapes", text('{"id": ID, "error": "\\u001b[2J\\ud800"}'), r"AdapterError: \x1b[2J\ud800"),
    Hostile("unsupported, for what it claims", text('{"id": ID, "unsupported": "x"}'), "was refused though it is claimed: x"),
)  # fmt: skip
ANSWERED = ("an error that is a list", "an error with escapes", "unsupported, for what it claims")
NEVER_REFUSALS = tuple(one for one in BANK if one.what not in ANSWERED)
