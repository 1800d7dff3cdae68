"""What happened to the registry."""

from __future__ import annotations

import enum
from typing import NamedTuple

from kvpool.types.eviction_reason import EvictionReason

__all__ = ["PoolEvent", "PoolEventKind"]


class PoolEventKind(enum.IntEnum):
    """What happened to the registry."""

    STORED = 1
    """A sequence hash entered."""
    REMOVED = 2
    """A sequence hash left, with its last copy."""
    CLEARED = 3
    """All left at once."""


class PoolEvent(NamedTuple):
    """One change of the registry; replaying them in order gives the registry.

    Attributes
    ----------
    sequence_number : int
        Counts from 0, without gaps, in the order in which it happened.
    kind : PoolEventKind
    sequence_hash : int or None
        None for ``CLEARED``.
    parent_hash : int or None
        For ``STORED``: of the block before it, when that is registered.
    block_id : int or None
        For ``REMOVED`` from a pool that keeps duplicates: the last copy.
    reason : EvictionReason or None
        For ``REMOVED`` and ``CLEARED``.
    namespace : str
        Name of the namespace whose block it is; "" for none.
    token_ids : tuple of int or None
        For ``STORED``, where they are known and the pool keeps them.
    """

    sequence_number: int
    kind: PoolEventKind
    sequence_hash: int | None
    parent_hash: int | None
    block_id: int | None
    reason: EvictionReason | None
    namespace: str = ""
    token_ids: tuple[int, ...] | None = None
