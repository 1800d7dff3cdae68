"""What is wrong with a pool, from its dump."""

from __future__ import annotations

from kvpool.diagnosis.check_counts import check_counts
from kvpool.diagnosis.check_holds import check_holds
from kvpool.diagnosis.check_table import check_table
from kvpool.diagnosis.finding import SEVERITIES, Finding
from kvpool.diagnosis.pool_dump import PoolDump

__all__ = ["FINDING_KINDS", "MAX_AGE", "examine"]

MAX_AGE = 300.0
"""Seconds after which a hold may be a leak, unless the caller says otherwise."""

FINDING_KINDS = {
    "check": "the pool's own check of its structures failed",
    "sum": "counts of the status do not add up",
    "part": "a part is more than the whole",
    "state": "a block has a state that there is not",
    "states": "the status tells of other numbers of blocks than there are",
    "identity": "a block that is not registered has a hash, a parent or children",
    "level": "a registered block has a priority that there is not",
    "namespace": "a block is of a namespace that there is not",
    "duplicate": "two blocks have the same hash, though the pool does not keep duplicates",
    "parent range": "the parent is no block",
    "parent": "the parent is not registered",
    "parent namespace": "the parent is of another namespace",
    "children": "a block has other children than it counts",
    "cycle": "a block is its own ancestor",
    "references": "a block's references do not go with its state",
    "held child": "a block is held by nobody, though one that continues it is held",
    "held children": "a block has fewer references than held blocks that continue it",
    "mutable holds": "handles hold other numbers of mutable blocks than there are",
    "holds": "handles hold other numbers of registered blocks than are referred to",
    "pins": "blocks are pinned without a pin, or the other way round",
    "waiting": "calls wait while blocks are available",
    "leak": "blocks are held for long",
    "closed": "blocks are held though the pool is closed",
    "missed events": "events were dropped before a subscriber had them",
    "subscriber errors": "a subscriber raised",
    "policy errors": "the eviction policy raised",
    "policy refusals": "the eviction policy named blocks that could not go",
    "old pin": "a pin keeps blocks for long",
    "busy": "holds and blocks could not be compared",
}
"""Every kind of finding, and what it means."""


def examine(dump: PoolDump, *, max_age: float = MAX_AGE, now: float | None = None) -> list[Finding]:
    """Find what is wrong with a pool, or may be. A healthy pool has no findings.

    Everything is worked out anew from the table of blocks, not taken from the pool's own check. A million blocks take
    half a second.

    Parameters
    ----------
    dump : PoolDump
    max_age : float, default 300
        Seconds after which a hold may be a leak; infinity for never. A pin is made to be kept, and is only noted.
    now : float, optional
        Time in seconds since 1970 at which the holds are looked at; the dump's own by default.

    Returns
    -------
    list of Finding
        Errors first.

    Raises
    ------
    ValueError
        max_age is not a number of at least 0.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> from kvpool.diagnosis import PoolDump, examine
    >>> pool = BlockPool(8)
    >>> blocks = pool.allocate_blocks(3, owner="request 7")
    >>> dump = PoolDump.of(pool)
    >>> examine(dump)
    []
    >>> [finding.what for finding in examine(dump, now=dump.time + 600)]
    ["'request 7' holds 3 blocks (mutable) since 600 s"]
    """
    if not max_age >= 0:
        raise ValueError(f"max_age = {max_age} is not a number of at least 0")
    waited = 0.0 if now is None else now - dump.time
    findings = [*check_counts(dump), *check_table(dump), *check_holds(dump, max_age, waited)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
