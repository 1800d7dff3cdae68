"""Metrics for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kvpool.metrics.families import FAMILIES
from kvpool.metrics.metric_family import MetricFamily
from kvpool.metrics.pool_reading import PoolReading

try:
    from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
        Metric,
    )
    from prometheus_client.registry import Collector
except ModuleNotFoundError:
    raise ImportError("metrics for Prometheus need prometheus_client: pip install 'kvpool[metrics]'") from None

if TYPE_CHECKING:
    from kvpool.metrics.block_manager_metrics import BlockManagerMetrics

__all__ = ["PrometheusCollector"]


class PrometheusCollector(Collector):
    """Reads the pools of a :class:`BlockManagerMetrics` when it is scraped.

    Parameters
    ----------
    metrics : BlockManagerMetrics
    """

    def __init__(self, metrics: BlockManagerMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics that have values. Each pool is read once."""
        readings = self._metrics.read()
        return (metric for family in FAMILIES if (metric := _metric_of(family, readings)).samples)

    def describe(self) -> Iterator[Metric]:
        """Yield all metrics without values, so that a registry knows their names though no pool was made yet."""
        return (_metric_of(family, ()) for family in FAMILIES)

    def register(self, registry: CollectorRegistry | None = None) -> None:
        """Be one of a registry's collectors.

        Parameters
        ----------
        registry : CollectorRegistry, optional
            The process's default one if not given.
        """
        (REGISTRY if registry is None else registry).register(self)

    def exposition(self) -> bytes:
        """Return all metrics that have values in the text format of Prometheus."""
        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)


def _metric_of(family: MetricFamily, readings: Iterable[PoolReading]) -> Metric:
    """Return a metric with the values that follow from the readings."""
    # prometheus_client appends the unit to a name that does not end with it.
    unit = family.unit if family.name.removesuffix("_total").endswith(f"_{family.unit}") else ""
    if family.kind == "histogram":
        histogram = HistogramMetricFamily(family.name, family.help, labels=family.labels, unit=unit)
        for labels, value in family.histograms(readings):
            histogram.add_metric(labels, list(zip(value.labels, value.counts, strict=True)), value.total)
        return histogram
    if family.kind == "counter":
        counter = CounterMetricFamily(family.name, family.help, labels=family.labels, unit=unit)
        for labels, number in family.numbers(readings):
            counter.add_metric(labels, number)
        return counter
    gauge = GaugeMetricFamily(family.name, family.help, labels=family.labels, unit=unit)
    for labels, number in family.numbers(readings):
        gauge.add_metric(labels, number)
    return gauge
