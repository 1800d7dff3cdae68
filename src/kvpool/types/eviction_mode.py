"""How much an eviction under pressure takes."""

from __future__ import annotations

import enum

__all__ = ["EvictionMode"]


class EvictionMode(enum.Enum):
    """How much :meth:`~kvpool.BlockPool.trigger_eviction` takes."""

    NORMAL = "normal"
    """Cached blocks, until no more than the low watermark's share of the pool is cached or held."""
    AGGRESSIVE = "aggressive"
    """Every cached block that was not given a priority above the default."""
