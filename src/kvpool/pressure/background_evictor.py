"""A thread that keeps blocks empty, so that allocations need not evict."""

from __future__ import annotations

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
        self._pool = weakref.ref(pool, self._forget)
        self._reserve = reserve
        self._batch = batch
        self._wake = threading.Event()
        self._idle = threading.Condition()
        self._is_idle = False
        self._is_stopped = False
        self.num_evicted = 0
        self._thread = threading.Thread(target=self._run, name="kvpool-evictor", daemon=True)
        pool.wake_below(reserve, self._wake.set)
        self._wake.set()
        self._thread.start()

    def _forget(self, _: object) -> None:
        self._is_stopped = True
        self._wake.set()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._is_stopped or not self._refill():
                return
            with self._idle:
                self._is_idle = not self._wake.is_set()
                self._idle.notify_all()

    def _refill(self) -> bool:
        """Evict until the reserve is there, or nothing is left to evict; False when the pool is gone."""
        while not self._is_stopped:
            pool = self._pool()
            if pool is None:
                return False
            empty = pool.status().empty
            evicted = pool.evict_ahead(min(self._reserve, empty + self._batch)).num_blocks
            self.num_evicted += evicted
            if evicted == 0:
                return True
        return True

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
            return self._idle.wait_for(lambda: self._is_idle and not self._wake.is_set(), timeout)

    def stop(self) -> None:
        """End the thread, and wait for that. No effect when it was done before."""
        pool = self._pool()
        if pool is not None and not self._is_stopped:
            pool.wake_below(0, self._wake.set)
        self._is_stopped = True
        self._wake.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __enter__(self) -> BackgroundEvictor:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
