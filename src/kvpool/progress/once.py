"""Something that happens once, and those who wait for it."""

from __future__ import annotations

import _thread
import contextlib

__all__ = ["Once"]


class Once:
    """Something that happens once, and those who wait for it.

    As :class:`threading.Event`, which may keep its lock for ever when a signal handler raises in one of its calls: then
    whoever sets it next hangs. Here each waiter has a lock of its own, and nobody shares one.
    """

    __slots__ = ("_gates", "_has_happened")

    def __init__(self) -> None:
        self._has_happened = False
        self._gates: list[_thread.LockType] = []

    def is_set(self) -> bool:
        """Return whether it has happened."""
        return self._has_happened

    def set(self) -> None:
        """Let it have happened, and wake those who wait. No effect when it was done before."""
        self._has_happened = True
        gates, self._gates = self._gates, []
        for gate in gates:
            gate.release()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has happened.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether it has.
        """
        if self._has_happened or (timeout is not None and timeout <= 0):
            return self._has_happened
        gate = _thread.allocate_lock()
        gate.acquire()
        self._gates.append(gate)
        try:
            if not self._has_happened:  # looked at last: who sets it looks at the gates afterwards
                gate.acquire(timeout=-1 if timeout is None else min(timeout, _thread.TIMEOUT_MAX))
        finally:
            with contextlib.suppress(ValueError):
                self._gates.remove(gate)
        return self._has_happened
