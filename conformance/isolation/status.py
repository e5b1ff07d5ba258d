"""The status of a worker, in shared memory that outlives it."""

from __future__ import annotations

import mmap

from conformance.isolation.channel import LENGTH


class SharedStatus:
    """The call in progress and the current example, written around every call and read after the worker's end.

    A backend may write there by mistake, so each method takes any content.
    """

    SIZE_BYTES = 8192
    EVENTS, DEPTH, JUDGED = range(3)  # numbers: calls begun and ended, depth of nested calls, examples of this check
    WHAT, EXAMPLE = (64, 1000), (1100, 7000)  # texts: their place and their maximum of bytes

    def __init__(self, descriptor: int) -> None:
        self.memory = mmap.mmap(descriptor, self.SIZE_BYTES)
        self.numbers = memoryview(self.memory)[:64].cast("Q")

    def add(self, number: int, value: int) -> None:
        """Add to a number, which begins again at 0 beyond 64 bits."""
        self.numbers[number] = (self.numbers[number] + value) % (1 << 64)

    def write(self, place: tuple[int, int], text: str) -> None:
        """Write a text."""
        start, most = place
        data = text.encode("utf-8", "replace")[:most]
        self.memory[start : start + 8 + len(data)] = LENGTH.pack(len(data)) + data

    def read(self, place: tuple[int, int]) -> str:
        """Read a text, an empty one where the length is beyond the limit."""
        start, most = place
        (length,) = LENGTH.unpack(self.memory[start : start + 8])
        return "" if length > most else self.memory[start + 8 : start + 8 + length].decode("utf-8", "replace")

    def clear(self) -> None:
        """Clear numbers and texts."""
        self.memory[:] = bytes(self.SIZE_BYTES)
