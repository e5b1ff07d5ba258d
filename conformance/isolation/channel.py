"""Messages between the processes of a run."""

from __future__ import annotations

import os
import pickle
import socket
import struct
from typing import Any

LENGTH = struct.Struct("<Q")
MAX_PIECE_BYTES = 1 << 20  # of one read


class Channel:
    """Pickled messages, each after its length, over a socket; only the process that made the object may use it."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.owner = connection, os.getpid()

    def send(self, message: Any) -> None:
        """Send a message. Raises OSError if the other side has ended."""
        if os.getpid() != self.owner:
            os._exit(0)  # a process that the adapter forked has returned into the suite
        data = pickle.dumps(message)
        self.connection.sendall(LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Return the next message. Raises EOFError if the other side has ended."""
        if os.getpid() != self.owner:
            os._exit(0)
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size))
        return pickle.loads(self._exactly(length))

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            try:
                more = self.connection.recv(min(count - len(data), MAX_PIECE_BYTES))
            except ConnectionError:
                more = b""
            if not more:
                raise EOFError
            data += more
        return bytes(data)
