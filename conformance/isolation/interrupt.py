"""Defer interrupts to safe points: raised elsewhere, in a callback of Hypothesis for example, they can be lost."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """A handler of Ctrl-C and SIGTERM until ``close()``.

    It keeps the first one, and passes the second on to the former handler, or raises KeyboardInterrupt for it. Outside
    of the main thread it does nothing, and a signal that is ignored stays ignored. With ``defer`` False, which may be
    changed at any time, the first one raises KeyboardInterrupt as well. With ``hold`` no signal does anything at once.
    """

    def __init__(self, *, defer: bool = True) -> None:
        self.pressed, self.defer, self.hold = False, defer, False
        self.former: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                former = signal.getsignal(number)
                if former is not None and former != signal.SIG_IGN:  # None: not of Python
                    self.former[number] = former
                    signal.signal(number, self.handle)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Keep the first signal; pass any other on."""
        if self.hold:
            self.pressed = True
        elif not self.pressed:
            self.pressed = True
            if not self.defer:
                raise KeyboardInterrupt
        elif callable(former := self.former.get(number)):
            former(number, frame)
        else:
            raise KeyboardInterrupt

    def raise_if_pressed(self) -> None:
        """Raise KeyboardInterrupt if there was a signal."""
        if self.pressed:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Restore the former handlers."""
        for number, former in self.former.items():
            if signal.getsignal(number) == self.handle:
                signal.signal(number, former)
        self.former.clear()
