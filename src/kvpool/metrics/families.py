"""All metrics: Dynamo's, by which users chart their pools already, and kvpool's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from kvpool.metrics.buckets import Buckets
from kvpool.metrics.metric_family import MetricFamily, Value
from kvpool.metrics.pool_reading import PoolReading
from kvpool.types.age_histogram import AgeHistogram
from kvpool.types.eviction_reason import EvictionReason
from kvpool.types.latency_histogram import LatencyHistogram

__all__ = ["DYNAMO_FAMILIES", "FAMILIES", "KVPOOL_FAMILIES"]

# Classes that are shown, each twice as long as the one before: calls of 32 ns to an eighth of a second, ages of a
# millisecond to three days. Counts are cumulative, so that leaving some out falsifies none.
_CALL_CLASSES = slice(5, 28)
_AGE_CLASSES = slice(40, 153, 4)


def _single(
    name: str,
    kind: Literal["counter", "gauge"],
    unit: str,
    value: Callable[[PoolReading], int],
    text: str,
) -> MetricFamily:
    """Return a metric with one series for each pool."""
    return MetricFamily(name, kind, unit, text, ("pool",), lambda reading: [((), value(reading))])


def _buckets(
    bounds: npt.NDArray[np.float64], counts: npt.NDArray[np.uint64], classes: slice, total: float | None = None
) -> Buckets:
    """Return some of the classes of a histogram; `bounds` are their upper ends."""
    sums = np.cumsum(counts)
    return Buckets((*bounds[classes].tolist(), math.inf), (*sums[classes].tolist(), int(sums[-1])), total)


def _call_buckets(latency: LatencyHistogram) -> Buckets:
    return _buckets(latency.bounds, latency.counts, _CALL_CLASSES, latency.total_seconds)


def _age_buckets(ages: AgeHistogram) -> Buckets:
    return _buckets(ages.edges[1:], ages.counts, _AGE_CLASSES)


def _blocks(reading: PoolReading) -> Iterator[tuple[tuple[str, ...], Value]]:
    status = reading.status
    yield ("empty",), status.empty
    yield ("cached",), status.cached
    yield ("mutable",), status.mutable
    yield ("active",), status.immutable


def _evictions(reading: PoolReading) -> Iterator[tuple[tuple[str, ...], Value]]:
    status = reading.status
    for reason, count in (
        (EvictionReason.CAPACITY, status.evictions),
        (EvictionReason.AHEAD, status.evictions_ahead - status.evictions_for_pressure),
        (EvictionReason.PRESSURE, status.evictions_for_pressure),
        (EvictionReason.RESET, status.resets),
        (EvictionReason.TRUNCATED, status.truncations),
    ):
        yield (reason.name.lower(),), count


def _namespace_blocks(reading: PoolReading) -> Iterator[tuple[tuple[str, ...], Value]]:
    for namespace in reading.namespaces:
        yield (namespace.name, "held"), namespace.held
        yield (namespace.name, "cached"), namespace.cached


DYNAMO_FAMILIES = (
    _single(
        "kvbm_allocations_total",
        "counter",
        "blocks",
        lambda reading: reading.status.allocations,
        "Blocks that were allocated.",
    ),
    _single(
        "kvbm_allocations_from_reset_total",
        "counter",
        "blocks",
        lambda reading: reading.status.allocations_from_empty,
        "Blocks that were allocated and were empty, so that none was evicted for them.",
    ),
    _single(
        "kvbm_evictions_total",
        "counter",
        "blocks",
        lambda reading: reading.status.evictions,
        "Cached blocks that were evicted because an allocation needed their room.",
    ),
    _single(
        "kvbm_registrations_total",
        "counter",
        "blocks",
        lambda reading: reading.status.registrations,
        "Blocks that were given to register, duplicates included.",
    ),
    _single(
        "kvbm_duplicate_blocks_total",
        "counter",
        "blocks",
        lambda reading: 0 if reading.shares_duplicates else reading.status.duplicates,
        "Blocks whose hash was registered already, and that were kept beside the first one.",
    ),
    _single(
        "kvbm_registration_dedup_total",
        "counter",
        "blocks",
        lambda reading: reading.status.duplicates if reading.shares_duplicates else 0,
        "Blocks whose hash was registered already, and that gave way to the first one.",
    ),
    _single(
        "kvbm_match_hashes_requested_total",
        "counter",
        "hashes",
        lambda reading: reading.status.match_hashes_requested,
        "Sequence hashes of which the longest cached prefix was asked for.",
    ),
    _single(
        "kvbm_match_blocks_returned_total",
        "counter",
        "blocks",
        lambda reading: reading.status.match_blocks_returned,
        "Blocks of the longest cached prefix that were found.",
    ),
    _single(
        "kvbm_scan_hashes_requested_total",
        "counter",
        "hashes",
        lambda reading: reading.status.scan_hashes_requested,
        "Sequence hashes that were asked for each by itself.",
    ),
    _single(
        "kvbm_scan_blocks_returned_total",
        "counter",
        "blocks",
        lambda reading: reading.status.scan_blocks_returned,
        "Blocks that were found each by itself.",
    ),
    _single(
        "kvbm_inflight_mutable",
        "gauge",
        "blocks",
        lambda reading: reading.status.mutable,
        "Blocks that are allocated and not registered yet.",
    ),
    _single(
        "kvbm_inflight_immutable",
        "gauge",
        "blocks",
        lambda reading: reading.status.immutable,
        "Registered blocks that are held.",
    ),
    _single(
        "kvbm_reset_pool_size",
        "gauge",
        "blocks",
        lambda reading: reading.status.empty,
        "Blocks that are empty.",
    ),
    _single(
        "kvbm_inactive_pool_size",
        "gauge",
        "blocks",
        lambda reading: reading.status.cached,
        "Blocks that nobody holds and that can be matched.",
    ),
)

KVPOOL_FAMILIES = (
    MetricFamily(
        "kvpool_blocks",
        "gauge",
        "blocks",
        "Blocks by state: empty, cached, mutable (allocated, not registered yet) or active (registered and held).",
        ("pool", "state"),
        _blocks,
    ),
    _single(
        "kvpool_block_size_tokens",
        "gauge",
        "tokens",
        lambda reading: reading.block_size,
        "Tokens of a block.",
    ),
    _single(
        "kvpool_pinned_blocks",
        "gauge",
        "blocks",
        lambda reading: reading.status.pinned,
        "Blocks that pins keep.",
    ),
    _single(
        "kvpool_prefix_hashes_requested_total",
        "counter",
        "hashes",
        lambda reading: reading.status.match_hashes_requested,
        "Full blocks of prompts that were looked up in the cache.",
    ),
    _single(
        "kvpool_prefix_hits_total",
        "counter",
        "hashes",
        lambda reading: reading.status.match_blocks_returned,
        "Full blocks of prompts that were cached, and all blocks before them too.",
    ),
    MetricFamily(
        "kvpool_evictions_total",
        "counter",
        "blocks",
        "Blocks that lost their identity, by reason: capacity (an allocation needed their room), ahead (room was made "
        "before it was needed), pressure (the pool or a namespace was to shrink), reset, or truncated (a sequence took "
        "tokens back).",
        ("pool", "reason"),
        _evictions,
    ),
    _single(
        "kvpool_allocation_failures_total",
        "counter",
        "calls",
        lambda reading: reading.allocation_failures,
        "Calls that failed because too few blocks were available.",
    ),
    _single(
        "kvpool_waiting",
        "gauge",
        "calls",
        lambda reading: reading.status.waiting,
        "Calls that wait for blocks.",
    ),
    MetricFamily(
        "kvpool_call_duration_seconds",
        "histogram",
        "seconds",
        "How long calls took inside the pool, the wait for its lock included. Only one of kvpool_call_timing_period "
        "calls is timed and counted. Dropping a handle is not a call.",
        ("pool", "call"),
        lambda reading: (((call,), _call_buckets(latency)) for call, latency in reading.latencies.items()),
    ),
    MetricFamily(
        "kvpool_call_timing_period",
        "gauge",
        "calls",
        "One of so many calls is timed.",
        ("pool",),
        lambda reading: [((), latency.period) for latency in list(reading.latencies.values())[:1]],
    ),
    MetricFamily(
        "kvpool_block_lifetime_seconds",
        "histogram",
        "seconds",
        "How long evicted blocks had been registered, of the sample that the pool follows.",
        ("pool",),
        lambda reading: [((), _age_buckets(reading.reuse.lifetimes))] if reading.reuse else [],
    ),
    MetricFamily(
        "kvpool_block_idle_seconds",
        "histogram",
        "seconds",
        "How long nobody had asked for evicted blocks, of the sample that the pool follows.",
        ("pool",),
        lambda reading: [((), _age_buckets(reading.reuse.idle_ages))] if reading.reuse else [],
    ),
    _single(
        "kvpool_events_total",
        "counter",
        "events",
        lambda reading: reading.events.recorded,
        "Registrations and removals of blocks that were recorded as events.",
    ),
    _single(
        "kvpool_events_delivered_total",
        "counter",
        "events",
        lambda reading: reading.events.delivered,
        "Events handed to subscribers, once for each of them.",
    ),
    _single(
        "kvpool_events_missed_total",
        "counter",
        "events",
        lambda reading: reading.events.missed,
        "Events that were dropped before a subscriber had them, once for each of them.",
    ),
    _single(
        "kvpool_event_errors_total",
        "counter",
        "batches",
        lambda reading: reading.events.errors,
        "Batches of events with which a subscriber raised.",
    ),
    _single(
        "kvpool_event_batches_published_total",
        "counter",
        "batches",
        lambda reading: reading.events.published,
        "Batches of events that were sent on, as over ZeroMQ.",
    ),
    _single(
        "kvpool_event_batches_dropped_total",
        "counter",
        "batches",
        lambda reading: reading.events.dropped,
        "Batches of events that were sent on and that somebody did not get.",
    ),
    _single(
        "kvpool_event_subscribers",
        "gauge",
        "subscribers",
        lambda reading: reading.events.subscribers,
        "Who follows the events.",
    ),
    MetricFamily(
        "kvpool_namespace_blocks",
        "gauge",
        "blocks",
        "Blocks of a namespace by state: held or cached.",
        ("pool", "namespace", "state"),
        _namespace_blocks,
    ),
    MetricFamily(
        "kvpool_namespace_floor_blocks",
        "gauge",
        "blocks",
        "Blocks that are the namespace's whenever it wants them.",
        ("pool", "namespace"),
        lambda reading: (((each.name,), each.floor) for each in reading.namespaces),
    ),
    MetricFamily(
        "kvpool_namespace_cap_blocks",
        "gauge",
        "blocks",
        "Blocks that the namespace can have, held and cached together.",
        ("pool", "namespace"),
        lambda reading: (((each.name,), each.cap) for each in reading.namespaces),
    ),
)

FAMILIES = DYNAMO_FAMILIES + KVPOOL_FAMILIES
