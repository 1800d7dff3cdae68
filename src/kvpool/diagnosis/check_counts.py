"""Whether the counts of a pool can be true together, and what they tell of its use."""

from __future__ import annotations

from collections.abc import Iterator

from kvpool.diagnosis.finding import Finding
from kvpool.diagnosis.pool_dump import PoolDump

__all__ = ["check_counts"]


def check_counts(dump: PoolDump) -> Iterator[Finding]:
    """Check the status against itself, and look for calls, events and policies that go wrong, O(1).

    Parameters
    ----------
    dump : PoolDump

    Yields
    ------
    Finding
    """
    if dump.broken is not None:
        yield Finding("error", "check", f"the pool's own check failed: {dump.broken}", {"broken": dump.broken})
    yield from _check_sums(dump)
    yield from _check_waiting(dump)
    yield from _check_use(dump)


def _check_sums(dump: PoolDump) -> Iterator[Finding]:
    s = dump.table.status
    equations = [
        ("total", s.total, "empty + cached + active", s.empty + s.cached + s.active),
        ("available", s.available, "empty + cached", s.empty + s.cached),
        ("active", s.active, "mutable + immutable", s.mutable + s.immutable),
        ("allocations", s.allocations, "allocations_from_empty + evictions", s.allocations_from_empty + s.evictions),
    ]
    for name, left, expression, right in equations:
        if left != right:
            numbers: dict[str, int | float | str | None] = {name: left, expression: right}
            yield Finding("error", "sum", f"{name} = {left}, but {expression} = {right}", numbers)
    parts = [
        ("duplicates", s.duplicates, "registrations", s.registrations),
        ("match_blocks_returned", s.match_blocks_returned, "match_hashes_requested", s.match_hashes_requested),
        ("scan_blocks_returned", s.scan_blocks_returned, "scan_hashes_requested", s.scan_hashes_requested),
        ("evictions_for_pressure", s.evictions_for_pressure, "evictions_ahead", s.evictions_ahead),
        ("pinned", s.pinned, "immutable", s.immutable),
        ("pinned", s.pinned, "max_pinned_blocks", dump.max_pinned_blocks),
    ]
    for part, less, whole, more in parts:
        if less > more:
            yield Finding("error", "part", f"{part} = {less} is more than {whole} = {more}", {part: less, whole: more})


def _check_waiting(dump: PoolDump) -> Iterator[Finding]:
    s = dump.table.status
    if s.waiting == 0 or s.available == 0:
        return
    numbers: dict[str, int | float | str | None] = {"waiting": s.waiting, "available": s.available}
    calls = "1 call waits" if s.waiting == 1 else f"{s.waiting} calls wait"
    if s.active == 0 and len(dump.table.namespace_names) == 1:
        yield Finding("error", "waiting", f"{calls} for blocks, though all {s.total} are available", numbers)
    else:
        what = f"{calls} while {s.available} blocks are available: the first one wants more, or may not have more"
        yield Finding("warning", "waiting", what, numbers)


def _check_use(dump: PoolDump) -> Iterator[Finding]:
    events = dump.events
    if events.missed:
        what = f"{events.missed} events left the ring of {dump.event_capacity} before a subscriber had them"
        yield Finding(
            "warning", "missed events", what, {"missed": events.missed, "event_capacity": dump.event_capacity}
        )
    if events.errors:
        what = f"subscribers raised for {events.errors} batches of events"
        yield Finding("warning", "subscriber errors", what, {"errors": events.errors})
    if dump.policy_errors:
        what = f"the eviction policy raised {dump.policy_errors} times"
        yield Finding("warning", "policy errors", what, {"errors": dump.policy_errors})
    if dump.policy_refusals:
        what = f"the eviction policy named {dump.policy_refusals} blocks that could not go"
        yield Finding("note", "policy refusals", what, {"refusals": dump.policy_refusals})
    if dump.is_closed and dump.table.status.active:
        what = f"the pool is closed, but {dump.table.status.active} blocks are held"
        yield Finding("warning", "closed", what, {"active": dump.table.status.active})
