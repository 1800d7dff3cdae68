"""What all transitions of the model are made of: who goes next, and who holds what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from kvpool.errors import NotEnoughBlocksAvailable
from kvpool.testing.model_block import DEFAULT_LEVEL, NEVER, PROTECTED_LEVEL, ModelBlock
from kvpool.testing.model_quota import ModelQuota
from kvpool.types import EvictionReason, PoolEvent, PoolEventKind, PoolStatus

__all__ = ["ModelBase"]


class ModelBase:
    """Blocks, their order of eviction, and references. Base of :class:`ModelPool`, which tells of the parameters."""

    def __init__(
        self, num_blocks: int, *, duplicates: str = "share", namespaces: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.num_blocks = num_blocks
        self.duplicates = duplicates
        self.blocks = [ModelBlock() for _ in range(num_blocks)]
        self.empty = list(reversed(range(num_blocks)))  # a stack; its top is the last item
        self.registry: dict[int, list[int]] = {}  # sequence hash -> the blocks that have it, oldest first
        self.quotas = [ModelQuota(0, num_blocks)] + [ModelQuota(floor, cap) for floor, cap in namespaces]
        # By namespace: priority -> cached blocks, oldest first
        self.orders: list[dict[int, list[int]]] = [defaultdict(list) for _ in self.quotas]
        self.protected: set[int] = set()
        self.pins: list[list[int]] = []  # blocks of each
        self.hints: dict[int, tuple[int, int]] = {}  # place -> hash, hash of its parent
        self.num_hints = 64
        while self.num_hints < 4096 and self.num_hints < num_blocks / 4:
            self.num_hints *= 2
        self.events: list[PoolEvent] = []  # all of them, from the first
        self.counts = dict.fromkeys(PoolStatus._fields[7:], 0)  # the counters of the status

    @property
    def levels(self) -> dict[int, list[int]]:
        """Priority -> cached blocks of the default namespace, oldest first."""
        return self.orders[0]

    @property
    def available(self) -> int:
        """Blocks that nobody holds."""
        return sum(block.refs == 0 for block in self.blocks)

    # Namespaces

    def held(self, space: int) -> int:
        """Blocks that the namespace holds."""
        return sum(block.refs > 0 and block.space == space for block in self.blocks)

    def cached(self, space: int) -> int:
        """Blocks that the namespace has cached."""
        return sum(
            block.refs == 0 and block.space == space and block.sequence_hash is not None for block in self.blocks
        )

    def room(self, space: int) -> int:
        """Blocks that the namespace can come to hold beside those that it holds.

        Within its cap, and without taking what the others hold or were promised.
        """
        promised = sum(max(quota.floor, self.held(other)) for other, quota in enumerate(self.quotas) if other != space)
        held = self.held(space)
        return max(0, min(self.quotas[space].cap - held, self.num_blocks - promised - held))

    def cost(self, block_id: int, held: Iterable[int] = ()) -> list[int]:
        """Return the cached blocks that are held when this one is, and are not among those."""
        return [i for i in self._lineage(block_id) if self.blocks[i].refs == 0 and i not in held]

    def can_hold(self, block_id: int | None, space: int) -> bool:
        """Tell whether the namespace has room for the block, if it is one, and its ancestors."""
        return block_id is None or len(self.cost(block_id)) <= self.room(space)

    def permitted(self, space: int, ids: Sequence[int], *, is_prefix: bool = True) -> list[bool]:
        """Tell of each block whether the namespace has it and can hold it, and those before it that it can.

        Of a prefix, none behind the first that it cannot.
        """
        room = self.room(space)
        held: list[int] = []
        answers: list[bool] = []
        for block_id in ids:
            is_over = is_prefix and not all(answers)
            cost = [] if block_id < 0 else self.cost(block_id, held)
            answers.append(
                block_id >= 0 and not is_over and self.blocks[block_id].space == space and len(cost) <= room - len(held)
            )
            if answers[-1]:
                held += cost
        return answers

    def _wealthiest(self, wanted: Sequence[int], without: Iterable[int] = ()) -> int | None:
        """Return the namespace that is furthest beyond its floor, if it has cached blocks and is beyond it at all."""
        beyond = {
            space: wanted[space] + self.held(space) + self.cached(space) - quota.floor
            for space, quota in enumerate(self.quotas)
            if self.cached(space) > 0 and space not in without
        }
        most = max(beyond.values(), default=0)
        return next((space for space, blocks in beyond.items() if blocks == most), None) if most > 0 else None

    def _victim(self, space: int, n: int) -> int:
        """Return whose block goes for one of n more of this namespace."""
        wanted = [n * (other == space) for other in range(len(self.quotas))]
        if n + self.held(space) + self.cached(space) > self.quotas[space].cap:
            return space
        wealthiest = self._wealthiest(wanted)
        return space if wealthiest is None else wealthiest

    # Allocation and eviction

    def allocate(self, n: int, now: int, space: int = 0) -> tuple[list[int], list[tuple[int, int]]]:
        """Allocate n blocks; returns their ids and the (hash, id) of each block evicted for them."""
        if n > self.room(space):
            raise NotEnoughBlocksAvailable(n, self.room(space), self.num_blocks)
        below_cap = max(0, self.quotas[space].cap - self.held(space) - self.cached(space))
        ids = [self.empty.pop() for _ in range(min(n, len(self.empty), below_cap))]
        evicted: list[tuple[int, int]] = []
        if len(ids) < n:
            self._expire(now)
        while len(ids) < n:
            victim = self._evict(self._victim(space, n))
            assert victim is not None
            evicted.append(victim)
            ids.append(victim[1])
        for block_id in ids:
            self.blocks[block_id].refs = 1
            self.blocks[block_id].generation += 1
            self.blocks[block_id].space = space
        self.counts["allocations"] += n
        self.counts["allocations_from_empty"] += n - len(evicted)
        self.counts["evictions"] += len(evicted)
        return ids, evicted

    def _expire(self, now: int) -> None:
        due = sorted((block.expiry, i) for i, block in enumerate(self.blocks) if block.expiry <= now)
        for _, block_id in due:
            self.blocks[block_id].expiry = NEVER
            if self.blocks[block_id].level > DEFAULT_LEVEL:
                self._set_level(block_id, DEFAULT_LEVEL)

    def _set_level(self, block_id: int, level: int) -> None:
        """Give a registered block another level. A spared one keeps its place, and has the level afterwards."""
        block = self.blocks[block_id]
        if block.level == level or block.is_spared or block_id not in self._list(block_id):
            block.level = level
        else:
            self._list(block_id).remove(block_id)
            block.level = level
            self._list(block_id).append(block_id)

    def _list(self, block_id: int) -> list[int]:
        """Return the list that the block is in, if it is in any."""
        block = self.blocks[block_id]
        return self.orders[block.space][PROTECTED_LEVEL if block.is_spared else block.level]

    def _evict(
        self, space: int, highest: int = PROTECTED_LEVEL, reason: EvictionReason = EvictionReason.CAPACITY
    ) -> tuple[int, int] | None:
        """Evict the block that goes next, if its level is at most this; returns its hash and id."""
        while True:
            level = min((level for level, ids in self.orders[space].items() if ids), default=highest + 1)
            if level > highest:
                return None
            block_id = self.orders[space][level].pop(0)
            block = self.blocks[block_id]
            if block_id in self.protected and not block.is_spared:
                block.is_spared = True
                self._list(block_id).append(block_id)
            elif block.children > 0:
                block.is_parked = True
            else:
                return self._unregister(block_id, reason), block_id

    def _unregister(self, block_id: int, reason: EvictionReason) -> int:
        """Take the identity of a block that is in no list; returns the hash it had."""
        block = self.blocks[block_id]
        sequence_hash = block.sequence_hash
        assert sequence_hash is not None
        copies = self.registry[sequence_hash]
        copies.remove(block_id)
        if not copies:
            del self.registry[sequence_hash]
            self._record(PoolEventKind.REMOVED, sequence_hash, None, block_id, reason, space=block.space)
        self._leave_parent(block_id)
        block.sequence_hash = None
        block.level, block.expiry = DEFAULT_LEVEL, NEVER
        block.is_spared = False
        self.protected.discard(block_id)
        return sequence_hash

    def _leave_parent(self, block_id: int) -> None:
        """Make the block continue nothing."""
        block = self.blocks[block_id]
        if block.parent is not None:
            parent = self.blocks[block.parent]
            parent.children -= 1
            if parent.children == 0 and parent.is_parked:
                parent.is_parked = False
                self._list(block.parent).insert(0, block.parent)
        block.parent = None

    def _lineage(self, block_id: int | None) -> list[int]:
        """Return the block and its ancestors."""
        lineage = []
        while block_id is not None:
            lineage.append(block_id)
            block_id = self.blocks[block_id].parent
        return lineage

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
            self._list(block_id).append(block_id)
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
            self._list(block_id).remove(block_id)

    def _record(self, *event: Any, space: int = 0) -> None:
        self.events.append(PoolEvent(len(self.events), *event)._replace(namespace=str(space) if space else ""))
