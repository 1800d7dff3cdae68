"""What goes wrong in the middle of a request."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

try:
    import _testcapi  # type: ignore[import-not-found]
except ImportError:  # an interpreter without its tests
    _testcapi = None

__all__ = ["Faults", "InjectedError", "Interruption"]


class InjectedError(RuntimeError):
    """What callbacks raise, and requests that are aborted."""


class Interruption(KeyboardInterrupt):
    """What a signal handler raises, wherever the program is."""


class Faults:
    """Makes callbacks, allocations and signals fail when it is told to.

    To be used in the main thread, where signals are handled.
    """

    def __init__(self) -> None:
        self.clock_calls_left = -1
        self.callback_calls_left = -1
        self.is_armed = False
        self.seconds = 0.0
        self.previous = signal.signal(signal.SIGALRM, self._handle)
        self.previous_timer = signal.setitimer(signal.ITIMER_REAL, 0)

    def close(self) -> None:
        """Give the signal back to who had it."""
        self._disarm()
        signal.signal(signal.SIGALRM, self.previous)
        signal.setitimer(signal.ITIMER_REAL, *self.previous_timer)

    def clock(self) -> float:
        """Return the time of the pools, or raise."""
        if self.clock_calls_left >= 0:
            self.clock_calls_left -= 1
            if self.clock_calls_left < 0:
                raise InjectedError("the clock")
        return self.seconds

    def callback(self, *_: object) -> None:
        """Do nothing, or raise: for subscribers, policies and those who listen for pressure."""
        if self.callback_calls_left >= 0:
            self.callback_calls_left -= 1
            if self.callback_calls_left < 0:
                raise InjectedError("a callback")

    # Each calls a function and returns whether it was cut short

    def with_clock(self, call: Callable[[], Any], after: int) -> bool:
        """Have the clock raise the next time but `after`."""
        self.clock_calls_left = after
        try:
            call()
        except InjectedError:
            return True
        finally:
            self.clock_calls_left = -1
        return False

    def with_callback(self, call: Callable[[], Any], after: int) -> bool:
        """Have a callback raise the next time but `after`."""
        self.callback_calls_left = after
        try:
            call()
        except InjectedError:
            return True
        finally:
            self.callback_calls_left = -1
        return False

    def with_signal(self, call: Callable[[], Any], after: float) -> bool:
        """Have a signal handler raise after so many seconds."""
        try:
            try:
                self.is_armed = True
                signal.setitimer(signal.ITIMER_REAL, after)
                call()
            finally:
                self._disarm()
        except Interruption:
            return True
        return False

    def with_shortage(self, call: Callable[[], Any], number: int) -> bool:
        """Let one allocation of Python's fail; the call should be one of the library's.

        The interpreter itself does not survive every failed allocation in its own bytecode.
        """
        if _testcapi is None:
            call()
            return False
        try:
            try:
                _testcapi.set_nomemory(number, number + 1)
                call()
            finally:
                _testcapi.remove_mem_hooks()
        except MemoryError:
            return True
        return False

    def _disarm(self) -> None:
        self.is_armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        if self.is_armed:
            self.is_armed = False
            raise Interruption
