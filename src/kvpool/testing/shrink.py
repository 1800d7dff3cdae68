"""From a long history that fails to a short one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace

from kvpool.testing.history import History, Operation, rename

__all__ = ["shrink"]

MAX_PAIRS = 1000


def shrink(history: History, fails: Callable[[History], bool]) -> History:
    """Return a history that still fails, from which no operation can be taken.

    Operations are taken out in ever smaller groups (delta debugging, Zeller and Hildebrandt 2002), then arguments are
    made simpler, until neither helps.

    Parameters
    ----------
    history : History
        One that fails.
    fails : callable
        Runs a history; tells whether it fails.

    Returns
    -------
    History
        The same one, if it does not fail when it is run again.
    """
    if not fails(history):
        return history
    while True:
        before = history
        history = _remove_operations(history, fails)
        history = _simplify(history, fails)
        history = _remove_pairs(history, fails)
        if history == before:
            return _tidy(history, fails)


def _remove_operations(history: History, fails: Callable[[History], bool]) -> History:
    size = max(len(history.operations) // 2, 1)
    while size >= 1:
        start = 0
        while start < len(history.operations):
            shorter = history.operations[:start] + history.operations[start + size :]
            candidate = replace(history, operations=shorter)
            if fails(candidate):
                history = candidate
            else:
                start += size
        size //= 2
    return history


def _remove_pairs(history: History, fails: Callable[[History], bool]) -> History:
    """Take out two operations that need not stand beside each other, as when one undoes the other."""
    pairs = list(itertools.combinations(range(len(history.operations)), 2))
    if len(pairs) > MAX_PAIRS:
        return history
    for i, j in pairs:
        shorter = [operation for at, operation in enumerate(history.operations) if at not in (i, j)]
        candidate = replace(history, operations=shorter)
        if fails(candidate):
            return _remove_pairs(candidate, fails)
    return history


def _simplify(history: History, fails: Callable[[History], bool]) -> History:
    while True:
        for candidate in _simpler_histories(history):
            if fails(candidate):
                history = candidate
                break
        else:
            return history


def _simpler_histories(history: History) -> Iterator[History]:
    for num_blocks in sorted({1, history.num_blocks // 2, history.num_blocks - 1}):
        if 0 < num_blocks < history.num_blocks:
            share = num_blocks // max(len(history.namespaces), 1)
            namespaces = tuple((min(floor, share), min(cap, num_blocks)) for floor, cap in history.namespaces)
            yield replace(history, num_blocks=num_blocks, namespaces=namespaces)
    for i in range(len(history.namespaces)):
        yield replace(history, namespaces=history.namespaces[:i])
    for i, (_, cap) in enumerate(history.namespaces):
        for quota in {(0, cap), (0, history.num_blocks)} - {history.namespaces[i]}:
            yield replace(history, namespaces=(*history.namespaces[:i], quota, *history.namespaces[i + 1 :]))
    for i, operation in enumerate(history.operations):
        for simpler in _simpler_operations(operation):
            operations = [*history.operations[:i], simpler, *history.operations[i + 1 :]]
            yield replace(history, operations=operations)
            yield replace(history, operations=[_follow(other, operation, simpler) for other in operations])


def _simpler_operations(operation: Operation) -> Iterator[Operation]:
    """Yield the operation with one argument shorter, smaller or left out."""
    name, *rest = operation
    if name == "allocate" and rest[1] > 0:
        yield ("allocate", rest[0], rest[1] - 1, *rest[2:])
    if name == "allocate" and len(rest) > 2:
        yield ("allocate", *rest[:-1])
    if name in ("match", "scatter", "pin"):
        yield from ((name, rest[0], hashes, *rest[2:]) for hashes in _shorter(rest[1]))
        if len(rest) == 3:
            yield (name, *rest[:2])
    if name in ("touch", "reset_blocks", "look", "protect", "retain"):
        yield from ((name, hashes, *rest[1:]) for hashes in _shorter(rest[0]))
    if name == "retain":
        yield from ((name, rest[0], *pair) for pair in ((rest[1], None), (None, rest[2])) if pair != (*rest[1:],))
    if name == "evict_ahead" and rest[0] > 0:
        yield (name, rest[0] - 1)
    if name == "register":
        for at in (3, 4, 5):
            if rest[at] is not None:
                yield (name, *rest[:at], None, *rest[at + 1 :])


def _shorter(items: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    for i in range(len(items)):
        yield items[:i] + items[i + 1 :]


def _follow(operation: Operation, allocation: Operation, smaller: Operation) -> Operation:
    """Return the registration of a smaller allocation with as many hashes; any other operation as it is."""
    if smaller[0] != "allocate" or operation[0] != "register" or operation[2] != smaller[1]:
        return operation
    if len(operation[3]) != allocation[2]:
        return operation
    return (*operation[:3], operation[3][: smaller[2]], *operation[4:])


def _tidy(history: History, fails: Callable[[History], bool]) -> History:
    """Give slots and hashes small numbers and leave out hashes that are not used."""
    slots: dict[int, int] = {}
    numbers = itertools.count(1)
    operations = [
        rename(operation, lambda slot: slots.setdefault(slot, len(slots) + 1), lambda sequence_hash: sequence_hash)
        for operation in history.operations
    ]
    used = history.named_hashes()
    renamed = dict(zip(sorted(used), numbers, strict=False))
    candidates: list[Callable[[History], History]] = [
        lambda h: replace(h, operations=operations),
        lambda h: replace(h, universe=()),
        lambda h: replace(h, universe=tuple(sequence_hash for sequence_hash in h.universe if sequence_hash in used)),
        lambda h: replace(
            h,
            universe=tuple(renamed[sequence_hash] for sequence_hash in h.universe if sequence_hash in renamed),
            operations=[rename(operation, lambda slot: slot, lambda old: renamed[old]) for operation in h.operations],
        ),
    ]
    for change in candidates:
        candidate = change(history)
        if fails(candidate):
            history = candidate
    return history
