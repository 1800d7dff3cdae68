"""Keeping blocks empty, so that allocations need not evict."""

from __future__ import annotations

import math
import os
import threading
import weakref
from types import TracebackType

from kvpool._core.pool import BlockPool

__all__ = ["BackgroundEvictor"]


class BackgroundEvictor:
    """Evicts ahead of demand: whenever a call leaves fewer than ``reserve`` blocks empty, until so many are again.

    It sleeps until the pool wakes it, and evicts in batches, so that no call has to wait for long. It ends with
    :meth:`stop`, at the end of ``with``, and when the pool is gone. A pool has one at a time.

    Parameters
    ----------
    pool : BlockPool
    reserve : int
        Empty blocks to keep, in [1, num_blocks].
    batch : int, default 256
        Blocks evicted at a time, at least 1.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of its bounds.

    Examples
    --------
    >>> from kvpool import BackgroundEvictor, BlockPool
    >>> pool = BlockPool(num_blocks=64)
    >>> with BackgroundEvictor(pool, reserve=16):
    ...     blocks = pool.allocate_blocks(8)
    """

    def __init__(self, pool: BlockPool, reserve: int, *, batch: int = 256) -> None:
        if not isinstance(pool, BlockPool):
            raise TypeError(f"pool must be a BlockPool, not {type(pool).__name__}")
        for name, value, high in (("reserve", reserve, pool.total_blocks), ("batch", batch, None)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise TypeError(f"{name} must be an int, not {type(value).__name__}")
            if value < 1 or (high is not None and value > high):
                raise ValueError(f"{name} = {value} is not {'at least 1' if high is None else f'in [1, {high}]'}")
        self._pool = weakref.ref(pool)
        self._engine = pool.progress_engine
        self._reserve = reserve
        self._batch = batch
        self._idle = threading.Condition()
        self._is_idle = False
        self._is_stopped = False
        self.num_evicted = 0
        _evictors.add(self)
        pool.wake_below(reserve, self._wake)
        self._engine.add_chore(self._refill)
        self._engine.call_later(math.inf, self._end)  # that is, when the pool is closed or gone

    def _wake(self) -> None:
        if not self._is_stopped:
            self._is_idle = False
            self._engine.ring()

    def _refill(self, pool: BlockPool) -> bool:
        """Evict a batch; return whether there is more to do."""
        with self._idle:
            if self._is_stopped:
                return False
            self._is_idle = True  # unless the pool calls for more from now on
            try:
                evicted = pool.evict_ahead(min(self._reserve, pool.status().empty + self._batch)).num_blocks
            except BaseException:
                self._is_idle = False
                raise
            self.num_evicted += evicted
            if evicted > 0:
                self._is_idle = False
            self._idle.notify_all()
        return evicted > 0

    def wait_until_idle(self, timeout: float | None = None) -> bool:
        """Wait until the reserve is there, or as much of it as can be.

        Parameters
        ----------
        timeout : float, optional
            Seconds to wait at most.

        Returns
        -------
        bool
            Whether it is so.
        """
        with self._idle:
            return self._idle.wait_for(
                lambda: self._is_idle, None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
            )

    def _end(self) -> None:
        with self._idle:  # not while it evicts
            self._is_stopped = True
            self._is_idle = True
            self._idle.notify_all()

    def stop(self) -> None:
        """Evict nothing any more. No effect when it was done before."""
        self._end()
        self._engine.remove_chore(self._refill)
        pool = self._pool()
        if pool is not None:
            pool.wake_below(0, self._wake)

    def __enter__(self) -> BackgroundEvictor:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _forget_after_fork(self) -> None:
        """In a forked child: nothing is evicted ahead there, and who had the lock is in the parent."""
        self._idle = threading.Condition()
        self._is_stopped = self._is_idle = True


_evictors: weakref.WeakSet[BackgroundEvictor] = weakref.WeakSet()


def _forget_all_after_fork() -> None:
    for evictor in list(_evictors):
        evictor._forget_after_fork()


os.register_at_fork(after_in_child=_forget_all_after_fork)
