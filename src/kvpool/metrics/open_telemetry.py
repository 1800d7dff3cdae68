"""Metrics for OpenTelemetry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from kvpool.metrics.families import FAMILIES
from kvpool.metrics.metric_family import MetricFamily
from kvpool.metrics.pool_reading import PoolReading

try:
    from opentelemetry.metrics import CallbackOptions, Meter, Observation, get_meter
except ModuleNotFoundError:
    raise ImportError("metrics for OpenTelemetry need opentelemetry-api: pip install 'kvpool[metrics]'") from None

if TYPE_CHECKING:
    from kvpool.metrics.block_manager_metrics import BlockManagerMetrics

__all__ = ["observe"]


def observe(metrics: BlockManagerMetrics, meter: Meter | None = None) -> None:
    """Make an observable instrument for each metric, which reads the pools when it is collected.

    Parameters
    ----------
    metrics : BlockManagerMetrics
    meter : opentelemetry.metrics.Meter, optional
        The global provider's meter ``kvpool`` if not given.

    Notes
    -----
    Names are those of Prometheus without the ``_total`` of counters, which exporters append; labels are attributes.
    OpenTelemetry has no histogram that can be observed: one comes as the counters ``<name>_bucket``, with the upper
    bound as the attribute ``le``, ``<name>_count`` and, where it is known, ``<name>_sum``.
    """
    meter = get_meter("kvpool") if meter is None else meter
    latest = _LatestReadings(metrics)
    for family in FAMILIES:
        unit = "s" if family.unit == "seconds" else f"{{{family.unit}}}"
        for suffix, part_unit, part in (
            [("_bucket", "1", _bucket_counts), ("_count", "1", _counts), ("_sum", unit, _sums)]
            if family.kind == "histogram"
            else [("", unit, _numbers)]
        ):
            name = family.name.removesuffix("_total") + suffix
            create = meter.create_observable_gauge if family.kind == "gauge" else meter.create_observable_counter
            create(name, [_callback(name, family, latest, part)], part_unit, family.help)


class _LatestReadings:
    """Readings that the instruments share when they are collected one after the other, so that they are of one moment.

    An instrument that asks again begins a new collection.
    """

    def __init__(self, metrics: BlockManagerMetrics) -> None:
        self._metrics = metrics
        # Both in one, so that no lock is needed: what threads can lose to each other is a reading that was shared.
        self._latest: tuple[Sequence[PoolReading], set[str]] = ((), set())

    def take(self, instrument: str) -> Sequence[PoolReading]:
        readings, asked = self._latest
        if not asked or instrument in asked:
            self._latest = readings, asked = self._metrics.read(), set()
        asked.add(instrument)
        return readings


_Part = Callable[[MetricFamily, Sequence[PoolReading]], Iterator[Observation]]


def _callback(
    instrument: str, family: MetricFamily, latest: _LatestReadings, part: _Part
) -> Callable[[CallbackOptions], Iterator[Observation]]:
    return lambda _: part(family, latest.take(instrument))


def _numbers(family: MetricFamily, readings: Sequence[PoolReading]) -> Iterator[Observation]:
    for labels, number in family.numbers(readings):
        yield Observation(number, dict(zip(family.labels, labels, strict=True)))


def _bucket_counts(family: MetricFamily, readings: Sequence[PoolReading]) -> Iterator[Observation]:
    for labels, buckets in family.histograms(readings):
        for bound, count in zip(buckets.labels, buckets.counts, strict=True):
            yield Observation(count, {**dict(zip(family.labels, labels, strict=True)), "le": bound})


def _counts(family: MetricFamily, readings: Sequence[PoolReading]) -> Iterator[Observation]:
    for labels, buckets in family.histograms(readings):
        yield Observation(buckets.counts[-1], dict(zip(family.labels, labels, strict=True)))


def _sums(family: MetricFamily, readings: Sequence[PoolReading]) -> Iterator[Observation]:
    for labels, buckets in family.histograms(readings):
        if buckets.total is not None:
            yield Observation(buckets.total, dict(zip(family.labels, labels, strict=True)))
