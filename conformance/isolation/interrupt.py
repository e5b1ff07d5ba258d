"""Defer KeyboardInterrupt to safe points: raised elsewhere, in a callback of Hypothesis for example, it can be lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """A handler of Ctrl-C until ``close()``: it keeps the first one, and passes the second on to the former handler.

    Outside of the main thread, and if Ctrl-C is ignored, it does nothing.
    """

    def __init__(self) -> None:
        former = signal.getsignal(signal.SIGINT)
        self.pressed = False
        in_main_thread = threading.current_thread() is threading.main_thread()
        self.former = former if in_main_thread and callable(former) else None
        if self.former is not None:
            signal.signal(signal.SIGINT, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Keep the first Ctrl-C; pass any other on."""
        if self.pressed and self.former is not None:
            self.former(number, frame)
        self.pressed = True

    def raise_if_pressed(self) -> None:
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        if self.pressed:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Restore the former handler."""
        if self.former is not None and signal.getsignal(signal.SIGINT) == self.handle:
            signal.signal(signal.SIGINT, self.former)
