"""Pools as they are seen in an exposition of Prometheus."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from kvpool.diagnosis.call_times import CallTimes
from kvpool.diagnosis.dump_error import DumpError
from kvpool.diagnosis.pool_sample import PoolSample

__all__ = ["read_exposition"]

Labels = dict[str, str]

# What is called active there is what a status calls immutable.
_STATES = {"active": "immutable", "mutable": "mutable", "cached": "cached", "empty": "empty"}
_COUNTERS = {
    "kvbm_allocations_total": "allocations",
    "kvbm_registrations_total": "registrations",
    "kvpool_allocation_failures_total": "failures",
    "kvbm_match_hashes_requested_total": "hashes",
    "kvbm_match_blocks_returned_total": "matched",
}
_GAUGES = {
    "kvpool_waiting": "waiting",
    "kvpool_pinned_blocks": "pinned",
    "kvpool_events_missed_total": "missed",
    "kvpool_block_size_tokens": "block_size",
}


def read_exposition(text: str, now: float) -> dict[str, PoolSample]:
    """Return the pools that an exposition tells of, by name.

    Parameters
    ----------
    text : str
        In the text format of Prometheus.
    now : float
        When it was fetched, in seconds since 1970.

    Raises
    ------
    DumpError
        It is no exposition, or one without pools.
    ImportError
        prometheus_client is not installed.
    """
    blocks: dict[str, dict[str, int]] = defaultdict(dict)
    counters: dict[str, dict[str, float]] = defaultdict(dict)
    evictions: dict[str, dict[str, float]] = defaultdict(dict)
    gauges: dict[str, dict[str, int]] = defaultdict(dict)
    buckets: dict[str, dict[str, dict[float, float]]] = defaultdict(lambda: defaultdict(dict))
    try:
        for name, labels, value in _read(text):
            pool = labels.get("pool", "")
            if name == "kvpool_blocks" and labels.get("state") in _STATES:
                blocks[pool][_STATES[labels["state"]]] = int(value)
            elif name in _COUNTERS:
                counters[pool][_COUNTERS[name]] = value
            elif name in _GAUGES:
                gauges[pool][_GAUGES[name]] = int(value)
            elif name == "kvpool_evictions_total":
                evictions[pool][labels.get("reason", "")] = value
            elif name == "kvpool_call_duration_seconds_bucket":
                bound = float(labels["le"])
                if not math.isnan(bound):
                    buckets[pool][labels.get("call", "")][bound] = value
    except (ValueError, KeyError, IndexError) as error:
        raise DumpError(f"it is no exposition of Prometheus: {str(error)[:80]}") from None
    if not blocks:
        raise DumpError("it is an exposition without kvpool_blocks: there is no pool in it")
    return {
        pool: PoolSample(
            name=pool,
            time=now,
            about=_describe(sum(states.values()), gauges[pool].pop("block_size", None)),
            blocks=states,
            counters=counters[pool],
            evictions=evictions[pool],
            gauges=gauges[pool],
            latencies={call: _times_of(classes) for call, classes in buckets[pool].items()},
        )
        for pool, states in blocks.items()
    }


def _describe(num_blocks: int, block_size: int | None) -> str:
    return f"{num_blocks:,} blocks" + ("" if block_size is None else f" of {block_size} tokens")


def _read(text: str) -> Iterator[tuple[str, Labels, float]]:
    """Read the samples of the pools' metrics; values that are no numbers are left out."""
    from prometheus_client.parser import text_string_to_metric_families

    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith(("kvpool_", "kvbm_")) and math.isfinite(sample.value):
                yield sample.name, sample.labels, max(sample.value, 0.0)


def _times_of(classes: dict[float, float]) -> CallTimes:
    """Take the running sums of a histogram apart; where they fall, which is not right, there is nothing."""
    bounds = sorted(classes)
    counts = np.diff(np.array([classes[bound] for bound in bounds]), prepend=0.0)
    return CallTimes(np.array(bounds), np.maximum(counts, 0.0))
