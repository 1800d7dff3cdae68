"""Whether a table of blocks can be that of a pool, worked out from its columns alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvpool.diagnosis.finding import Finding
from kvpool.diagnosis.pool_dump import PoolDump
from kvpool.types.block_state import BlockState

__all__ = ["check_table"]

_AVAILABLE, _ALLOCATED, _ACTIVE, _RETURNED = (
    state.value for state in (BlockState.AVAILABLE, BlockState.ALLOCATED, BlockState.ACTIVE, BlockState.RETURNED)
)
_SPARED_LEVEL = 101


def check_table(dump: PoolDump) -> Iterator[Finding]:
    """Check every column of the table against the others, O(num_blocks * log(num_blocks)).

    Parameters
    ----------
    dump : PoolDump

    Yields
    ------
    Finding
        One for each rule that is broken, with the number of blocks that break it and the first of them.
    """
    states = dump.table.states
    is_registered = (states == _ACTIVE) | (states == _RETURNED)
    yield from _check_states(dump)
    yield from _check_identities(dump, is_registered)
    yield from _check_lineage(dump, is_registered)
    yield from _check_references(dump, is_registered)


def _broken(kind: str, is_broken: NDArray[np.bool_], rule: str, **columns: NDArray[Any]) -> Iterator[Finding]:
    """Tell of the blocks that break a rule, and of the first one what the columns say."""
    ids = np.flatnonzero(is_broken)
    if len(ids) == 0:
        return
    first = int(ids[0])
    numbers: dict[str, int | float | str | None] = {"blocks": len(ids), "block": first}
    numbers |= {name: int(column[first]) for name, column in columns.items()}
    details = ", ".join(f"{name} {numbers[name]}" for name in columns)
    what = f"{len(ids)} {'block' if len(ids) == 1 else 'blocks'}: {rule}; "
    what += f"{'it' if len(ids) == 1 else 'the first'} is block {first}" + (f" ({details})" if details else "")
    yield Finding("error", kind, what, numbers)


def _check_states(dump: PoolDump) -> Iterator[Finding]:
    states, status = dump.table.states, dump.table.status
    known = (_AVAILABLE, _ALLOCATED, _ACTIVE, _RETURNED)
    # Not np.unique, nor np.isin: states are bytes.
    seen = np.bincount(states, minlength=256)
    is_unknown = np.ones(256, dtype=np.bool_)
    is_unknown[list(known)] = False
    yield from _broken("state", is_unknown[states], "a state that there is not", state=states)
    counted = {
        "empty": int(seen[_AVAILABLE]),
        "mutable": int(seen[_ALLOCATED]),
        "immutable": int(seen[_ACTIVE]),
        "cached": int(seen[_RETURNED]),
    }
    for name, number in counted.items():
        told = getattr(status, name)
        if number != told:
            numbers: dict[str, int | float | str | None] = {"told": told, "counted": number}
            yield Finding("error", "states", f"the status tells of {told} {name} blocks, but {number} are", numbers)


def _check_identities(dump: PoolDump, is_registered: NDArray[np.bool_]) -> Iterator[Finding]:
    table = dump.table
    yield from _broken(
        "identity",
        ~is_registered & ((table.sequence_hashes != 0) | (table.parents != -1) | (table.children != 0)),
        "not registered, yet with a hash, a parent or children",
        hash=table.sequence_hashes,
        parent=table.parents,
        children=table.children,
    )
    yield from _broken(
        "level",
        is_registered & (table.levels > _SPARED_LEVEL),
        f"a level above {_SPARED_LEVEL}",
        level=table.levels,
    )
    yield from _broken(
        "namespace",
        table.namespaces >= len(table.namespace_names),
        f"a namespace that there is not, of {len(table.namespace_names)}",
        namespace=table.namespaces,
    )
    if dump.duplicates != "keep":
        ids = np.flatnonzero(is_registered)
        hashes = table.sequence_hashes[ids]
        order = np.argsort(hashes, kind="stable")
        is_again = np.zeros(dump.num_blocks, dtype=np.bool_)
        is_again[ids[order[1:]]] = hashes[order[1:]] == hashes[order[:-1]]
        rule = "a hash that another block has, in a pool that does not keep duplicates"
        yield from _broken("duplicate", is_again, rule, hash=table.sequence_hashes)


def _check_lineage(dump: PoolDump, is_registered: NDArray[np.bool_]) -> Iterator[Finding]:
    table, n = dump.table, dump.num_blocks
    parents = table.parents
    has_parent = is_registered & (parents != -1)
    is_in_range = (parents >= 0) & (parents < n)
    yield from _broken(
        "parent range", has_parent & ~is_in_range, f"a parent that is no block of [0, {n})", parent=parents
    )
    has_parent &= is_in_range
    of_parent = np.where(has_parent, parents, 0)
    yield from _broken(
        "parent", has_parent & ~is_registered[of_parent], "a parent that is not registered", parent=parents
    )
    yield from _broken(
        "parent namespace",
        has_parent & (table.namespaces[of_parent] != table.namespaces),
        "a parent of another namespace",
        parent=parents,
        namespace=table.namespaces,
    )
    counted = np.bincount(parents[has_parent], minlength=n)
    yield from _broken(
        "children",
        is_registered & (counted != table.children),
        "children miscounted",
        children=table.children,
        counted=counted,
    )
    rule = "no root above, the ancestors go round in a circle"
    yield from _broken("cycle", _is_below_a_cycle(parents, has_parent), rule, parent=parents)


def _is_below_a_cycle(parents: NDArray[np.int32], has_parent: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which blocks never come to a root, however far they are followed: by doubling the steps each time."""
    n = len(parents)
    above = np.append(np.where(has_parent, parents, n), n).astype(np.intp)  # the root of all, which is above itself
    for _ in range(n.bit_length()):
        if (above == n).all():
            break
        above = above[above]
    is_below: NDArray[np.bool_] = above[:n] != n
    return is_below


def _check_references(dump: PoolDump, is_registered: NDArray[np.bool_]) -> Iterator[Finding]:
    table, n = dump.table, dump.num_blocks
    states, references = table.states, table.references
    is_idle = (states == _AVAILABLE) | (states == _RETURNED)
    is_wrong = (is_idle & (references != 0)) | ((states == _ALLOCATED) & (references != 1))
    is_wrong |= (states == _ACTIVE) & (references == 0)
    rule = "references that do not go with the state"
    yield from _broken("references", is_wrong, rule, state=states, references=references)

    is_child = is_registered & (table.parents >= 0) & (table.parents < n)
    active_children = np.bincount(table.parents[is_child & (states == _ACTIVE)], minlength=n)
    yield from _broken(
        "held child",
        (states == _RETURNED) & (active_children > 0),
        "held by nobody, though a block that continues it is held",
        children=active_children,
    )
    yield from _broken(
        "held children",
        (states == _ACTIVE) & (references < active_children),
        "fewer references than held blocks that continue it",
        references=references,
        children=active_children,
    )
