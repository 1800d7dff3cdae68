"""The operations that keep blocks, or let them go, beside handles."""

from __future__ import annotations

from kvpool.errors import PinLimitExceeded
from kvpool.testing.agreement import MismatchError, same, same_evicted
from kvpool.testing.arguments import as_argument, is_bad_retention
from kvpool.testing.both_pools import BothPools
from kvpool.types import EvictionMode, EvictionReason

__all__ = ["RetentionSteps"]

LOW_WATERMARK = 0.7


class RetentionSteps(BothPools):
    """Does the operations on retention, pins, protection, eviction and quotas. Base of :class:`SideBySide`."""

    def _do_retain(self, hashes: tuple[int, ...], priority: int | None, ttl: float | None) -> None:
        is_refused = (priority is None and ttl is None) or is_bad_retention(priority, ttl)
        errors = (ValueError,) if is_refused else ()
        real = self.attempt(errors, self.pool.retain, as_argument(hashes), priority=priority, ttl=ttl)
        if not is_refused:
            same("retained", real, self.model.retain(hashes, priority, ttl, self.now))

    def _do_pin(self, new: int, hashes: tuple[int, ...], space: int = 0) -> None:
        if space >= len(self.model.quotas):
            return
        namespace = self.namespace(space)
        try:
            ids = self.model.pin(hashes, space)
        except PinLimitExceeded as error:
            numbers = (error.wanted, error.limit, error.pinned)
        else:
            real = self.attempt((), self.pool.pin, as_argument(hashes), namespace=namespace, owner=new)
            self.put(new, "pin", real, ids)
            return
        try:
            self.pool.pin(as_argument(hashes), namespace=namespace)
        except PinLimitExceeded as error:
            same("pins", (error.wanted, error.limit, error.pinned), numbers)
            held = sum(sum(hold.live) for hold in self.holds if hold.kind == "pin")
            same("blocks of the pins", sum(hold.blocks for hold in error.holders), held)
        else:
            raise MismatchError(f"expected PinLimitExceeded{numbers}, but nothing was raised")

    def _do_protect(self, prompts: tuple[tuple[int, ...], ...]) -> None:
        self.model.protect(prompts)
        self.pool.protect([as_argument(hashes) for hashes in prompts])

    def _do_evict_ahead(self, n: int) -> None:
        if n > self.model.num_blocks:
            self.attempt((ValueError,), self.pool.evict_ahead, n)
            return
        expected = self.model.evict_ahead(n, self.now)
        same_evicted(self.pool.evict_ahead(n), expected, EvictionReason.AHEAD)

    def _do_trigger(self, mode: str) -> None:
        expected = self.model.trigger_eviction(EvictionMode[mode], LOW_WATERMARK, self.now)
        same_evicted(self.pool.trigger_eviction(EvictionMode[mode]), expected, EvictionReason.PRESSURE)

    def _do_quota(self, space: int, floor: int, cap: int) -> None:
        if not self.namespaces or space >= len(self.model.quotas) or not 0 <= floor <= cap <= self.model.num_blocks:
            return
        name = str(space) if space else ""
        try:
            self.model.set_quota(space, floor, cap, self.now)
        except ValueError:
            self.attempt((ValueError,), self.pool.namespace, name, floor=floor, cap=cap)
        else:
            self.attempt((), self.pool.namespace, name, floor=floor, cap=cap)
