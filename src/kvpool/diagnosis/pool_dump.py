"""All that a pool can tell of itself, at one moment, to be kept or sent."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass

import numpy as np

from kvpool import BlockPool
from kvpool.diagnosis.columns import pack_column, unpack_column
from kvpool.diagnosis.dump_error import DumpError
from kvpool.diagnosis.json_fields import JsonFields
from kvpool.diagnosis.records import counts_of, events_of, latencies_of, latencies_to_json, status_of
from kvpool.errors import CorruptionError
from kvpool.types.block_table import BlockTable
from kvpool.types.event_statistics import EventStatistics
from kvpool.types.hold import Hold
from kvpool.types.latency_histogram import LatencyHistogram

__all__ = ["HOLD_KINDS", "MAX_BYTES", "PoolDump", "shorten"]

MAX_BYTES = 2**30
"""Bytes that a dump may have, and that its columns may take, unless the caller says otherwise."""
HOLD_KINDS = ("mutable", "immutable", "sequence", "pin")

_FORMAT, _VERSION = "kvpool-dump", 1
_MAX_OWNER = 200  # characters
_MAX_BLOCKS = 2**31 - 1
_LOOKS = 5
_COLUMNS = {
    "states": "|u1",
    "sequence_hashes": "<u8",
    "parents": "<i4",
    "references": "<u4",
    "children": "<u4",
    "levels": "|u1",
    "generations": "<u4",
    "namespaces": "|u1",
}
_BYTES_A_BLOCK = sum(np.dtype(kind).itemsize for kind in _COLUMNS.values())


def shorten(value: object) -> str:
    """Return what an object looks like, at most 200 characters of it; one that cannot be shown is named by its type."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__} without a usable repr>"
    return text if len(text) <= _MAX_OWNER else text[: _MAX_OWNER - 3] + "..."


