"""All that is told of a pool, read in one go."""

from __future__ import annotations

from dataclasses import dataclass

from kvpool.metrics.namespace_reading import NamespaceReading
from kvpool.types.event_statistics import EventStatistics
from kvpool.types.latency_histogram import LatencyHistogram
from kvpool.types.pool_status import PoolStatus
from kvpool.types.reuse_statistics import ReuseStatistics

__all__ = ["PoolReading"]


@dataclass(frozen=True, slots=True, eq=False)
class PoolReading:
    """All that is told of a pool, read in one go. It holds numbers, never the pool.

    Attributes
    ----------
    name : str
        Under which the pool is shown.
    block_size : int
        Tokens.
    shares_duplicates : bool
        Whether a hash that is registered twice is one block.
    status : PoolStatus
        Of one moment; what follows is from right after it.
    allocation_failures : int
    latencies : dict of str to LatencyHistogram
        Empty while no calls are timed.
    events : EventStatistics
    reuse : ReuseStatistics or None
        None without ``reuse_sampling``.
    namespaces : tuple of NamespaceReading
        Empty without ``max_namespaces``.
    """

    name: str
    block_size: int
    shares_duplicates: bool
    status: PoolStatus
    allocation_failures: int
    latencies: dict[str, LatencyHistogram]
    events: EventStatistics
    reuse: ReuseStatistics | None
    namespaces: tuple[NamespaceReading, ...]
