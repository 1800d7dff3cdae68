"""The metrics of one pool."""

from __future__ import annotations

import threading
import weakref

from kvpool._core.pool import BlockPool
from kvpool.errors import BlockPoolError
from kvpool.metrics.namespace_reading import NamespaceReading
from kvpool.metrics.pool_reading import PoolReading

__all__ = ["PoolMetrics"]


class PoolMetrics:
    """The metrics of one pool. Made by :meth:`BlockManagerMetrics.pool`, given to ``BlockPool(pool_metrics=...)``.

    It reads the pool's own counters when it is asked, and does nothing in between. It does not keep the pool alive:
    when the pool is gone, there is nothing to read, and another pool can take its place, whose counters begin at 0.

    Parameters
    ----------
    name : str
        Under which the pool is shown.
    call_period : int
        One of so many calls of the pool is timed; 0: none.
    """

    def __init__(self, name: str, call_period: int) -> None:
        self._name = name
        self._call_period = call_period
        self._pool: weakref.ref[BlockPool] | None = None
        self._lock = threading.Lock()  # without it, two pools that are made at once could both be bound

    def __repr__(self) -> str:
        """Say whose they are."""
        return f"<PoolMetrics {self._name!r} of {self.pool!r}>"

    @property
    def name(self) -> str:
        """Under which the pool is shown."""
        return self._name

    @property
    def pool(self) -> BlockPool | None:
        """The pool, or None while there is none."""
        return None if self._pool is None else self._pool()

    def bind(self, pool: BlockPool) -> None:
        """Tell of this pool from now on, and begin to time its calls. The pool's constructor calls it.

        Parameters
        ----------
        pool : BlockPool

        Raises
        ------
        BlockPoolError
            Another pool has the name, and is alive.
        """
        if not isinstance(pool, BlockPool):
            raise TypeError(f"pool must be a BlockPool, not {type(pool).__name__}")
        with self._lock:
            bound = self.pool
            if bound is pool:
                return
            if bound is not None:
                raise BlockPoolError(f"metrics {self._name!r} are those of another pool, {bound!r}")
            pool.time_calls(self._call_period)
            self._pool = weakref.ref(pool)

    def read(self) -> PoolReading | None:
        """Return what there is to tell of the pool, or None: there is no pool."""
        pool = self.pool
        if pool is None:
            return None
        status = pool.status()
        latencies = pool.latencies()
        # A pool without namespaces has no quotas to read.
        namespaces = pool.namespaces.values() if pool.max_namespaces else ()
        return PoolReading(
            name=self._name,
            block_size=pool.block_size,
            shares_duplicates=pool.duplicates == "share",
            status=status,
            allocation_failures=pool.allocation_failures,
            latencies={call: latency for call, latency in latencies.items() if latency.period},
            events=pool.event_statistics(),
            reuse=pool.reuse_statistics() if pool.reuse_sampling else None,
            namespaces=tuple(
                NamespaceReading(each.name, each.held_blocks, each.cached_blocks, each.floor, each.cap)
                for each in namespaces
            ),
        )
