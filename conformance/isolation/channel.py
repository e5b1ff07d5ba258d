"""Messages between the processes of a run.

What the run sends is pickled: it is the suite's own. What a backend's process sends is JSON, because the adapter runs
in that process: the run executes nothing of it, bounds its size and its time, and checks every field
(``conformance.isolation.messages``).
"""

from __future__ import annotations

import json
import os
import pickle
import socket
import struct
import time
from collections.abc import Mapping, Set
from typing import Any

LENGTH = struct.Struct("<Q")
MAX_PIECE_BYTES = 1 << 20  # of one read
MAX_MESSAGE_BYTES = 64 << 20  # of a backend's process
MAX_ITEMS = 1 << 20  # of lists and objects in it; each takes far more memory than it has bytes
MESSAGE_SECONDS = 20.0  # for a message to arrive in full


class BadMessage(Exception):
    """A message that the suite does not send; the text says what came, to follow "sent"."""


class _Channel:
    """Messages, each after its length, over a socket; only the process that made the object may use it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.owner = connection, os.getpid()

    def _write(self, data: bytes) -> None:
        if os.getpid() != self.owner:
            os._exit(0)  # a process that the adapter forked has returned into the suite
        self.connection.sendall(LENGTH.pack(len(data)) + data)

    def _exactly(self, count: int, until: float | None = None) -> bytes:
        if os.getpid() != self.owner:
            os._exit(0)
        data = bytearray()
        while len(data) < count:
            if until is not None:
                self.connection.settimeout(max(until - time.monotonic(), 1e-3))
            try:
                more = self.connection.recv(min(count - len(data), MAX_PIECE_BYTES))
            except TimeoutError:
                raise BadMessage(f"a message that did not arrive in full within {MESSAGE_SECONDS:g} s") from None
            except ConnectionError:
                more = b""
            if not more:
                raise EOFError
            data += more
        return bytes(data)


class RunChannel(_Channel):
    """The run's end: it sends objects and receives JSON."""

    def send(self, message: Any) -> None:
        """Send an object. Raises OSError if the other side has ended."""
        self.connection.settimeout(MESSAGE_SECONDS)
        self._write(pickle.dumps(message))

    def receive(self) -> Any:
        """Return the JSON data of the next message. Raises EOFError if the other side has ended, and BadMessage."""
        until = time.monotonic() + MESSAGE_SECONDS
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, until))
        if length > MAX_MESSAGE_BYTES:
            raise BadMessage(f"a message of {length} bytes, more than the {MAX_MESSAGE_BYTES >> 20} MiB allowed")
        return parsed(self._exactly(length, until))


class BackendChannel(_Channel):
    """The end of a backend's process: it sends JSON and receives objects."""

    def send(self, message: Any) -> None:
        """Send JSON data. Raises OSError if the other side has ended, ValueError or TypeError for other data."""
        self._write(written(message))

    def receive(self) -> Any:
        """Return the next object. Raises EOFError if the other side has ended."""
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return pickle.loads(self._exactly(length))


def written(message: Any) -> bytes:
    """Write data as JSON. Raises TypeError for what is none, and ValueError for too much."""
    data = json.dumps(message, default=_plain).encode()
    if len(data) > MAX_MESSAGE_BYTES:
        raise ValueError(f"{len(data)} bytes are more than a message may have")
    return data


def parsed(data: bytes) -> Any:
    """Parse JSON of a bounded number of items. Raises BadMessage."""
    if sum(data.count(one) for one in (b",", b"[", b"{")) > MAX_ITEMS:
        raise BadMessage(f"a message of more than {MAX_ITEMS} items")
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise BadMessage("a message that is not the suite's") from None


def _plain(value: Any) -> Any:
    """Return a value of NumPy, a mapping or a set as JSON data. Raises TypeError for another."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Set):
        return sorted(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON data")
