"""What keeps the model's blocks, or lets them go, beside handles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kvpool.errors import PinLimitExceeded
from kvpool.testing.model_base import ModelBase
from kvpool.testing.model_block import DEFAULT_LEVEL, MAX_PRIORITY, NEVER, PROTECTED_LEVEL, TTL_LEVEL
from kvpool.types import EvictionMode, EvictionReason

__all__ = ["ModelRetention"]


class ModelRetention(ModelBase):
    """Retention, pins, protection, eviction without need, and quotas. Base of :class:`ModelPool`."""

    @staticmethod
    def retention(priority: int | None, ttl: float | None, now: int) -> tuple[int, float]:
        """Return level and expiry that a call asks for."""
        level = (DEFAULT_LEVEL if ttl is None else TTL_LEVEL) if priority is None else priority
        return level, NEVER if ttl is None else now + round(ttl * 1e9)

    def retain(self, hashes: Iterable[int], priority: int | None, ttl: float | None, now: int) -> int:
        """Give the registered ones another level and expiry; returns how many they are."""
        level, expiry = self.retention(priority, ttl, now)
        ids = self.find(hashes)
        for block_id in ids:
            self._set_level(block_id, level)
            self.blocks[block_id].expiry = expiry
        return len(ids)

    def find(self, hashes: Iterable[int]) -> list[int]:
        """Return the blocks of those that are registered."""
        return [self.registry[sequence_hash][0] for sequence_hash in hashes if sequence_hash in self.registry]

    def find_each(self, hashes: Iterable[int], space: int) -> list[int]:
        """Return the block of each hash, -1 for one that the namespace has not or cannot hold."""
        ids = [self.registry[sequence_hash][0] if sequence_hash in self.registry else -1 for sequence_hash in hashes]
        answers = self.permitted(space, ids, is_prefix=False)
        return [block_id if answer else -1 for block_id, answer in zip(ids, answers, strict=True)]

    # Pins

    @property
    def max_pinned(self) -> int:
        """Blocks that may be pinned."""
        return (self.num_blocks + 1) // 2

    @property
    def pinned(self) -> int:
        """Blocks that are pinned, and those that they continue."""
        return len({i for ids in self.pins for block_id in ids for i in self._lineage(block_id)})

    def pin(self, hashes: Sequence[int], space: int = 0) -> list[int]:
        """Pin every registered one that the namespace can hold; returns ids, -1 for a miss."""
        ids = self.find_each(hashes, space)
        found = [block_id for block_id in ids if block_id >= 0]
        before = self.pinned
        self.pins.append(found)
        if self.pinned > self.max_pinned:
            wanted = self.pinned
            self.pins.pop()
            raise PinLimitExceeded(wanted, self.max_pinned, before)
        self.hold(found)
        return ids

    def unpin(self, ids: Sequence[int]) -> None:
        """End a pin of these blocks."""
        self.pins.remove(list(ids))
        self.release(ids)

    # Protection

    def protect(self, prompts: Iterable[Sequence[int]]) -> None:
        """Protect the cached prefixes of these prompts, and nothing else."""
        named = set()
        for hashes in prompts:
            for sequence_hash in hashes:
                if sequence_hash not in self.registry:
                    break
                named.add(self.registry[sequence_hash][0])
        dropped = self.protected - named
        self.protected = named
        for order in self.orders:
            for block_id in reversed(list(order[PROTECTED_LEVEL])):
                if block_id in dropped:
                    self._list(block_id).remove(block_id)
                    self.blocks[block_id].is_spared = False
                    self._list(block_id).insert(0, block_id)
        for block_id in dropped:
            self.blocks[block_id].is_spared = False

    def _ask_for(self, ids: Iterable[int]) -> None:
        """Note that requests ask for these blocks: what they were protected for has come."""
        for block_id in ids:
            if block_id not in self.protected:
                continue
            is_listed = block_id in self._list(block_id)
            if is_listed:
                self._list(block_id).remove(block_id)
            self.protected.discard(block_id)
            self.blocks[block_id].is_spared = False
            if is_listed:
                self._list(block_id).append(block_id)

    # Eviction without need

    def evict_ahead(self, n: int, now: int) -> list[tuple[int, int]]:
        """Evict until so many blocks are empty; returns (hash, id) of each."""
        return self._evict_some(n - len(self.empty), PROTECTED_LEVEL, EvictionReason.AHEAD, now)

    def trigger_eviction(self, mode: EvictionMode, low_watermark: float, now: int) -> list[tuple[int, int]]:
        """Evict for pressure; returns (hash, id) of each."""
        if mode is EvictionMode.AGGRESSIVE:
            return self._evict_some(self.num_blocks, DEFAULT_LEVEL, EvictionReason.PRESSURE, now)
        n = self.num_blocks - len(self.empty) - int(low_watermark * self.num_blocks)
        return self._evict_some(n, MAX_PRIORITY, EvictionReason.PRESSURE, now)

    def _evict_some(self, n: int, highest: int, reason: EvictionReason, now: int) -> list[tuple[int, int]]:
        """Evict up to n blocks of levels up to this, of the namespaces that are furthest beyond their floors."""
        evicted: list[tuple[int, int]] = []
        exhausted: list[int] = []
        if n > 0:
            self._expire(now)
        while len(evicted) < n:
            space = self._wealthiest([0] * len(self.quotas), exhausted)
            if space is None:
                break
            victim = self._evict(space, highest, reason)
            if victim is None:
                exhausted.append(space)
            else:
                evicted.append(victim)
                self.empty.append(victim[1])
        self.counts["evictions_ahead"] += len(evicted)
        if reason is EvictionReason.PRESSURE:
            self.counts["evictions_for_pressure"] += len(evicted)
        return evicted

    # Quotas

    def set_quota(self, space: int, floor: int, cap: int, now: int) -> None:
        """Give a namespace other quotas; what it has cached beyond its cap goes. ValueError if others leave less."""
        others = sum(max(quota.floor, self.held(i)) for i, quota in enumerate(self.quotas) if i != space)
        if others + max(floor, self.held(space)) > self.num_blocks:
            raise ValueError(f"a floor of {floor} is more than the others leave of {self.num_blocks}")
        self.quotas[space].floor, self.quotas[space].cap = floor, cap
        beyond = self.held(space) + self.cached(space) - cap
        n = min(beyond, self.cached(space))
        if n > 0:
            self._expire(now)
        for _ in range(n):
            victim = self._evict(space, reason=EvictionReason.PRESSURE)
            assert victim is not None
            self.empty.append(victim[1])
            self.counts["evictions_ahead"] += 1
            self.counts["evictions_for_pressure"] += 1
