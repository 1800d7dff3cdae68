"""The few numbers of a pool that are looked at again and again."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

import numpy as np

from kvpool import BlockPool
from kvpool.diagnosis.call_times import CallTimes
from kvpool.diagnosis.json_fields import JsonFields
from kvpool.diagnosis.pool_dump import shorten
from kvpool.diagnosis.records import counts_of, events_of, latencies_of, latencies_to_json, status_of
from kvpool.types.latency_histogram import LatencyHistogram
from kvpool.types.pool_status import PoolStatus

__all__ = ["PoolSample"]

_FORMAT, _VERSION = "kvpool-status", 1


@dataclass(frozen=True, slots=True, eq=False)
class PoolSample:
    """The numbers of a pool at one moment, from the pool itself, a pool server or an exporter of metrics.

    Attributes
    ----------
    name : str
    time : float
        Seconds since 1970.
    about : str
        What kind of pool it is; "" where that is not known.
    blocks : dict of str to int
        By state; they add up to all blocks.
    counters : dict of str to float
        What was done since the pool was made: ``allocations``, ``registrations``, ``hashes``, ``matched``,
        ``failures``. Those that are not known are missing.
    evictions : dict of str to float
        By reason, since the pool was made.
    gauges : dict of str to int
        ``waiting`` calls, ``pinned`` blocks, events ``missed``; those that are not known are missing.
    latencies : dict of str to CallTimes
        By call.
    """

    name: str
    time: float
    about: str
    blocks: dict[str, int]
    counters: dict[str, float]
    evictions: dict[str, float]
    gauges: dict[str, int]
    latencies: dict[str, CallTimes]

    @classmethod
    def of(cls, pool: BlockPool, name: str) -> PoolSample:
        """Look at a pool."""
        return cls.from_bytes(cls.describe(pool, name))

    @staticmethod
    def describe(pool: BlockPool, name: str) -> bytes:
        """Return the numbers of a pool as one JSON object, in ASCII: O(1), whatever the size of the pool.

        Parameters
        ----------
        pool : BlockPool
        name : str
            What the pool is called where it is looked at.
        """
        fields = {
            "format": _FORMAT,
            "version": _VERSION,
            "name": name,
            "time": time.time(),
            "block_size": pool.block_size,
            "eviction": pool.eviction if isinstance(pool.eviction, str) else shorten(pool.eviction),
            "status": counts_of(pool.status()),
            "allocation_failures": pool.allocation_failures,
            "event_statistics": counts_of(pool.event_statistics()),
            "latencies": latencies_to_json(pool.latencies()),
        }
        return json.dumps(fields, allow_nan=False).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> PoolSample:
        """Read what :meth:`describe` returned, whoever sent it.

        Raises
        ------
        DumpError
            It is something else.
        """
        fields = JsonFields.parse(data, "the status", _FORMAT, _VERSION)
        status = status_of(fields)
        return cls(
            name=fields.text("name"),
            time=fields.moment("time"),
            about=f"{status.total:,} blocks of {fields.count('block_size', 1)} tokens, {fields.text('eviction')}",
            blocks={name: getattr(status, name) for name in ("immutable", "mutable", "cached", "empty")},
            counters={
                "allocations": status.allocations,
                "registrations": status.registrations,
                "hashes": status.match_hashes_requested,
                "matched": status.match_blocks_returned,
                "failures": fields.count("allocation_failures"),
            },
            evictions=_evictions_of(status),
            gauges={"waiting": status.waiting, "pinned": status.pinned, "missed": events_of(fields).missed},
            latencies={name: _times_of(times) for name, times in latencies_of(fields).items()},
        )


def _evictions_of(status: PoolStatus) -> dict[str, float]:
    return {
        "capacity": status.evictions,
        "ahead": status.evictions_ahead - status.evictions_for_pressure,
        "pressure": status.evictions_for_pressure,
        "reset": status.resets,
        "truncated": status.truncations,
    }


def _times_of(times: LatencyHistogram) -> CallTimes:
    return CallTimes(times.bounds, times.counts.astype(np.float64))
