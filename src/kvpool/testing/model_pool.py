"""A second block pool, in plain Python: slow, small, and written to be read beside DESIGN.md, section 3."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from kvpool.errors import NotEnoughBlocksAvailable, ResetError
from kvpool.testing.model_block import DEFAULT_LEVEL, NEVER, ModelBlock
from kvpool.types import BlockState, EvictionReason, PoolEvent, PoolEventKind, PoolStatus

__all__ = ["ModelPool"]

TTL_LEVEL = 100

# By whether the block is registered, and whether it is held.
STATES = {
    (False, False): BlockState.AVAILABLE.value,
    (False, True): BlockState.ALLOCATED.value,
    (True, False): BlockState.RETURNED.value,
    (True, True): BlockState.ACTIVE.value,
}


class ModelPool:
    """The rules of the pool over dicts and lists.

    Works on block ids where the real pool works on handles: who holds what is for the caller to remember. Times are
    integer nanoseconds, a time-to-live is in seconds. A call that raises has changed nothing.

    Parameters
    ----------
    num_blocks : int
    duplicates : {"share", "keep"}
    """

    def __init__(self, num_blocks: int, *, duplicates: str = "share") -> None:
        self.num_blocks = num_blocks
        self.duplicates = duplicates
        self.blocks = [ModelBlock() for _ in range(num_blocks)]
        self.empty = list(reversed(range(num_blocks)))  # a stack; its top is the last item
        self.registry: dict[int, list[int]] = {}  # sequence hash -> the blocks that have it, oldest first
        self.levels: dict[int, list[int]] = defaultdict(list)  # priority -> cached blocks, oldest first
        self.hints: dict[int, tuple[int, int]] = {}  # place -> hash, hash of its parent
        self.num_hints = 64
        while self.num_hints < 4096 and self.num_hints < num_blocks / 4:
            self.num_hints *= 2
        self.events: list[PoolEvent] = []  # all of them, from the first
        self.counts = dict.fromkeys(PoolStatus._fields[7:18], 0)  # the counters of the status

    # Allocation and eviction

    def allocate(self, n: int, now: int) -> tuple[list[int], list[tuple[int, int]]]:
        """Allocate n blocks; returns their ids and the (hash, id) of each block evicted for them."""
        if n > self.available:
            raise NotEnoughBlocksAvailable(n, self.available, self.num_blocks)
        ids = [self.empty.pop() for _ in range(min(n, len(self.empty)))]
        evicted = []
        if len(ids) < n:
            self._expire(now)
        while len(ids) < n:
            evicted.append(self._evict())
            ids.append(evicted[-1][1])
        for block_id in ids:
            self.blocks[block_id].refs = 1
            self.blocks[block_id].generation += 1
        self.counts["allocations"] += n
        self.counts["allocations_from_empty"] += n - len(evicted)
        self.counts["evictions"] += len(evicted)
        return ids, evicted

    def _expire(self, now: int) -> None:
        due = sorted((block.expiry, i) for i, block in enumerate(self.blocks) if block.expiry <= now)
        for _, block_id in due:
            block = self.blocks[block_id]
            block.expiry = NEVER
            if block.level > DEFAULT_LEVEL:
                if block_id in self.levels[block.level]:
                    self.levels[block.level].remove(block_id)
                    self.levels[DEFAULT_LEVEL].append(block_id)
                block.level = DEFAULT_LEVEL

    def _evict(self) -> tuple[int, int]:
        while True:
            lowest = min(level for level, ids in self.levels.items() if ids)
            block_id = self.levels[lowest].pop(0)
            if self.blocks[block_id].children == 0:
                return self._unregister(block_id, EvictionReason.CAPACITY), block_id
            self.blocks[block_id].is_parked = True

    def _unregister(self, block_id: int, reason: EvictionReason) -> int:
        """Take the identity of a block that is in no list; returns the hash it had."""
        block = self.blocks[block_id]
        sequence_hash = block.sequence_hash
        assert sequence_hash is not None
        copies = self.registry[sequence_hash]
        copies.remove(block_id)
        if not copies:
            del self.registry[sequence_hash]
            self._record(PoolEventKind.REMOVED, sequence_hash, None, block_id, reason)
        if block.parent is not None:
            parent = self.blocks[block.parent]
            parent.children -= 1
            if parent.children == 0 and parent.is_parked:
                parent.is_parked = False
                self.levels[parent.level].insert(0, block.parent)
        block.sequence_hash = block.parent = None
        block.level, block.expiry = DEFAULT_LEVEL, NEVER
        return sequence_hash

    # References

    def hold(self, ids: Iterable[int]) -> None:
        """One more handle on registered blocks, first to last."""
        for block_id in ids:
            self._acquire(block_id)

    def release(self, ids: Sequence[int]) -> None:
        """End a handle on registered blocks, given in the handle's order."""
        for block_id in reversed(ids):
            self._let_go(block_id)

    def release_mutable(self, ids: Sequence[int]) -> None:
        """End a handle on mutable blocks, given in the handle's order."""
        for block_id in reversed(ids):
            self._give_back(block_id)

    def _acquire(self, block_id: int) -> None:
        block = self.blocks[block_id]
        block.refs += 1
        if block.refs == 1:
            self._leave_inactive(block_id)
            if block.parent is not None:
                self._acquire(block.parent)

    def _let_go(self, block_id: int) -> None:
        block = self.blocks[block_id]
        assert block.refs > 0
        assert block.sequence_hash is not None
        block.refs -= 1
        if block.refs == 0:
            self.levels[block.level].append(block_id)
            if block.parent is not None:
                self._let_go(block.parent)

    def _give_back(self, block_id: int) -> None:
        assert self.blocks[block_id].refs == 1
        assert self.blocks[block_id].sequence_hash is None
        self.blocks[block_id].refs = 0
        self.empty.append(block_id)

    def _leave_inactive(self, block_id: int) -> None:
        block = self.blocks[block_id]
        if block.is_parked:
            block.is_parked = False
        else:
            self.levels[block.level].remove(block_id)

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
        level = (DEFAULT_LEVEL if ttl is None else TTL_LEVEL) if priority is None else priority
        expiry = NEVER if ttl is None else now + round(ttl * 1e9)

        result = []
        replaced = []
        for i, (block_id, sequence_hash) in enumerate(zip(ids, hashes, strict=True)):
            is_known = sequence_hash in self.registry
            self.counts["registrations"] += 1
            self.counts["duplicates"] += is_known
            if is_known and self.duplicates == "share":
                first = self.registry[sequence_hash][0]
                block = self.blocks[first]
                self._acquire(first)
                if (priority is not None or ttl is not None) and (level, expiry) > (block.level, block.expiry):
                    block.level, block.expiry = level, expiry
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

    def _hint(self, sequence_hash: int) -> int | None:
        hinted, parent_hash = self.hints.get(sequence_hash % self.num_hints, (None, None))
        return parent_hash if hinted == sequence_hash else None

    def _enter(self, block_id: int, sequence_hash: int, parent_hash: int | None) -> None:
        """Make a mutable block a registered one."""
        parent = None
        if parent_hash is not None and parent_hash in self.registry:
            parent = self.registry[parent_hash][0]
        block = self.blocks[block_id]
        block.sequence_hash, block.parent, block.children = sequence_hash, parent, 0
        if parent is not None:
            self.blocks[parent].children += 1
            self._acquire(parent)
        copies = self.registry.setdefault(sequence_hash, [])
        copies.append(block_id)
        if len(copies) == 1:
            stored_parent = None if parent is None else parent_hash
            self._record(PoolEventKind.STORED, sequence_hash, stored_parent, block_id, None)

    # Looking up

    def match(self, hashes: Sequence[int]) -> list[int]:
        """Hold the longest registered prefix; returns its ids."""
        length = self.match_length(hashes)
        ids = [self.registry[sequence_hash][0] for sequence_hash in hashes[:length]]
        self.hold(ids)
        if 0 < length < len(hashes):
            missed = hashes[length]
            self.hints[missed % self.num_hints] = (missed, hashes[length - 1])
        self.counts["match_hashes_requested"] += len(hashes)
        self.counts["match_blocks_returned"] += length
        return ids

    def match_scattered(self, hashes: Sequence[int]) -> list[int]:
        """Hold every registered one; returns ids, -1 for a miss."""
        ids = [self.registry[sequence_hash][0] if sequence_hash in self.registry else -1 for sequence_hash in hashes]
        found = [block_id for block_id in ids if block_id >= 0]
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
        ids = [self.registry[sequence_hash][0] for sequence_hash in hashes if sequence_hash in self.registry]
        self.hold(ids)
        self.release(ids)
        self.counts["touches"] += len(ids)
        return len(ids)

    def upgrade(self, block_id: int, generation: int, sequence_hash: int) -> bool:
        """Hold the block again if it is still what it was when a weak handle was made; returns whether it is."""
        block = self.blocks[block_id]
        if block.generation != generation or block.sequence_hash != sequence_hash:
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

    def _lineage(self, block_id: int | None) -> list[int]:
        """Return the block and its ancestors."""
        lineage = []
        while block_id is not None:
            lineage.append(block_id)
            block_id = self.blocks[block_id].parent
        return lineage

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
        return reset

    # What can be seen

    def _record(self, *event: Any) -> None:
        self.events.append(PoolEvent(len(self.events), *event))

    @property
    def available(self) -> int:
        """Blocks that nobody holds."""
        return sum(block.refs == 0 for block in self.blocks)

    def snapshot(self) -> tuple[bytes, PoolStatus]:
        """Return the value of the :class:`~kvpool.BlockState` of each block, and all counts."""
        states = bytes([STATES[block.sequence_hash is not None, block.refs > 0] for block in self.blocks])
        empty, mutable, cached, immutable = map(states.count, STATES.values())
        now = (self.num_blocks, empty, cached, mutable + immutable, empty + cached, mutable, immutable)
        known = [*now, *self.counts.values()]  # nobody waits, pins, evicts ahead or truncates: 0
        return states, PoolStatus._make(known + [0] * (len(PoolStatus._fields) - len(known)))
