"""What a backend's process sends crosses as checked JSON; nothing of it is executed, and everything is bounded."""

import json
import math
import pickle
import socket
import threading
import time
import types
from dataclasses import fields, replace

import numpy as np
import pytest

from conformance import Features
from conformance.engine.pattern import Condition, Pattern, Test
from conformance.engine.verdict import Verdict
from conformance.isolation import channel
from conformance.isolation.channel import LENGTH, BackendChannel, BadMessage, RunChannel, parsed, written
from conformance.isolation.host_process import process_id
from conformance.isolation.messages import data_of, integer, packed, record, seconds, text, unpacked, without_call
from conformance.onnx.features import OnnxFeatures
from conformance.start.hand import Amiss, Tried

FULL = Verdict(
    examples=7,
    margin=math.inf,
    steps=[0.5, math.inf],
    failure="output: got 1\n  printed: x",
    raised="forward raised ValueError",
    excused=1,
    cause="SHAPE-OUTPUT",
    elsewhere=2,
    refused=1,
    others=["a", "b"],
    after=["A"],
    before=["B"],
    depends=True,
    carries=True,
    call={"call": "layer", "config": {"kind": "gru", "bias": False}, "x": [[1.0, math.nan]], "lengths": [3, 1]},
    example="gru layer",
    note="noted",
    diagnosis=[{"fault": "f", "explanation": "e"}],
    more=3,
    numeric=False,
    common="all",
    pattern=Pattern(
        3,
        9,
        Condition("T > 4, N odd or no biases", [Test(">", "T", 4), Test("remainder", "N", 2, among=[1])], False),
        form="layer",
        also=Condition("T < N", [Test("related", "T", other="N", among=[-1], negated=True)]),
    ),
    reproducer="print('é')\n",
    explaining=0.25,
    replayed="fails",
    seed=5,
    recalled=True,
    known_failure="[[known_failure]]\n",
)


def crossed(verdict):
    return record(Verdict, parsed(written(data_of(verdict))))


def test_every_field_of_a_verdict_crosses():
    assert [f.name for f in fields(Verdict) if getattr(FULL, f.name) == getattr(Verdict(), f.name)] == []
    assert repr(crossed(FULL)) == repr(FULL)
    assert crossed(Verdict()) == Verdict()
    assert data_of(Verdict(examples=50, margin=0.5)) == {"examples": 50, "margin": 0.5}
    assert set(data_of(FULL)) - set(without_call(FULL)) == {"call", "reproducer", "known_failure"}
    tried = Tried(3, [Amiss("k", "s", True)], ["n"], True)
    assert record(Tried, parsed(written(data_of(tried)))) == tried


@pytest.mark.parametrize(
    "wrong",
    [
        {"examples": "7"},
        {"examples": True},
        {"examples": 1.0},
        {"examples": 10**30},
        {"margin": "0"},
        {"steps": {"0": 1}},
        {"steps": [None]},
        {"failure": None},
        {"failure": ["x"]},
        {"depends": 1},
        {"call": []},
        {"diagnosis": [{"fault": 3}]},
        {"after": "ABC"},
        {"passed": True},
        {"__class__": "os"},
        [],
        None,
    ],
    ids=str,
)
def test_another_field_or_type_is_no_verdict(wrong):
    with pytest.raises(BadMessage):
        record(Verdict, wrong)


def test_every_text_is_safe_to_print_and_to_write():
    bad = "\x1b[2J\ud800\x00"
    found = crossed(replace(FULL, failure=bad, others=[bad], call={bad: [{"x": bad}]}, diagnosis=[{"fault": bad}]))
    assert all(c.isprintable() for c in json.dumps([found.failure, found.others, found.call, found.diagnosis]))
    found.failure.encode()


@pytest.mark.parametrize(
    "data", [b"", b"{", pickle.dumps(FULL), b"\xff", b"[" * 100_000, b"9" * 5000, b"[" + b"{}," * (1 << 20) + b"{}]"]
)
def test_what_is_no_json_of_the_suite_is_a_bad_message(data):
    with pytest.raises(BadMessage):
        parsed(data)


def test_values_of_numpy_sets_and_mappings_cross_as_plain_data():
    claims = types.MappingProxyType({"a": np.int64(3), "b": np.False_, "c": {"y", "x"}, "d": np.float32(0.5)})
    assert parsed(written(claims)) == {"a": 3, "b": False, "c": ["x", "y"], "d": 0.5}
    with pytest.raises(TypeError):
        written({"a": object()})
    for features in (
        Features(by_kind={"gru": {"lengths": False, "dtypes": {"float64"}}}, gradients=["x"], fixed_shapes="steps"),
        OnnxFeatures(by_operator={"GRU": {"inputs": {"B"}}}, hidden_sizes={4}, opsets={7}),
    ):
        again = type(features)(**parsed(written(features.as_json())))
        assert again.as_json() == features.as_json()


def test_numbers_and_bytes_are_checked():
    assert integer(3, 3) == 3
    assert unpacked(packed(b"\x00x")) == b"\x00x"
    assert seconds({"a": 1}) == {"a": 1.0}
    for check, wrong in (
        *((integer, value) for value in (-1, True, 1.0, "1", 1 << 60)),
        *((seconds, value) for value in ({"a": -1}, {"a": math.nan}, {"a": "1"}, [])),
        *((unpacked, value) for value in ("*", 3)),
        (text, 3),
    ):
        with pytest.raises(BadMessage):
            check(wrong)


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    yield RunChannel(ours), BackendChannel(theirs)
    ours.close()
    theirs.close()


def test_a_length_beyond_the_limit_is_refused_unread(ends):
    run, backend = ends
    backend.connection.sendall(LENGTH.pack(3 << 30))
    with pytest.raises(BadMessage, match="3221225472 bytes, more than the 64 MiB allowed"):
        run.receive()


def test_a_message_that_drips_is_not_waited_for(ends, monkeypatch):
    monkeypatch.setattr(channel, "MESSAGE_SECONDS", 0.3)
    run, backend = ends
    over = threading.Event()

    def drip():
        while not over.wait(0.05):
            backend.connection.sendall(b"\x01")

    threading.Thread(target=drip, daemon=True).start()
    backend.connection.sendall(LENGTH.pack(1 << 20))
    started = time.monotonic()
    with pytest.raises(BadMessage, match="did not arrive in full"):
        run.receive()
    over.set()
    assert time.monotonic() - started < 60, "the whole message would take hours"


def test_the_run_sends_objects_and_the_end_is_told(ends):
    run, backend = ends
    run.send(FULL)
    assert repr(backend.receive()) == repr(FULL)
    backend.connection.close()
    with pytest.raises(EOFError):
        run.receive()


@pytest.mark.parametrize("value", [0, 1, -7, True, "7", 7.0, None, 1 << 23, [7]])
def test_what_is_no_process_is_never_signalled(value):
    """0 is the group of pytest's own process."""
    with pytest.raises(BadMessage):
        process_id(value)
    assert process_id(4321) == 4321
