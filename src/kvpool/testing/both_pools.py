"""The real pool and the model, what is held of both, and whether the two look the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kvpool import BlockPool
from kvpool.testing.agreement import MismatchError, same
from kvpool.testing.arguments import BLOCK_SIZE
from kvpool.testing.clock import Clock
from kvpool.testing.history import History
from kvpool.testing.model_pool import ModelPool
from kvpool.testing.slots import Slot, TrackedHold

__all__ = ["BothPools"]


class BothPools:
    """Both pools, and the handles that the operations made.

    Base of :class:`SideBySide`, which tells of the parameters.
    """

    def __init__(
        self,
        history: History,
        make_pool: Callable[..., Any] = BlockPool,
        make_model: Callable[..., ModelPool] = ModelPool,
    ) -> None:
        self.clock = Clock()
        self.event_capacity = history.event_capacity
        self.pool = make_pool(
            history.num_blocks,
            BLOCK_SIZE,
            duplicates=history.duplicates,
            clock=self.clock,
            event_capacity=history.event_capacity,
            max_namespaces=len(history.namespaces),
        )
        self.model = make_model(history.num_blocks, duplicates=history.duplicates, namespaces=history.namespaces)
        # By number; no hash depends on its namespace, so that each can be asked for the blocks of the others.
        self.namespaces = [
            self.pool.namespace(str(number), floor=floor, cap=cap, salt_hash=0)
            for number, (floor, cap) in enumerate(history.namespaces, 1)
        ]
        self.universe = history.universe
        self.universe_array = np.array(history.universe, dtype=np.uint64)
        self.slots: dict[int, Slot] = {}
        self.holds: set[TrackedHold] = set()
        self.steps = 0
        self.events_seen = 0

    @property
    def now(self) -> int:
        """Nanoseconds."""
        return self.clock.nanoseconds

    def namespace(self, space: int) -> Any:
        """Return the real pool's namespace of this number, None for the default one."""
        return self.namespaces[space - 1] if space > 0 else None

    # Comparing

    def compare(self) -> None:
        """Compare all that the pool shows of itself."""
        pool, model = self.pool, self.model
        pool.check_invariants()
        states, status = model.snapshot()
        same("block states", pool.block_states().tobytes(), states)
        same("status", pool.status(), status)
        same("contains", pool.contains(self.universe_array).tobytes(), bytes(model.contains(self.universe)))
        recorded = pool.event_statistics().recorded
        same("number of events", recorded, len(model.events))
        if recorded != self.events_seen:  # reading none takes as long as a call
            first = max(self.events_seen, recorded - self.event_capacity)
            same("events", pool.events(self.events_seen), model.events[first:])
            self.events_seen = recorded
        same("number of live handles", len(pool.outstanding()), len(self.holds))

    def compare_handles(self) -> None:
        """Compare who holds what since when, and what each handle says of itself."""
        now = self.now
        status = self.model.snapshot()[1]
        same("available blocks", self.pool.available_blocks, status.available)
        for number, namespace in enumerate(self.namespaces, 1):
            real = (namespace.held_blocks, namespace.cached_blocks, namespace.available_blocks)
            model = self.model
            same(f"blocks of {number}", real, (model.held(number), model.cached(number), model.room(number)))
        same("usage rate", self.pool.usage_rate, status.active / status.total)
        hits = status.match_blocks_returned / max(status.match_hashes_requested, 1)
        same("cache hit rate", self.pool.cache_hit_rate, hits)
        same(
            "outstanding",
            sorted((hold.kind, hold.blocks, hold.age) for hold in self.pool.outstanding()),
            sorted((hold.kind, sum(hold.live), (now - hold.since) / 1e9) for hold in self.holds),
        )
        for number, slot in self.slots.items():
            if slot.kind != "weak":
                found = [entry for entry in slot.entries if slot.hold.ids[entry] >= 0]
                is_gone = bool(found) and not any(slot.hold.live[entry] for entry in found)
                same(f"released of {number}", slot.real.released, is_gone)
            if slot.kind in ("mutable", "immutable", "scattered", "pin"):
                same(f"ids of {number}", slot.real.ids.tolist(), slot.ids())

    def attempt(
        self, expected: Sequence[type[BaseException]], call: Callable[..., Any], *args: Any, **named: Any
    ) -> Any:
        """Call the real pool; the result, or None when one of the expected errors was raised."""
        try:
            result = call(*args, **named)
        except Exception as error:
            if type(error) not in expected:
                wanted = " or ".join(kind.__name__ for kind in expected) or "no error"
                raise MismatchError(f"raised {type(error).__name__}: {error}; expected {wanted}") from error
            return None
        if expected:
            raise MismatchError(f"expected {' or '.join(kind.__name__ for kind in expected)}, but nothing was raised")
        return result

    # Slots

    def put(self, number: int, kind: str, real: Any, ids: list[int]) -> None:
        """Remember a new handle that holds these blocks."""
        if kind == "item":
            same("id", real.id, ids[0])
        else:
            same("ids", real.ids.tolist(), ids)
            same("length", len(real), len([i for i in ids if i >= 0] if kind == "pin" else ids))
        held_as = kind if kind in ("mutable", "pin") else "immutable"
        hold = TrackedHold(ids, [block_id >= 0 for block_id in ids], held_as, self.now, 1)
        if any(hold.live):
            self.holds.add(hold)
        self.slots[number] = Slot(kind, real, hold, list(range(len(ids))))

    def lose(self, hold: TrackedHold, entries: Sequence[int]) -> list[int]:
        """Forget that these entries are held; returns the blocks of those that were."""
        ids = []
        for entry in entries:
            if hold.live[entry]:
                hold.live[entry] = False
                ids.append(hold.ids[entry])
        if not any(hold.live):
            self.holds.discard(hold)
        return ids

    def give_back(self, hold: TrackedHold, entries: Sequence[int]) -> None:
        """Release these entries in the model."""
        ids = self.lose(hold, entries)
        if hold.kind == "mutable":
            self.model.release_mutable(ids)
        elif hold.kind == "pin" and ids:
            self.model.unpin(ids)
        else:
            self.model.release(ids)

    def find(self, number: int, *kinds: str) -> Slot | None:
        """Return the slot if there is one of these kinds."""
        slot = self.slots.get(number)
        return slot if slot is not None and slot.kind in kinds else None

    def consume(self, pairs: list[tuple[TrackedHold, int]]) -> None:
        """Forget mutable blocks that are another handle's now."""
        for hold, entry in pairs:
            self.lose(hold, [entry])
