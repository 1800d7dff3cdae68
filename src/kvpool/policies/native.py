"""The eviction policies that the core has."""

from __future__ import annotations

__all__ = ["EVICTION_POLICIES"]

EVICTION_POLICIES = (
    "lru",
    "priority",
    "fifo",
    "lfu",
    "slru",
    "s3fifo",
    "sieve",
    "arc",
    "multi_lru",
    "lineage",
    "adaptive",
)
"""Names that :class:`~kvpool.BlockPool` takes for ``eviction``.

Whatever the policy, blocks of lower priority go before, blocks of higher priority after all others, and no cached block
loses an ancestor. So ``priority``, which is LRU with priorities, and ``lineage``, which is LRU over leaves, are ``lru``
by other names: what is released together goes last block first, and a held block holds its ancestors, so that the
oldest block is always a leaf.
"""
