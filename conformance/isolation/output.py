"""The output of a backend's process."""

from __future__ import annotations

import os
import re

from conformance.engine.files import working_folder
from conformance.engine.text import printable

PACKAGE = os.path.dirname(os.path.dirname(__file__))
MAX_EXCERPT_LINES = 6  # at the beginning and at the end
MAX_LINE_CHARACTERS = 200  # of an excerpt

# Frames of an adapter, a case or a fault show the place of a hang or crash; other frames of the suite do not.
ADAPTERS = r"backends/|cases/|specifications/\w+/faults/"

# In the output of Python's fault handler: frames of the suite, and the list of imported modules.
OWN_FRAMES = re.compile(rf'  File "(<string>|{re.escape(PACKAGE)}/(?!{ADAPTERS})[\w/]+\.py)"|Extension modules:')
PLACES = re.compile(r'(?<=")/[^"\n]*/site-packages/')


class Output:
    """The output of a process: its beginning and its end."""

    KEPT_BYTES = 8000  # at the beginning and at the end
    MAX_READS = 64  # of 64 KiB at a time, because the caller has other work

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.forget()

    def forget(self) -> None:
        """Drop the output so far."""
        self.first, self.last, self.total = b"", b"", 0

    def read(self) -> None:
        """Read the available output, at most some megabytes."""
        for _ in range(self.MAX_READS):
            try:
                data = os.read(self.descriptor, 1 << 16)
            except OSError:
                return
            if not data:
                return
            self.total += len(data)
            self.first += data[: self.KEPT_BYTES - len(self.first)]
            self.last = (self.last + data)[-self.KEPT_BYTES :]

    @property
    def text(self) -> str:
        """The whole output, or its beginning and its end."""
        if self.total <= self.KEPT_BYTES:
            return self.first.decode("utf-8", "replace")
        left_out = f"\n[... {self.total} bytes ...]\n"
        return self.first.decode("utf-8", "replace") + left_out + self.last.decode("utf-8", "replace")

    def excerpt(self) -> str:
        """Return the first and the last lines, without the suite's own frames, addresses and installation paths."""
        printed = re.sub(r"\b0x[0-9a-f]+", "0x...", printable(self.text)).splitlines()
        here = os.path.join(working_folder(), "")
        lines = [
            PLACES.sub("", line).replace(here, "")[:MAX_LINE_CHARACTERS]
            for line in printed
            if line.strip() and not OWN_FRAMES.match(line)
        ]
        if len(lines) > 2 * MAX_EXCERPT_LINES:
            lines[MAX_EXCERPT_LINES:-MAX_EXCERPT_LINES] = ["[...]"]
        return "\n".join(lines)
