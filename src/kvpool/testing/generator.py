"""Random operations, as likely as possible to meet each other."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from kvpool.testing.arguments import BLOCK_SIZE
from kvpool.testing.history import Operation
from kvpool.testing.side_by_side import SideBySide
from kvpool.testing.universe import Universe

__all__ = ["Generator", "random_quotas"]

WEIGHTS = {
    "allocate": 10,
    "register": 14,
    "tokens": 3,
    "serve": 6,
    "match": 8,
    "scatter": 3,
    "look": 1,
    "touch": 3,
    "retain": 2,
    "pin": 3,
    "protect": 2,
    "spare": 1,
    "evict_ahead": 1,
    "trigger": 1,
    "quota": 4,
    "view": 3,
    "item": 4,
    "add": 3,
    "walk": 1,
    "downgrade": 2,
    "upgrade": 2,
    "reborn": 2,
    "release": 5,
    "leave": 1,
    "delete": 20,
    "reset_blocks": 2,
    "reset": 1,
    "foreign": 1,
    "advance": 4,
    "exhaust": 2,
    "clear": 1,
}
HANDLES = ("mutable", "block", "immutable", "item", "scattered", "pin")
MAX_WEAK = 4


def random_quotas(rng: random.Random, num_blocks: int) -> tuple[tuple[int, int], ...]:
    """Return floors and caps of some namespaces, mostly of none."""
    if rng.random() < 0.7:
        return ()
    count = rng.randint(1, 3)
    floors = [rng.choice((0, 0, rng.randint(0, num_blocks // (count + 1)))) for _ in range(count)]
    return tuple((floor, rng.choice((num_blocks, rng.randint(floor, num_blocks)))) for floor in floors)


def spaces_of(universe: Universe, spaces: int, rng: random.Random) -> list[int]:
    """Return a namespace for each hash, that of the first one of its path."""
    roots: dict[int, int] = {}
    return [roots.setdefault(path[0], rng.randrange(spaces)) for path in universe.paths]


class Generator:
    """Chooses each operation in sight of the pools, so that most do something.

    Parameters
    ----------
    rng : random.Random
        All that is random comes from it.
    universe : Universe
    side : SideBySide
        Looked at, not changed.
    """

    def __init__(self, rng: random.Random, universe: Universe, side: SideBySide) -> None:
        self.rng = rng
        self.universe = universe
        self.side = side
        self.next_slot = 0
        self.max_slots = rng.choice((3, 5, 8, 12))
        self.uses_retention = rng.random() < 0.5
        self.uses_misuse = rng.random() < 0.3
        self.waits = rng.random() < 0.2
        self.space_of = dict(zip(universe.hashes, spaces_of(universe, len(side.model.quotas), rng), strict=True))
        self.pending: list[Operation] = []
        # Each history leaves some operations out and has others often.
        self.names = [name for name, weight in WEIGHTS.items() for _ in range(weight * rng.choice((0, 1, 1, 2, 4)))]
        self.names += ["allocate", "register", "match", "delete"] * 4

    def next(self) -> Operation:
        """Return the next operation."""
        while True:
            if self.pending:
                return self.pending.pop()
            weak = [number for number, slot in self.side.slots.items() if slot.kind == "weak"]
            if len(weak) > MAX_WEAK:
                return ("delete", weak[0])
            if len(self.side.slots) - len(weak) > self.max_slots:
                return ("delete", self.pick(*HANDLES))
            name = self.names[int(self.rng.random() * len(self.names))]
            operation: Operation | None = getattr(self, "_" + name)()
            if operation is not None:
                return operation

    # Choosing

    def below(self, n: int) -> int:
        """Return a number in [0, n)."""
        return int(self.rng.random() * n)

    def pick(self, *kinds: str) -> int | None:
        """Return a slot of one of these kinds, the newest ones more often; None if there is none."""
        slots = self.side.slots
        numbers = [number for number in slots if slots[number].kind in kinds]
        if not numbers:
            return None
        return numbers[-1] if self.rng.random() < 0.3 else numbers[self.below(len(numbers))]

    def new(self) -> int:
        """Return a slot that was never used."""
        self.next_slot += 1
        return self.next_slot

    def request(self) -> tuple[int, ...]:
        """Hashes to look for: mostly a path of the tree, sometimes with a break in it."""
        path = self.universe.path(self.below(len(self.universe.hashes)))
        choice = self.rng.random()
        if choice < 0.7:
            return path
        if choice < 0.8:
            return path + self.universe.some(self.rng, 1)
        if choice < 0.9:
            return path[self.below(len(path)) :]
        return self.universe.some(self.rng, self.below(5))

    def space(self, hashes: Sequence[int] = ()) -> int:
        """Return the namespace that these hashes are mostly used in, or hardly ever another."""
        spaces = len(self.side.model.quotas)
        if not hashes or (spaces > 1 and self.rng.random() < 0.05):
            return self.below(spaces)
        return self.space_of.get(hashes[0], 0)

    def retention(self) -> tuple[int | None, float | None]:
        """Priority and time-to-live for a registration."""
        if not self.uses_retention or self.rng.random() < 0.4:
            return None, None
        priority = self.rng.choice((None, 0, 1, 34, 35, 36, 60, 100))
        ttl = self.rng.choice((None, None, 0.25, 0.5, 1.0, 1.0, 4.0, 64.0))
        if self.uses_misuse and self.rng.random() < 0.1:
            return self.rng.choice(((-1, None), (101, None), (None, 0.0), (None, -1.0)))
        return priority, ttl

    # Operations

    def _advance(self) -> Operation:
        return ("advance", self.rng.choice((0.25, 0.25, 0.5, 1.0, 3.75, 60.0)))

    def _allocate(self) -> Operation:
        n = self.below(4) + 1
        choice = self.rng.random()
        if choice > 0.85:
            n = self.below(self.side.model.num_blocks + 1)
        if choice > 0.97:
            n = self.side.model.room(0) + self.below(3)
        if choice > 0.99:
            n = self.rng.choice((0, self.side.model.num_blocks + 1))
        timeout = self.rng.choice((0.0, 1e-6)) if self.waits and self.rng.random() < 0.3 else None
        return self.allocation(self.new(), n, timeout, self.space())

    @staticmethod
    def allocation(slot: int, n: int, timeout: float | None, space: int) -> Operation:
        """Return the operation, without what it need not say."""
        if timeout is None and space == 0:
            return ("allocate", slot, n)
        return Generator.in_space(("allocate", slot, n, timeout), space)

    def _exhaust(self) -> Operation:
        slot, space = self.new(), self.space()
        if self.rng.random() < 0.8:
            self.pending.append(("delete", slot))
        return self.allocation(slot, self.side.model.room(space), None, space)

    def _clear(self) -> Operation | None:
        """Drop all handles, but remember weakly what they held."""
        self.pending = [("delete", number) for number, slot in self.side.slots.items() if slot.kind != "weak"]
        self.rng.shuffle(self.pending)
        if self.rng.random() < 0.5:
            self.pending.insert(0, ("reset",))
        return self.pending.pop() if self.pending else None

    def _serve(self) -> Operation | None:
        """Do what a server does for a request: match, allocate the rest, register it, let go."""
        path = self.universe.path(self.below(len(self.universe.hashes)))
        missing = len(path) - self.side.model.match_length(path)
        cached, fresh, filled = self.new(), self.new(), self.new()
        space = self.space(path)
        steps: list[Operation] = [self.in_space(("match", cached, path), space)]
        if missing:
            steps.append(self.allocation(fresh, missing, None, space))
            parent = ("slot", cached) if self.rng.random() < 0.4 else None
            steps.append(("register", filled, fresh, path[-missing:], parent, *self.retention()))
            steps.append(("delete", fresh))
        if self.rng.random() < 0.7:
            ends: list[Operation] = [("delete", cached), ("delete", filled)]
            self.rng.shuffle(ends)
            steps += ends
        self.pending = steps[::-1]
        return self.pending.pop()

    def _register(self) -> Operation | None:
        slot = self.pick("mutable", "block") if self.rng.random() < 0.8 else self.pick("mutable")
        if slot is None:
            return None
        size = len(self.side.slots[slot].entries)
        blocks: Any = slot
        choice = self.rng.random()
        if self.side.slots[slot].kind == "mutable" and choice < 0.3:
            if choice < 0.2:
                bounds = self.bounds(size)
                blocks = ("slice", slot, *bounds)
                size = len(range(size)[slice(*bounds)])
            else:
                blocks, size = self.singles()
        start, hashes = self.to_register(size)
        if self.uses_misuse and self.rng.random() < 0.05:
            hashes = hashes[:-1] if self.rng.random() < 0.5 else (*hashes, 7)
        return ("register", self.new(), blocks, hashes, self.parent(start), *self.retention())

    def singles(self) -> tuple[Any, int]:
        """Return a list of single blocks of any mutable handles, hardly ever with one twice, and its length."""
        every = [
            (number, i)
            for number, slot in self.side.slots.items()
            if slot.kind == "mutable"
            for i, entry in enumerate(slot.entries)
            if slot.hold.live[entry] or self.uses_misuse
        ]
        self.rng.shuffle(every)
        chosen = every[: self.below(4)]
        return ("list", *chosen), len(chosen)

    def to_register(self, size: int) -> tuple[int | None, tuple[int, ...]]:
        """Return hashes for so many blocks, mostly a part of a path, and the hash before them."""
        path = self.universe.path(self.below(len(self.universe.hashes)))
        if self.rng.random() < 0.15:
            return None, self.universe.some(self.rng, size)
        start = max(len(path) - size, 0) if self.rng.random() < 0.6 else self.below(len(path))
        hashes = path[start : start + size]
        hashes += self.universe.some(self.rng, size - len(hashes))
        return (path[start - 1] if start else None), hashes

    def parent(self, start: int | None) -> tuple[str, int] | None:
        """Return a ``parent=`` for blocks that come after the hash ``start``."""
        choice = self.rng.random()
        if choice < 0.4:
            return None
        if choice < 0.8:
            return None if start is None else ("hash", start)
        if choice < 0.9:
            return ("hash", self.universe.some(self.rng, 1)[0])
        slot = self.pick("immutable", "item")
        return None if slot is None else ("slot", slot)

    def _tokens(self) -> Operation | None:
        slot = self.pick("mutable")
        if slot is None or not self.universe.tokens:
            return None
        size = len(self.side.slots[slot].entries)
        path = self.universe.path(self.below(len(self.universe.hashes)))
        start = max(len(path) - size, 0)
        tokens = [token for sequence_hash in path[start:] for token in self.universe.tokens[sequence_hash]]
        tokens += [self.below(3) for _ in range(BLOCK_SIZE * size - len(tokens))]
        how = self.rng.choice(("fill", "fill", "commit", "apply", "short"))
        return ("tokens", self.new(), slot, tuple(tokens), path[start - 1] if start else None, how)

    @staticmethod
    def in_space(operation: Operation, space: int) -> Operation:
        """Return the operation for a namespace; the default one need not be said."""
        return (*operation, space) if space > 0 else operation

    def lookup(self, name: str) -> Operation:
        """Return a call of this name that looks for hashes."""
        hashes = self.request()
        return self.in_space((name, self.new(), hashes), self.space(hashes))

    def _match(self) -> Operation:
        return self.lookup("match")

    def _scatter(self) -> Operation:
        return self.lookup("scatter")

    def _pin(self) -> Operation:
        return self.lookup("pin")

    def _retain(self) -> Operation | None:
        priority, ttl = self.retention()
        return None if priority is None and ttl is None else ("retain", self.request(), priority, ttl)

    def _protect(self) -> Operation:
        return ("protect", tuple(self.request() for _ in range(self.below(4))))

    def _spare(self) -> Operation:
        """Protect blocks here and there, use so many others that their turn comes, then protect some of them."""
        model, slot = self.side.model, self.new()
        named = [(sequence_hash,) for sequence_hash in self.universe.hashes if self.rng.random() < 0.5]
        cached = [block_id for block_id in model.find(h for (h,) in named) if model.blocks[block_id].refs == 0]
        n = max(model.room(0) - len(cached) + self.below(3), 0)
        fewer = tuple(prompt for prompt in named if self.rng.random() < 0.2)
        self.pending = [("protect", fewer), ("delete", slot), ("allocate", slot, n)]
        return ("protect", tuple(named))

    def _evict_ahead(self) -> Operation:
        return ("evict_ahead", self.below(self.side.model.num_blocks + 1) + (self.rng.random() < 0.01))

    def _trigger(self) -> Operation:
        return ("trigger", self.rng.choice(("NORMAL", "AGGRESSIVE")))

    def _quota(self) -> Operation | None:
        if len(self.side.model.quotas) == 1:
            return None
        cap = self.below(self.side.model.num_blocks + 1)
        floor = self.below(min(cap, self.side.model.num_blocks // 2) + 1)
        return ("quota", self.space(), floor, cap)

    def _look(self) -> Operation:
        return ("look", tuple(self.request() for _ in range(self.below(4))))

    def _touch(self) -> Operation:
        return ("touch", self.request())

    def bounds(self, size: int) -> tuple[int | None, int | None, int | None]:
        """Return start, stop and step of a slice."""
        start = None if self.rng.random() < 0.3 else self.below(size + 2) - 1
        stop = None if self.rng.random() < 0.3 else self.below(size + 2) - 1
        return start, stop, self.rng.choice((None, None, None, 1, 2, -1))

    def _view(self) -> Operation | None:
        slot = self.pick("mutable", "immutable")
        return None if slot is None else ("view", self.new(), slot, *self.bounds(len(self.side.slots[slot].entries)))

    def _item(self) -> Operation | None:
        slot = self.pick("mutable", "immutable", "scattered")
        if slot is None:
            return None
        size = len(self.side.slots[slot].entries)
        i = self.below(size + 2) - 1 if self.rng.random() < 0.1 else self.below(size)
        return ("item", self.new(), slot, i)

    def _add(self) -> Operation | None:
        kind = self.rng.choice(("mutable", "immutable"))
        left, right = self.pick(kind), self.pick(kind)
        if left is None or (left == right and self.rng.random() < 0.9):
            return None
        return ("add", self.new(), left, right)

    def _walk(self) -> Operation | None:
        slot = self.pick("mutable", "immutable")
        return None if slot is None else ("walk", slot)

    def _downgrade(self) -> Operation | None:
        slot = self.pick("item")
        return None if slot is None else ("downgrade", self.new(), slot)

    def _upgrade(self) -> Operation | None:
        slot = self.pick("weak")
        return None if slot is None else ("upgrade", self.new(), slot)

    def _reborn(self) -> Operation | None:
        """Give a mutable block the hash that it had when a weak handle on it was made, then upgrade that handle."""
        weak = self.pick("weak")
        if weak is None:
            return None
        block_id, _, sequence_hash = self.side.slots[weak].weak
        for number, slot in self.side.slots.items():
            ids = slot.ids() if slot.kind == "mutable" else []
            if block_id in ids and slot.hold.live[slot.entries[ids.index(block_id)]]:
                i = ids.index(block_id)
                self.pending = [("upgrade", self.new(), weak)]
                return ("register", self.new(), ("list", (number, i)), (sequence_hash,), None, None, None)
        return None

    def _release(self) -> Operation | None:
        slot = self.pick(*HANDLES)
        return None if slot is None else ("release", slot)

    def _leave(self) -> Operation | None:
        slot = self.pick("mutable", "immutable", "scattered", "pin")
        return None if slot is None else ("leave", slot)

    def _delete(self) -> Operation | None:
        slot = self.pick(*HANDLES)
        return None if slot is None else ("delete", slot)

    def _reset_blocks(self) -> Operation:
        return ("reset_blocks", self.universe.some(self.rng, self.below(3) + 1))

    def _reset(self) -> Operation:
        return ("reset",)

    def _foreign(self) -> Operation | None:
        slot = self.pick("mutable", "immutable")
        return None if slot is None else ("foreign", self.rng.choice(("register", "add", "parent", "list")), slot)
