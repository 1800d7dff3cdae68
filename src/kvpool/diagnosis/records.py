"""What pools report, to JSON and back."""

from __future__ import annotations

import numpy as np

from kvpool.diagnosis.json_fields import JsonFields
from kvpool.types.event_statistics import EventStatistics
from kvpool.types.latency_histogram import LatencyHistogram
from kvpool.types.pool_status import PoolStatus

__all__ = ["counts_of", "events_of", "latencies_of", "latencies_to_json", "status_of"]

_LATENCY_CLASSES = 40


def counts_of(record: PoolStatus | EventStatistics) -> dict[str, int]:
    """Return a named tuple of counts as a JSON object."""
    return {name: int(value) for name, value in record._asdict().items()}


def status_of(fields: JsonFields) -> PoolStatus:
    """Return the status that a JSON object has; counts with a default may be missing, as older versions have fewer."""
    status = fields.inner("status")
    wanted = [name for name in PoolStatus._fields if name in status or name not in PoolStatus._field_defaults]
    return PoolStatus(**{name: status.count(name) for name in wanted})


def events_of(fields: JsonFields) -> EventStatistics:
    """Return the event statistics that a JSON object has."""
    events = fields.inner("event_statistics")
    return EventStatistics(**{name: events.count(name) for name in EventStatistics._fields})


def latencies_to_json(latencies: dict[str, LatencyHistogram]) -> dict[str, object]:
    """Return what ``pool.latencies()`` returned as a JSON object."""
    return {
        name: {"counts": times.counts.tolist(), "total_seconds": times.total_seconds, "period": times.period}
        for name, times in latencies.items()
    }


def latencies_of(fields: JsonFields) -> dict[str, LatencyHistogram]:
    """Return the latencies that a JSON object has."""
    found = {}
    latencies = fields.inner("latencies")
    for name in latencies:
        times = latencies.inner(name)
        counts = np.array(times.counts("counts", _LATENCY_CLASSES), dtype=np.uint64)
        found[name] = LatencyHistogram(counts, times.number("total_seconds"), times.count("period"))
    return found
