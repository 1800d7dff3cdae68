"""Who holds blocks, whether that adds up, and who may have forgotten them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from kvpool.diagnosis.finding import Finding
from kvpool.diagnosis.pool_dump import HOLD_KINDS, PoolDump
from kvpool.types.block_state import BlockState
from kvpool.types.hold import Hold

__all__ = ["check_holds", "sum_holds"]

Numbers = dict[str, int | float | str | None]


def sum_holds(holds: Iterable[Hold]) -> list[tuple[Hold, int]]:
    """Sum holds up by owner and kind.

    Returns
    -------
    list of (Hold, int)
        The blocks of all, the age of the oldest, and how many there are; most blocks first.
    """
    sums: dict[tuple[str | None, str], tuple[Hold, int]] = {}
    for hold in holds:
        key = (hold.owner, hold.kind)
        before, count = sums.get(key, (hold._replace(blocks=0), 0))
        sums[key] = (before._replace(blocks=before.blocks + hold.blocks, age=max(before.age, hold.age)), count + 1)
    return sorted(sums.values(), key=lambda item: -item[0].blocks)


def check_holds(dump: PoolDump, max_age: float, waited: float) -> Iterator[Finding]:
    """Check the holds against the table, and look for old ones, O(num_blocks + holds).

    Parameters
    ----------
    dump : PoolDump
    max_age : float
        Seconds after which a hold may be a leak.
    waited : float
        Seconds to be added to the ages.

    Yields
    ------
    Finding
    """
    if dump.is_quiet:
        yield from _check_sums(dump)
    else:
        what = "the pool was busy: its holds and its blocks are of different moments and were not compared"
        yield Finding("note", "busy", what)
    yield from _find_old(dump, max_age, waited)


def _check_sums(dump: PoolDump) -> Iterator[Finding]:
    """Compare what the holds say with the references that blocks have, as far as they must agree.

    A handle whose blocks continue each other refers to the last one only, so a hold stands for one reference or more,
    and for its blocks at most. Of a sequence it is not known how many of its blocks are mutable.
    """
    blocks = dict.fromkeys(HOLD_KINDS, 0)
    handles = dict.fromkeys(HOLD_KINDS, 0)
    for hold in dump.holds:
        blocks[hold.kind] += hold.blocks
        handles[hold.kind] += 1
    mutable = dump.table.status.mutable
    least, most = blocks["mutable"], blocks["mutable"] + blocks["sequence"]
    if not least <= mutable <= most:
        numbers: Numbers = {"mutable": mutable, "least": least, "most": most}
        what = f"{mutable} blocks are mutable, but handles hold {_range(least, most)} of these"
        yield Finding("error", "mutable holds", what, numbers)
        return
    references = _count_references(dump)
    least = handles["immutable"] + handles["pin"]
    most = blocks["immutable"] + blocks["pin"] + blocks["sequence"] - (mutable - blocks["mutable"])
    if not least <= references <= most:
        numbers = {"references": references, "least": least, "most": most}
        what = f"registered blocks have {references} references of handles, but handles hold {_range(least, most)}"
        yield Finding("error", "holds", what, numbers)
    if (dump.table.status.pinned > 0) != (handles["pin"] > 0):
        numbers = {"pinned": dump.table.status.pinned, "pins": handles["pin"]}
        what = f"{dump.table.status.pinned} blocks are pinned, but there are {handles['pin']} pins"
        yield Finding("error", "pins", what, numbers)


def _count_references(dump: PoolDump) -> int:
    """Count the references of registered blocks that are not those of held blocks which continue them."""
    table = dump.table
    is_active = table.states == BlockState.ACTIVE.value
    is_child = is_active & (table.parents >= 0)
    return int(table.references[is_active].sum(dtype=np.int64)) - int(np.count_nonzero(is_child))


def _range(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least} to {most}"


def _find_old(dump: PoolDump, max_age: float, waited: float) -> Iterator[Finding]:
    old = [hold._replace(age=hold.age + waited) for hold in dump.holds if hold.age + waited > max_age]
    for hold, count in sum_holds(old):
        whose = "unnamed" if hold.owner is None else hold.owner
        numbers: Numbers = {
            "owner": hold.owner,
            "kind": hold.kind,
            "blocks": hold.blocks,
            "holds": count,
            "age": hold.age,
            "max_age": max_age,
        }
        since = f"since {hold.age:.0f} s" if count == 1 else f"in {count} holds, the oldest since {hold.age:.0f} s"
        held = f"{hold.blocks} {'block' if hold.blocks == 1 else 'blocks'}"
        if hold.kind == "pin":  # made to be kept
            yield Finding("note", "old pin", f"{whose} pins {held} {since}", numbers)
        else:
            yield Finding("warning", "leak", f"{whose} holds {held} ({hold.kind}) {since}", numbers)
