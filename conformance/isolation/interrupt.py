"""Ctrl-C, heard where a run looks for it: raised anywhere, in a callback of Hypothesis say, it may be lost."""

from __future__ import annotations

import signal
import threading
from typing import Any


class Interrupt:
    """Hears the first Ctrl-C in place of the handler that there was, until ``close()``; the second goes to that one.

    Elsewhere than in the main thread, and where Ctrl-C is ignored, it changes nothing.
    """

    def __init__(self) -> None:
        self.heard, self.handler = False, signal.getsignal(signal.SIGINT)
        self.hearing = threading.current_thread() is threading.main_thread() and callable(self.handler)
        if self.hearing:
            signal.signal(signal.SIGINT, self.hear)

    def hear(self, *signal_and_frame: Any) -> None:
        """The handler."""
        if self.heard:
            self.handler(*signal_and_frame)
        self.heard = True

    def look(self) -> None:
        """Raise KeyboardInterrupt if there was one."""
        if self.heard:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Put back the handler that there was."""
        if self.hearing and signal.getsignal(signal.SIGINT) == self.hear:
            signal.signal(signal.SIGINT, self.handler)
