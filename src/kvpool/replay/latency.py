"""Percentiles of many durations in little memory."""

from __future__ import annotations

import numpy as np

__all__ = ["LatencyHistogram"]

_STEPS = 128  # buckets in each doubling: a bucket is at most 1/128 wide


class LatencyHistogram:
    """Durations, counted in log-linear buckets: below 128 ns exact, above it at most 0.8 % wide.

    The maximum is kept exactly. 60 kB, whatever the number of durations.
    """

    def __init__(self) -> None:
        self._counts = [0] * (_STEPS * 58)
        self.count = 0
        self.max_ns = 0

    def add(self, duration_ns: int) -> None:
        """Count one duration, in nanoseconds."""
        shift = max(duration_ns.bit_length() - 8, 0)
        self._counts[shift * _STEPS + (duration_ns >> shift)] += 1
        self.count += 1
        if duration_ns > self.max_ns:
            self.max_ns = duration_ns

    def percentile(self, percent: float) -> int:
        """Return the smallest duration (ns) that is not exceeded by this share of the durations; 0 when there are none.

        Parameters
        ----------
        percent : float
            In (0, 100].
        """
        if not 0 < percent <= 100:
            raise ValueError(f"percent = {percent} is not in (0, 100]")
        if self.count == 0:
            return 0
        rank = int(np.ceil(self.count * percent / 100))
        bucket = int(np.searchsorted(np.cumsum(self._counts), rank))
        shift = max(bucket // _STEPS - 1, 0)
        upper = ((bucket - shift * _STEPS + 1) << shift) - 1
        return min(upper, self.max_ns)

    def summary(self) -> dict[str, int]:
        """Return count and p50, p90, p99, p99.9 and maximum in nanoseconds."""
        return {
            "count": self.count,
            "p50_ns": self.percentile(50),
            "p90_ns": self.percentile(90),
            "p99_ns": self.percentile(99),
            "p999_ns": self.percentile(99.9),
            "max_ns": self.max_ns,
        }
