"""The real pool and the model, taken through the same steps and compared after each."""

from __future__ import annotations

from typing import Any

from kvpool import BlockPool, TokenBlockSequence, sequence_hashes
from kvpool.errors import (
    AllocationTimeout,
    BlockNotComplete,
    ForeignHandle,
    InvalidMutableBlock,
    NotEnoughBlocksAvailable,
    ResetError,
    StaleHandle,
)
from kvpool.testing.agreement import MismatchError, same, same_evicted
from kvpool.testing.arguments import BLOCK_SIZE, as_argument, commit_each, is_bad_retention
from kvpool.testing.history import Operation
from kvpool.testing.retention_steps import RetentionSteps
from kvpool.testing.slots import Slot, TrackedHold
from kvpool.types import EvictionReason

__all__ = ["SideBySide"]

DETAILS_EVERY = 16


class SideBySide(RetentionSteps):
    """Does each operation on both pools.

    Parameters
    ----------
    history : History
        For its settings; its operations are not run.
    make_pool, make_model : callable, optional
        Tests pass others, to see that a difference is found.
    """

    def step(self, operation: Operation) -> None:
        """Do one operation on both; MismatchError if anything that can be seen differs."""
        getattr(self, "_do_" + operation[0])(*operation[1:])
        self.steps += 1
        self.compare()
        if self.steps % DETAILS_EVERY == 0:
            self.compare_handles()

    def finish(self) -> None:
        """Drop all handles, then see the order in which everything is evicted."""
        self.compare_handles()
        for slot in list(self.slots):
            self._do_delete(slot)
        self.compare()
        self.compare_handles()
        for space in range(len(self.model.quotas)):
            self._do_allocate(-1 - space, self.model.room(space), None, space)
            self.compare()
        for space in range(len(self.model.quotas)):
            self._do_delete(-1 - space)
        self._do_reset()
        self.compare()

    # Operations: allocate, register, match

    def _do_advance(self, seconds: float) -> None:
        self.clock.seconds += seconds

    def _do_allocate(self, new: int, n: int, timeout: float | None = None, space: int = 0) -> None:
        if space >= len(self.model.quotas):
            return
        namespace = self.namespace(space)
        try:
            ids, evicted = self.model.allocate(n, self.now, space)
        except NotEnoughBlocksAvailable as error:
            numbers = (error.requested, error.available)
        else:
            real = self.attempt((), self.pool.allocate_blocks, n, timeout=timeout, namespace=namespace, owner=new)
            self.put(new, "mutable", real, ids)
            same_evicted(real.evicted, evicted, EvictionReason.CAPACITY)
            return
        try:
            self.pool.allocate_blocks(n, timeout=timeout, namespace=namespace)
        except NotEnoughBlocksAvailable as error:
            waited = timeout is not None and n <= self.model.num_blocks
            same("error", type(error), AllocationTimeout if waited else NotEnoughBlocksAvailable)
            same("shortage", (error.requested, error.available), numbers)
            held = sum(sum(hold.live) for hold in self.holds)
            same("blocks of the holders", sum(hold.blocks for hold in error.holders), held)
        else:
            raise MismatchError(f"expected NotEnoughBlocksAvailable{numbers}, but nothing was raised")

    def find_blocks(self, blocks: Any) -> tuple[Any, list[tuple[TrackedHold, int]]] | None:
        """Return what to give to the real pool, and hold and entry of each block; None if a slot does not exist."""
        if isinstance(blocks, int):
            slot = self.find(blocks, "mutable", "block")
            return None if slot is None else (slot.real, [(slot.hold, entry) for entry in slot.entries])
        if blocks[0] == "slice":
            slot, key = self.find(blocks[1], "mutable"), slice(*blocks[2:])
            return None if slot is None else (slot.real[key], [(slot.hold, entry) for entry in slot.entries[key]])
        views, pairs = [], []
        for number, i in blocks[1:]:
            slot = self.find(number, "mutable")
            if slot is None or i >= len(slot.entries):
                return None
            views.append(slot.real[i])
            pairs.append((slot.hold, slot.entries[i]))
        return views, pairs

    def _do_register(
        self,
        new: int,
        blocks: Any,
        hashes: tuple[int, ...],
        parent: tuple[str, int] | None,
        priority: int | None,
        ttl: float | None,
    ) -> None:
        found = self.find_blocks(blocks)
        if found is None:
            return
        real_blocks, pairs = found
        errors: list[type[BaseException]] = []
        parent_hash = parent_real = None
        if parent is not None and parent[0] == "hash":
            parent_hash = parent_real = parent[1]
        elif parent is not None:
            slot = self.find(parent[1], "immutable", "item")
            if slot is None:
                return
            parent_real = slot.real
            if slot.is_stale():
                errors.append(StaleHandle)
            elif slot.entries:
                parent_hash = self.model.blocks[slot.hold.ids[-1]].sequence_hash
        if len(set(pairs)) < len(pairs) or not all(hold.live[entry] for hold, entry in pairs):
            errors.append(InvalidMutableBlock)
        if len(hashes) != len(pairs) or is_bad_retention(priority, ttl):
            errors.append(ValueError)
        ids = [hold.ids[entry] for hold, entry in pairs]
        if self.model.is_foreign(ids, hashes):
            errors.append(ForeignHandle)
        named = {"parent": parent_real, "priority": priority, "ttl": ttl}
        real = self.attempt(errors, self.pool.register_blocks, real_blocks, as_argument(hashes), **named)
        if errors:
            return
        out = self.model.register(ids, hashes, parent=parent_hash, priority=priority, ttl=ttl, now=self.now)
        self.consume(pairs)
        self.put(new, "immutable", real, out)
        same("sequence hashes", real.sequence_hashes.tolist(), list(hashes))

    def _do_tokens(self, new: int, number: int, tokens: tuple[int, ...], parent: int | None, how: str) -> None:
        slot = self.find(number, "mutable")
        if slot is None or not slot.entries or len(tokens) != BLOCK_SIZE * len(slot.entries):
            return
        blocks = slot.real
        if slot.is_stale():
            self.attempt((InvalidMutableBlock,), blocks.fill, tokens, parent=parent)
            return
        if how == "short":
            blocks.fill(tokens[:-1], parent=parent)
            self.attempt((BlockNotComplete,), self.pool.register_blocks, blocks)
            for block in blocks:
                block.reset()
            return
        if how == "fill":
            same("filled handle", blocks.fill(tokens, parent=parent) is blocks, True)
        elif how == "commit":
            commit_each(blocks, tokens, parent)
        elif parent is None:
            for block, token_block in zip(blocks, TokenBlockSequence(tokens, BLOCK_SIZE).blocks, strict=True):
                block.apply_token_block(token_block)
        else:
            return
        hashes = sequence_hashes(tokens, BLOCK_SIZE, parent=parent).tolist()
        if self.model.is_foreign(slot.ids(), hashes):
            self.attempt((ForeignHandle,), self.pool.register_blocks, blocks)
            for block in blocks:
                block.reset()
            return
        real = self.attempt((), self.pool.register_blocks, blocks)
        out = self.model.register(slot.ids(), hashes, parents=[parent, *hashes[:-1]], now=self.now)
        self.consume([(slot.hold, entry) for entry in slot.entries])
        self.put(new, "immutable", real, out)
        same("sequence hashes", real.sequence_hashes.tolist(), hashes)

    def _do_match(self, new: int, hashes: tuple[int, ...], space: int = 0) -> None:
        if space >= len(self.model.quotas):
            return
        ids = self.model.match(hashes, space)
        real = self.pool.match_sequence_hashes(as_argument(hashes), namespace=self.namespace(space))
        self.put(new, "immutable", real, ids)
        same("sequence hashes", real.sequence_hashes.tolist(), list(hashes[: len(ids)]))

    def _do_scatter(self, new: int, hashes: tuple[int, ...], space: int = 0) -> None:
        if space >= len(self.model.quotas):
            return
        ids = self.model.match_scattered(hashes, space)
        real = self.pool.match_scattered(as_argument(hashes), namespace=self.namespace(space), owner="scatter")
        self.put(new, "scattered", real, ids)
        same("hits", real.hits.tolist(), [block_id >= 0 for block_id in ids])

    def _do_look(self, requests: tuple[tuple[int, ...], ...]) -> None:
        lengths = self.pool.match_lengths([as_argument(hashes) for hashes in requests]).tolist()
        same("match lengths", lengths, self.model.match_lengths(requests))
        for hashes in requests:
            same("contains", self.pool.contains(as_argument(hashes)).tolist(), self.model.contains(hashes))

    def _do_touch(self, hashes: tuple[int, ...]) -> None:
        same("touched", self.pool.touch(as_argument(hashes)), self.model.touch(hashes))

    # Operations on handles

    def _do_view(self, new: int, number: int, *bounds: int | None) -> None:
        slot = self.find(number, "mutable", "immutable")
        if slot is None:
            return
        key = slice(*bounds)
        entries = slot.entries[key]
        if slot.kind == "mutable":
            self.add_view(new, "mutable", slot.real[key], slot, entries)
        elif entries and slot.is_stale():
            self.attempt((StaleHandle,), slot.real.__getitem__, key)
        else:
            self.share(new, "immutable", self.attempt((), slot.real.__getitem__, key), slot, entries)

    def _do_item(self, new: int, number: int, i: int) -> None:
        slot = self.find(number, "mutable", "immutable", "scattered")
        if slot is None:
            return
        if not -len(slot.entries) <= i < len(slot.entries):
            self.attempt((IndexError,), slot.real.__getitem__, i)
            return
        entry = slot.entries[i]
        if slot.kind == "mutable":
            self.add_view(new, "block", slot.real[i], slot, [entry])
        elif slot.hold.ids[entry] < 0:
            same("item", slot.real[i], None)
        elif not slot.hold.live[entry]:
            self.attempt((StaleHandle,), slot.real.__getitem__, i)
        else:
            self.share(new, "item", self.attempt((), slot.real.__getitem__, i), slot, [entry])

    def add_view(self, new: int, kind: str, real: Any, slot: Slot, entries: list[int]) -> None:
        """Remember a view of a mutable handle."""
        slot.hold.users += 1
        view = Slot(kind, real, slot.hold, entries)
        same("ids", [real.id] if kind == "block" else real.ids.tolist(), view.ids())
        self.slots[new] = view

    def share(self, new: int, kind: str, real: Any, slot: Slot, entries: list[int]) -> None:
        """Remember a handle with references of its own."""
        ids = [slot.hold.ids[entry] for entry in entries]
        self.model.hold(ids)
        self.put(new, kind, real, ids)

    def _do_add(self, new: int, left: int, right: int) -> None:
        a, b = self.find(left, "mutable", "immutable"), self.find(right, "mutable", "immutable")
        if a is None or b is None or a.kind != b.kind:
            return
        ids = a.ids() + b.ids()
        errors: list[type[BaseException]] = []
        if a.kind == "immutable":
            if a.is_stale() or b.is_stale():
                errors.append(StaleHandle)
            real = self.attempt(errors, type(a.real).__add__, a.real, b.real)
            if not errors:
                self.model.hold(ids)
                self.put(new, "immutable", real, ids)
            return
        pairs = [(slot.hold, entry) for slot in (a, b) for entry in slot.entries]
        if len(set(pairs)) < len(pairs) or a.is_stale() or b.is_stale():
            errors.append(InvalidMutableBlock)
        real = self.attempt(errors, type(a.real).__add__, a.real, b.real)
        if not errors:
            self.consume(pairs)
            self.put(new, "mutable", real, ids)

    def _do_walk(self, number: int) -> None:
        slot = self.find(number, "mutable", "immutable")
        if slot is not None and not slot.is_stale():
            same("ids walked over", [block.id for block in slot.real], slot.ids())

    def _do_downgrade(self, new: int, number: int) -> None:
        slot = self.find(number, "item")
        if slot is None:
            return
        if slot.is_stale():
            self.attempt((StaleHandle,), slot.real.downgrade)
            return
        weak = slot.real.downgrade()
        block = self.model.blocks[slot.hold.ids[0]]
        assert block.sequence_hash is not None
        remembered = (slot.hold.ids[0], block.generation, block.sequence_hash)
        same("weak handle", (weak.id, weak.sequence_hash), (remembered[0], remembered[2]))
        self.slots[new] = Slot("weak", weak, TrackedHold([], [], "immutable", self.now, 1), [], remembered)

    def _do_upgrade(self, new: int, number: int) -> None:
        slot = self.find(number, "weak")
        if slot is None:
            return
        real = slot.real.upgrade()
        if self.model.upgrade(*slot.weak):
            same("upgraded", real is not None, True)
            self.put(new, "item", real, [slot.weak[0]])
        else:
            same("upgraded", real, None)

    def _do_release(self, number: int) -> None:
        slot = self.slots.get(number)
        if slot is not None and slot.kind != "weak":
            slot.real.release()
            self.give_back(slot.hold, slot.entries)

    def _do_leave(self, number: int) -> None:
        slot = self.find(number, "mutable", "immutable", "scattered")
        if slot is not None:
            with slot.real as entered:
                same("entered handle", entered is slot.real, True)
            self.give_back(slot.hold, slot.entries)

    def _do_delete(self, number: int) -> None:
        slot = self.slots.pop(number, None)
        if slot is not None:
            slot.hold.users -= 1
            if slot.hold.users == 0:
                self.give_back(slot.hold, range(len(slot.hold.ids)))

    # Reset and misuse

    def _do_reset_blocks(self, hashes: tuple[int, ...]) -> None:
        reset, not_found, not_reset = self.model.reset_blocks(hashes)
        result = self.pool.reset_blocks(as_argument(hashes))
        same_evicted(result.reset, reset, EvictionReason.RESET)
        same("not found", result.not_found.tolist(), not_found)
        same("not reset", result.not_reset.tolist(), not_reset)

    def _do_reset(self) -> None:
        try:
            reset = self.model.reset()
        except ResetError:
            self.attempt((ResetError,), self.pool.reset)
        else:
            same_evicted(self.attempt((), self.pool.reset), reset, EvictionReason.RESET)

    def _do_foreign(self, what: str, number: int) -> None:
        slot = self.slots.get(number)
        if slot is None or slot.kind not in ("mutable", "immutable") or slot.is_stale():
            return
        other = BlockPool(2, BLOCK_SIZE)
        strangers = other.allocate_blocks(1)
        parent = other.register_blocks(other.allocate_blocks(1), [1])
        hashes = [1] * len(slot.entries)
        if slot.kind == "immutable":
            self.attempt((ForeignHandle,), type(parent).__add__, slot.real, parent)
        elif what == "add":
            self.attempt((ForeignHandle,), type(strangers).__add__, slot.real, strangers)
        elif what == "parent":
            self.attempt((ForeignHandle,), self.pool.register_blocks, slot.real, hashes, parent=parent)
        elif what == "list":
            blocks = [*slot.real, strangers[0]]
            self.attempt((ForeignHandle,), self.pool.register_blocks, blocks, [*hashes, 1])
        else:
            self.attempt((ForeignHandle,), self.pool.register_blocks, strangers, [1])
        other.check_invariants()
        same("active blocks of the other pool", other.status().active, 2)
