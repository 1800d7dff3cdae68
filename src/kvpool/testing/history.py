"""A run of operations on a pool, as plain data that can be printed, pasted and run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = ["History", "Operation", "rename"]

NEW_SLOTS = ("allocate", "view", "item", "add", "downgrade", "upgrade", "match", "scatter", "pin", "register", "tokens")

Operation: TypeAlias = tuple[Any, ...]
"""Name and arguments of one step.

A *slot* is a number that stands for a handle; ``new`` names the slot of the handle that the step makes. An operation
whose slots do not exist does nothing, so any part of a history is a history.

* ``("advance", seconds)``: the clock goes on.
* ``("allocate", new, n)``, ``("allocate", new, n, timeout)``, ``("allocate", new, n, timeout, space)``: ``space`` is
  the number of a namespace.
* ``("register", new, blocks, hashes, parent, priority, ttl)``: ``blocks`` is a slot, or
  ``("slice", slot, start, stop, step)``, or ``("list", (slot, i), ...)``; ``parent`` is None, ``("hash", h)`` or
  ``("slot", slot)``.
* ``("tokens", new, slot, tokens, parent_hash, how)``: put tokens into the blocks and register them without hashes;
  ``how`` is ``fill``, ``commit``, ``apply``, or ``short`` for one token too few.
* ``("match", new, hashes)``, ``("match", new, hashes, space)``, in the same way ``scatter`` and ``pin``;
  ``("touch", hashes)``
* ``("look", (hashes, ...))``: ``contains`` and ``match_lengths``.
* ``("view", new, slot, start, stop, step)``, ``("item", new, slot, i)``, ``("add", new, slot, slot)``,
  ``("walk", slot)``: slice, index, sum, iteration.
* ``("downgrade", new, slot)``, ``("upgrade", new, slot)``
* ``("release", slot)``, ``("leave", slot)`` (by ``with``): the handle stays, and is stale.
* ``("delete", slot)``: the handle goes.
* ``("retain", hashes, priority, ttl)``, ``("protect", (hashes, ...))``
* ``("evict_ahead", n)``, ``("trigger", mode)``, ``("quota", space, floor, cap)``
* ``("reset_blocks", hashes)``, ``("reset",)``
* ``("foreign", what, slot)``: a handle of another pool in a call.
"""


@dataclass
class History:
    """Operations and the pool that they are for.

    Attributes
    ----------
    num_blocks : int
    duplicates : {"share", "keep"}
    event_capacity : int
    universe : tuple of int
        The hashes whose registration is compared after every step.
    operations : list of tuple
        See :data:`Operation`.
    namespaces : tuple of (int, int)
        Floor and cap of each namespace; they have the numbers from 1, the default one is 0.
    """

    num_blocks: int
    duplicates: str = "share"
    event_capacity: int = 4096
    universe: tuple[int, ...] = ()
    operations: list[Operation] = field(default_factory=list)
    namespaces: tuple[tuple[int, int], ...] = ()

    def source(self) -> str:
        """Return Python code that runs the history again."""
        lines = "".join(f"        {operation!r},\n" for operation in self.operations)
        return (
            "from kvpool.testing import History, replay\n\n"
            "replay(\n"
            "    History(\n"
            f"        num_blocks={self.num_blocks},\n"
            f"        duplicates={self.duplicates!r},\n"
            f"        event_capacity={self.event_capacity},\n"
            f"        universe={self.universe!r},\n"
            f"        operations=[\n{lines.replace('        (', '            (')}        ],\n"
            f"        namespaces={self.namespaces!r},\n"
            "    )\n"
            ")\n"
        )

    def named_hashes(self) -> set[int]:
        """Return the hashes that some operation names; those that tokens give are not among them."""
        named: set[int] = set()

        def note(sequence_hash: int) -> int:
            named.add(sequence_hash)
            return sequence_hash

        for operation in self.operations:
            rename(operation, lambda slot: slot, note)
        return named


def rename(operation: Operation, slot: Callable[[int], int], sequence_hash: Callable[[int], int]) -> Operation:
    """Return the operation with other slots and hashes."""
    name, *rest = operation
    if name in NEW_SLOTS:
        rest[0] = slot(rest[0])
    if name in ("walk", "release", "leave", "delete"):
        rest[0] = slot(rest[0])
    elif name in ("view", "item", "add", "downgrade", "upgrade", "tokens", "foreign"):
        rest[1] = slot(rest[1])
        if name == "add":
            rest[2] = slot(rest[2])
    elif name in ("match", "scatter", "pin"):
        rest[1] = tuple(map(sequence_hash, rest[1]))
    elif name in ("touch", "reset_blocks", "retain"):
        rest[0] = tuple(map(sequence_hash, rest[0]))
    elif name in ("look", "protect"):
        rest[0] = tuple(tuple(map(sequence_hash, hashes)) for hashes in rest[0])
    elif name == "register":
        rest[1] = _rename_blocks(rest[1], slot)
        rest[2] = tuple(map(sequence_hash, rest[2]))
        if rest[3] is not None:
            kind, parent = rest[3]
            rest[3] = (kind, slot(parent) if kind == "slot" else sequence_hash(parent))
    return (name, *rest)


def _rename_blocks(blocks: Any, slot: Callable[[int], int]) -> Any:
    if isinstance(blocks, int):
        return slot(blocks)
    if blocks[0] == "slice":
        return ("slice", slot(blocks[1]), *blocks[2:])
    return ("list", *((slot(number), i) for number, i in blocks[1:]))
