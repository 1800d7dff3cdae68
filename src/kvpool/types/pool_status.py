"""The pool at one moment."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PoolStatus"]


class PoolStatus(NamedTuple):
    """Snapshot of a pool, of one moment: ``total == empty + cached + active``, ``active == mutable + immutable``.

    Attributes
    ----------
    total, empty, cached, active, available : int
        Blocks; ``available == empty + cached``.
    mutable, immutable : int
        Active blocks without and with identity; a block held only through one that continues it counts as immutable.
    allocations, allocations_from_empty, evictions : int
        Blocks handed out since the pool was made; of these, from empty ones and by evicting.
    registrations, duplicates : int
        Blocks given to ``register_blocks``; of these, whose hash was registered already.
    match_hashes_requested, match_blocks_returned : int
        By ``match_sequence_hashes``.
    scan_hashes_requested, scan_blocks_returned : int
        By ``match_scattered``.
    touches, resets : int
        Blocks.
    waiting : int
        Calls that wait for blocks.
    pinned : int
        Blocks that pins keep, those that pinned ones continue included.
    evictions_ahead : int
        Blocks evicted before an allocation needed their room: by ``evict_ahead``, ``trigger_eviction`` and caps that
        were lowered.
    evictions_for_pressure : int
        Of these, those by ``trigger_eviction`` and caps.
    truncations : int
        Blocks that lost their identity because a sequence took tokens of them back.
    """

    total: int
    empty: int
    cached: int
    active: int
    available: int
    mutable: int
    immutable: int
    allocations: int
    allocations_from_empty: int
    evictions: int
    registrations: int
    duplicates: int
    match_hashes_requested: int
    match_blocks_returned: int
    scan_hashes_requested: int
    scan_blocks_returned: int
    touches: int
    resets: int
    waiting: int
    pinned: int = 0
    evictions_ahead: int = 0
    evictions_for_pressure: int = 0
    truncations: int = 0
