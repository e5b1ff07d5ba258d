"""What a backend's process prints."""

from __future__ import annotations

import os
import re

PACKAGE = os.path.dirname(os.path.dirname(__file__))
MAX_EXCERPT_LINES = 6  # of the first and of the last that were printed

# In what Python's fault handler prints: frames of the suite, and the list of everything imported.
OWN_FRAMES = re.compile(rf'  File "(<string>|{re.escape(PACKAGE)}/[\w/]+\.py)"|Extension modules:')
PLACES = re.compile(r'(?<=")/[^"\n]*/site-packages/')


class Output:
    """What a process prints: read as it comes, its beginning and end kept."""

    KEPT = 8000  # bytes of the beginning and of the end

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)
        self.forget()

    def forget(self) -> None:
        """Keep nothing of what was read so far."""
        self.first, self.last, self.total = b"", b"", 0

    def read(self) -> None:
        """Read what is there, at most some megabytes of it: other work waits."""
        for _ in range(64):
            try:
                data = os.read(self.descriptor, 1 << 16)
            except OSError:
                return
            if not data:
                return
            self.total += len(data)
            self.first += data[: self.KEPT - len(self.first)]
            self.last = (self.last + data)[-self.KEPT :]

    @property
    def text(self) -> str:
        """The whole, or its beginning and its end."""
        if self.total <= self.KEPT:
            return self.first.decode("utf-8", "replace")
        left_out = f"\n[... {self.total} bytes ...]\n"
        return self.first.decode("utf-8", "replace") + left_out + self.last.decode("utf-8", "replace")

    def excerpt(self) -> str:
        """Return the first and the last lines, without the suite's own frames, addresses and places."""
        printed = re.sub(r"\b0x[0-9a-f]+", "0x...", self.text).splitlines()
        here = os.path.join(os.getcwd(), "")
        lines = [
            PLACES.sub("", line).replace(here, "")[:200]
            for line in printed
            if line.strip() and not OWN_FRAMES.match(line)
        ]
        if len(lines) > 2 * MAX_EXCERPT_LINES:
            lines[MAX_EXCERPT_LINES:-MAX_EXCERPT_LINES] = ["[...]"]
        return "\n".join(lines)
