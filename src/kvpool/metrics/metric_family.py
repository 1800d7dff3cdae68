"""A metric, as all exporters know it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from kvpool.metrics.buckets import Buckets
from kvpool.metrics.pool_reading import PoolReading

__all__ = ["MetricFamily", "Value"]

Value: TypeAlias = int | float | Buckets


@dataclass(frozen=True, slots=True)
class MetricFamily:
    """A metric: what it is called, what it means, and how its values follow from a reading of a pool.

    Prometheus and OpenTelemetry both read this, so that nothing is said twice.

    Attributes
    ----------
    name : str
        As Prometheus has it; that of a counter ends with ``_total``.
    kind : {"counter", "gauge", "histogram"}
        The values of a histogram are :class:`Buckets`, those of the others are numbers.
    unit : str
        What is counted or measured, in the plural.
    help : str
        One line.
    labels : tuple of str
        Names of the labels; the first is ``pool``.
    read : callable
        Takes a :class:`PoolReading`, and returns pairs of the other labels' values and a value.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[PoolReading], Iterable[tuple[tuple[str, ...], Value]]]

    def numbers(self, readings: Iterable[PoolReading]) -> Iterator[tuple[tuple[str, ...], int | float]]:
        """Yield the values of all labels, and the value, of each series of a counter or gauge.

        Parameters
        ----------
        readings : iterable of PoolReading
        """
        for labels, value in self._samples(readings):
            if not isinstance(value, Buckets):
                yield labels, value

    def histograms(self, readings: Iterable[PoolReading]) -> Iterator[tuple[tuple[str, ...], Buckets]]:
        """Yield the values of all labels, and the buckets, of each series of a histogram.

        Parameters
        ----------
        readings : iterable of PoolReading
        """
        for labels, value in self._samples(readings):
            if isinstance(value, Buckets):
                yield labels, value

    def _samples(self, readings: Iterable[PoolReading]) -> Iterator[tuple[tuple[str, ...], Value]]:
        for reading in readings:
            for labels, value in self.read(reading):
                # A name that is no valid Unicode would spoil the whole scrape.
                texts = (reading.name, *labels)
                yield tuple(text.encode(errors="backslashreplace").decode() for text in texts), value
