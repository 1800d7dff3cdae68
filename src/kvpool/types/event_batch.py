"""Consecutive events of a pool, in columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvpool.types.eviction_reason import EvictionReason
from kvpool.types.pool_event import PoolEvent, PoolEventKind

__all__ = ["EventBatch"]

_KINDS = {kind.value: kind for kind in PoolEventKind}
_REASONS = {reason.value: reason for reason in EvictionReason}


@dataclass(frozen=True, slots=True, eq=False)
class EventBatch:
    """Consecutive events of a pool, in columns; iterating makes a :class:`PoolEvent` of each.

    Attributes
    ----------
    first : int
        Sequence number of the first event; the others follow without gaps. In a snapshot, all have this number.
    missed : int
        Events before the first that were lost, because the pool's ring was full before they were read.
    timestamp : float
        When the batch was read, in seconds of ``time.time``.
    block_size : int
        Tokens of a block.
    kinds : array of uint8, shape (n,)
        Values of :class:`PoolEventKind`.
    reasons : array of uint8, shape (n,)
        Values of :class:`EvictionReason`; 0 for ``STORED``.
    hashes : array of uint64, shape (n,)
        Sequence hashes; meaningless for ``CLEARED``.
    parents : array of uint64, shape (n,)
        Sequence hashes of the blocks before; meaningful where ``has_parent``.
    has_parent : array of bool, shape (n,)
    block_ids : array of int32, shape (n,)
        -1 for ``CLEARED``.
    namespaces : array of uint8, shape (n,)
        Positions in ``namespace_names``.
    namespace_names : tuple of str
        The first is "", for blocks of no namespace.
    tokens : array of uint32, shape (n, block_size), or None
        Token ids where ``has_tokens``; None when the pool keeps none.
    has_tokens : array of bool, shape (n,)
        Only ``STORED`` can have them.
    is_snapshot : bool
        Whether it tells what is registered when the event ``first`` is about to come, parents before children.
    """

    first: int
    missed: int
    timestamp: float
    block_size: int
    kinds: NDArray[np.uint8]
    reasons: NDArray[np.uint8]
    hashes: NDArray[np.uint64]
    parents: NDArray[np.uint64]
    has_parent: NDArray[np.bool_]
    block_ids: NDArray[np.int32]
    namespaces: NDArray[np.uint8]
    namespace_names: tuple[str, ...]
    tokens: NDArray[np.uint32] | None
    has_tokens: NDArray[np.bool_]
    is_snapshot: bool = False

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.kinds)

    def __iter__(self) -> Iterator[PoolEvent]:
        """Yield each event."""
        columns = zip(
            self.kinds.tolist(),
            self.hashes.tolist(),
            self.parents.tolist(),
            self.has_parent.tolist(),
            self.block_ids.tolist(),
            self.reasons.tolist(),
            self.namespaces.tolist(),
            self.has_tokens.tolist(),
            strict=True,
        )
        for i, (kind, hash_, parent, has_parent, block_id, reason, space, has_tokens) in enumerate(columns):
            tokens = None
            if has_tokens and self.tokens is not None:
                tokens = tuple(self.tokens[i].tolist())
            is_cleared = kind == PoolEventKind.CLEARED
            yield PoolEvent(
                self.first if self.is_snapshot else self.first + i,
                _KINDS[kind],
                None if is_cleared else hash_,
                parent if has_parent else None,
                None if is_cleared else block_id,
                _REASONS.get(reason),
                self.namespace_names[space],
                tokens,
            )

    def __repr__(self) -> str:
        """Say which events these are."""
        missed = f", {self.missed} missed before" if self.missed else ""
        if self.is_snapshot:
            return f"<EventBatch: snapshot of {len(self)} blocks at {self.first}>"
        return f"<EventBatch: {len(self)} events from {self.first}{missed}>"

    @property
    def next(self) -> int:
        """Sequence number of the event that comes after the batch."""
        return self.first if self.is_snapshot else self.first + len(self)