@dataclass(frozen=True, slots=True, eq=False)
class PoolDump:
    """All that a pool can tell of itself.

    Attributes
    ----------
    name : str
        The pool's.
    time : float
        When it was made, in seconds since 1970.
    process : int
        Id of the process whose pool it is.
    num_blocks, block_size : int
    duplicates, eviction : str
        As the pool was made with; a policy of the user's is shown by its ``repr``.
    event_capacity, max_pinned_blocks : int
    is_closed : bool
    table : BlockTable
        Every block, and the status, of one moment.
    holds : tuple of Hold
        Who holds blocks, oldest first; owners by their ``repr``, at most 200 characters of it.
    is_quiet : bool
        Nothing happened between the moment of the table and that of the holds: they must agree. A busy pool may give
        no such moment.
    events : EventStatistics
    latencies : dict of str to LatencyHistogram
    allocation_failures, policy_errors, policy_refusals : int
    broken : str or None
        What the pool's own check of its structures found.
    """

    name: str
    time: float
    process: int
    num_blocks: int
    block_size: int
    duplicates: str
    eviction: str
    event_capacity: int
    max_pinned_blocks: int
    is_closed: bool
    table: BlockTable
    holds: tuple[Hold, ...]
    is_quiet: bool
    events: EventStatistics
    latencies: dict[str, LatencyHistogram]
    allocation_failures: int
    policy_errors: int
    policy_refusals: int
    broken: str | None

    @classmethod
    def of(cls, pool: BlockPool) -> PoolDump:
        """Make a dump of a pool.

        The pool's lock is held twice for O(num_blocks), some 60 ns a block in all: to copy the table, and to check the
        structures.

        Parameters
        ----------
        pool : BlockPool
        """
        for _ in range(_LOOKS):
            holds, status = pool.outstanding(), pool.status()
            table = pool.blocks()
            after = pool.outstanding()
            is_quiet = table.status == status == pool.status() and _is_same(holds, after)
            if is_quiet:
                break
        broken = None
        try:
            pool.check_invariants()
        except CorruptionError as error:
            broken = str(error)
        return cls(
            name=pool.name,
            time=time.time(),
            process=os.getpid(),
            num_blocks=pool.num_blocks,
            block_size=pool.block_size,
            duplicates=pool.duplicates,
            eviction=pool.eviction if isinstance(pool.eviction, str) else shorten(pool.eviction),
            event_capacity=pool.event_capacity,
            max_pinned_blocks=pool.max_pinned_blocks,
            is_closed=pool.closed,
            table=table,
            holds=tuple(
                hold._replace(owner=None if hold.owner is None else shorten(hold.owner), age=float(hold.age))
                for hold in after
            ),
            is_quiet=is_quiet,
            events=pool.event_statistics(),
            latencies=pool.latencies(),
            allocation_failures=pool.allocation_failures,
            policy_errors=pool.policy_errors,
            policy_refusals=pool.policy_refusals,
            broken=broken,
        )

    def to_bytes(self) -> bytes:
        """Return the dump as one JSON object, in ASCII."""
        fields = {
            "format": _FORMAT,
            "version": _VERSION,
            "name": self.name,
            "time": self.time,
            "process": self.process,
            "num_blocks": self.num_blocks,
            "block_size": self.block_size,
            "duplicates": self.duplicates,
            "eviction": self.eviction,
            "event_capacity": self.event_capacity,
            "max_pinned_blocks": self.max_pinned_blocks,
            "is_closed": self.is_closed,
            "status": counts_of(self.table.status),
            "namespace_names": list(self.table.namespace_names),
            "columns": {name: pack_column(getattr(self.table, name), kind) for name, kind in _COLUMNS.items()},
            "holds": [hold._asdict() for hold in self.holds],
            "is_quiet": self.is_quiet,
            "event_statistics": counts_of(self.events),
            "latencies": latencies_to_json(self.latencies),
            "allocation_failures": self.allocation_failures,
            "policy_errors": self.policy_errors,
            "policy_refusals": self.policy_refusals,
            "broken": self.broken,
        }
        return json.dumps(fields, allow_nan=False).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes | bytearray, *, max_bytes: int = MAX_BYTES) -> PoolDump:
        """Read a dump, whoever wrote it.

        Parameters
        ----------
        data : bytes
            What :meth:`to_bytes` returned.
        max_bytes : int, default 2**30
            What the dump may have, and what its columns may take when they are unpacked.

        Raises
        ------
        DumpError
            It is not a dump, or of another version, cut short, larger than that, or contradicts itself in its sizes.
        """
        if len(data) > max_bytes:
            raise DumpError(f"the dump has more than max_bytes = {max_bytes} bytes")
        fields = JsonFields.parse(data, "the dump", _FORMAT, _VERSION)
        num_blocks = fields.count("num_blocks", 1, _MAX_BLOCKS)
        if num_blocks * _BYTES_A_BLOCK > max_bytes:
            raise DumpError(
                f"the dump's {num_blocks} blocks take {num_blocks * _BYTES_A_BLOCK} bytes, "
                f"more than max_bytes = {max_bytes}"
            )
        status = status_of(fields)
        if status.total != num_blocks:
            raise DumpError(f"the dump is of {num_blocks} blocks, but its status of {status.total}")
        columns = fields.inner("columns")
        arrays = {name: unpack_column(columns.inner(name), kind, num_blocks, name) for name, kind in _COLUMNS.items()}
        return cls(
            name=fields.text("name"),
            time=fields.moment("time"),
            process=fields.count("process"),
            num_blocks=num_blocks,
            block_size=fields.count("block_size", 1),
            duplicates=fields.text("duplicates"),
            eviction=fields.text("eviction"),
            event_capacity=fields.count("event_capacity"),
            max_pinned_blocks=fields.count("max_pinned_blocks"),
            is_closed=fields.flag("is_closed"),
            table=BlockTable(status=status, namespace_names=fields.texts("namespace_names"), **arrays),
            holds=tuple(_hold_of(JsonFields(hold, "a hold of the dump")) for hold in fields.items("holds")),
            is_quiet=fields.flag("is_quiet"),
            events=events_of(fields),
            latencies=latencies_of(fields),
            allocation_failures=fields.count("allocation_failures"),
            policy_errors=fields.count("policy_errors"),
            policy_refusals=fields.count("policy_refusals"),
            broken=fields.text_or_none("broken"),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the dump to a file, which is there with all its bytes or not at all.

        Only its owner can read the file: it tells who holds what.

        Parameters
        ----------
        path : path
            Replaced if it is there.

        Raises
        ------
        OSError
            It cannot be written.
        """
        folder, name = os.path.split(os.path.abspath(path))
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(self.to_bytes())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> PoolDump:
        """Read a dump from a file; as :meth:`from_bytes`.

        Raises
        ------
        DumpError
            As :meth:`from_bytes`.
        OSError
            The file cannot be read.
        """
        data = bytearray()
        with open(path, "rb") as file:
            # Not in one go: that takes the memory for max_bytes, however small the file is.
            while len(data) <= max_bytes and (more := file.read(2**20)):
                data += more
        return cls.from_bytes(data, max_bytes=max_bytes)


def _is_same(before: list[Hold], after: list[Hold]) -> bool:
    """Whether the same handles hold as many blocks as before, as far as can be told."""
    return len(before) == len(after) and all(
        old.owner is new.owner and (old.kind, old.blocks) == (new.kind, new.blocks)
        for old, new in zip(before, after, strict=True)
    )


def _hold_of(fields: JsonFields) -> Hold:
    kind = fields.text("kind")
    if kind not in HOLD_KINDS:
        raise DumpError(f"a hold of the dump has kind = {kind[:20]!r}, which is none of {', '.join(HOLD_KINDS)}")
    return Hold(fields.text_or_none("owner"), kind, fields.count("blocks"), fields.number("age"))
