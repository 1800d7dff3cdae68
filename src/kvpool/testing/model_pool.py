"""A second block pool, in plain Python: slow, small, and written to be read beside DESIGN.md, section 3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvpool.errors import ResetError
from kvpool.testing.model_retention import ModelRetention
from kvpool.types import BlockState, EvictionReason, PoolEventKind, PoolStatus

__all__ = ["ModelPool"]

# By whether the block is registered, and whether it is held.
STATES = {
    (False, False): BlockState.AVAILABLE.value,
    (False, True): BlockState.ALLOCATED.value,
    (True, False): BlockState.RETURNED.value,
    (True, True): BlockState.ACTIVE.value,
}


class ModelPool(ModelRetention):
    """The rules of the pool over dicts and lists.

    Works on block ids where the real pool works on handles: who holds what is for the caller to remember. Times are
    integer nanoseconds, a time-to-live is in seconds. A call that raises has changed nothing.

    Parameters
    ----------
    num_blocks : int
    duplicates : {"share", "keep"}
    namespaces : sequence of (int, int)
        Floor and cap of each namespace, beside the default one, which is number 0.
    """

    # Registration

    def register(
        self,
        ids: Sequence[int],
        hashes: Sequence[int],
        *,
        parent: int | None = None,
        parents: Sequence[int | None] | None = None,
        priority: int | None = None,
        ttl: float | None = None,
        now: int = 0,
    ) -> list[int]:
        """Give mutable blocks their hashes; returns the ids of the registered blocks.

        ``parent`` is the hash before the first. ``parents``, for blocks that were filled with tokens and know what they
        continue, has the hash before each, or None.
        """
        assert not self.is_foreign(ids, hashes)
        level, expiry = self.retention(priority, ttl, now)

        result = []
        replaced = []
        for i, (block_id, sequence_hash) in enumerate(zip(ids, hashes, strict=True)):
            is_known = sequence_hash in self.registry
            self.counts["registrations"] += 1
            self.counts["duplicates"] += is_known
            if is_known and self.duplicates == "share":
                first = self.registry[sequence_hash][0]
                block = self.blocks[first]
                if block.refs == 0 and not self.can_hold(block.parent, block.space):
                    self._leave_parent(first)
                self._acquire(first)
                if (priority is not None or ttl is not None) and (level, expiry) > (block.level, block.expiry):
                    self._set_level(first, level)
                    block.expiry = expiry
                replaced.append(block_id)
                result.append(first)
                continue
            if parents is not None:
                parent_hash = parents[i]
            elif i > 0:
                parent_hash = hashes[i - 1]
            elif parent is not None:
                parent_hash = parent
            else:
                parent_hash = self._hint(sequence_hash)
            self._enter(block_id, sequence_hash, parent_hash)
            self.blocks[block_id].level, self.blocks[block_id].expiry = level, expiry
            result.append(block_id)
        for block_id in reversed(replaced):
            self._give_back(block_id)
        return result

    def is_foreign(self, ids: Iterable[int], hashes: Iterable[int]) -> bool:
        """Tell whether these blocks, and those that have these hashes, are not all of one namespace."""
        known = [block_id for sequence_hash in hashes for block_id in self.registry.get(sequence_hash, [])]
        return len({self.blocks[block_id].space for block_id in [*ids, *known]}) > 1

    def _hint(self, sequence_hash: int) -> int | None:
        hinted, parent_hash = self.hints.get(sequence_hash % self.num_hints, (None, None))
        return parent_hash if hinted == sequence_hash else None

    def _enter(self, block_id: int, sequence_hash: int, parent_hash: int | None) -> None:
        """Make a mutable block a registered one."""
        parent = None
        block = self.blocks[block_id]
        if parent_hash is not None and parent_hash in self.registry:
            parent = self.registry[parent_hash][0]
            if self.blocks[parent].space != block.space or not self.can_hold(parent, block.space):
                parent = None
        block.sequence_hash, block.parent, block.children = sequence_hash, parent, 0
        if parent is not None:
            self.blocks[parent].children += 1
            self._acquire(parent)
        copies = self.registry.setdefault(sequence_hash, [])
        copies.append(block_id)
        if len(copies) == 1:
            stored_parent = None if parent is None else parent_hash
            self._record(PoolEventKind.STORED, sequence_hash, stored_parent, block_id, None, space=block.space)

    # Looking up

    def match(self, hashes: Sequence[int], space: int = 0) -> list[int]:
        """Hold the longest registered prefix that the namespace can hold; returns its ids."""
        ids = self.find(hashes[: self.match_length(hashes)])
        length = sum(self.permitted(space, ids))
        ids = ids[:length]
        self._ask_for(ids)
        self.hold(ids)
        if 0 < length < len(hashes):
            missed = hashes[length]
            self.hints[missed % self.num_hints] = (missed, hashes[length - 1])
        self.counts["match_hashes_requested"] += len(hashes)
        self.counts["match_blocks_returned"] += length
        return ids

    def match_scattered(self, hashes: Sequence[int], space: int = 0) -> list[int]:
        """Hold every registered one that the namespace can hold; returns ids, -1 for a miss."""
        ids = self.find_each(hashes, space)
        found = [block_id for block_id in ids if block_id >= 0]
        self._ask_for(found)
        self.hold(found)
        self.counts["scan_hashes_requested"] += len(hashes)
        self.counts["scan_blocks_returned"] += len(found)
        return ids

    def contains(self, hashes: Iterable[int]) -> list[bool]:
        """Tell which hashes are registered."""
        return [sequence_hash in self.registry for sequence_hash in hashes]

    def match_length(self, hashes: Sequence[int]) -> int:
        """Length of the longest registered prefix."""
        length = 0
        while length < len(hashes) and hashes[length] in self.registry:
            length += 1
        return length

    def match_lengths(self, requests: Iterable[Sequence[int]]) -> list[int]:
        """Length of the longest registered prefix of each request."""
        return [self.match_length(hashes) for hashes in requests]

    def touch(self, hashes: Iterable[int]) -> int:
        """Make the registered ones the most recent; returns how many they are."""
        ids = self.find(hashes)
        self._ask_for(ids)
        self.hold(ids)
        self.release(ids)
        self.counts["touches"] += len(ids)
        return len(ids)

    def upgrade(self, block_id: int, generation: int, sequence_hash: int) -> bool:
        """Hold the block again if it is still what it was when a weak handle was made; returns whether it is."""
        block = self.blocks[block_id]
        if block.generation != generation or block.sequence_hash != sequence_hash:
            return False
        if not self.permitted(block.space, [block_id])[0]:
            return False
        self._acquire(block_id)
        return True

    # Reset

    def reset_blocks(self, hashes: Iterable[int]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
        """Reset blocks and what continues them; returns (hash, id) of each, hashes not found, and hashes held."""
        named: set[int] = set()
        not_found = []
        not_reset = []
        for sequence_hash in hashes:
            copies = self.registry.get(sequence_hash, [])
            if not copies:
                not_found.append(sequence_hash)
            elif any(self.blocks[block_id].refs > 0 for block_id in copies):
                not_reset.append(sequence_hash)
            else:
                named.update(copies)
        doomed = sorted(i for i in range(self.num_blocks) if not named.isdisjoint(self._lineage(i)))
        return self._reset_ids(doomed), not_found, not_reset

    def _reset_ids(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        reset = []
        for block_id in ids:
            self._leave_inactive(block_id)
            reset.append((self._unregister(block_id, EvictionReason.RESET), block_id))
            self.empty.append(block_id)
        self.counts["resets"] += len(reset)
        return reset

    def reset(self) -> list[tuple[int, int]]:
        """Reset every cached block; returns (hash, id) of each. ResetError while any block is held."""
        if self.available < self.num_blocks:
            raise ResetError(f"{self.num_blocks - self.available} blocks are held")
        before = len(self.events)
        reset = self._reset_ids(i for i in range(self.num_blocks) if self.blocks[i].sequence_hash is not None)
        del self.events[before:]  # one event stands for all of them
        self._record(PoolEventKind.CLEARED, None, None, None, EvictionReason.RESET)
        self.empty = list(reversed(range(self.num_blocks)))
        self.hints.clear()
        self.protected.clear()
        return reset

    # What can be seen

    def snapshot(self) -> tuple[bytes, PoolStatus]:
        """Return the value of the :class:`~kvpool.BlockState` of each block, and all counts."""
        states = bytes([STATES[block.sequence_hash is not None, block.refs > 0] for block in self.blocks])
        empty, mutable, cached, immutable = map(states.count, STATES.values())
        now = (self.num_blocks, empty, cached, mutable + immutable, empty + cached, mutable, immutable)
        counts = {**self.counts, "pinned": self.pinned}  # nobody waits or truncates: 0
        return states, PoolStatus(*now, **counts)
