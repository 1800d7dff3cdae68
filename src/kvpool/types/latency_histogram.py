"""How long calls took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LatencyHistogram"]


@dataclass(frozen=True, slots=True, eq=False)
class LatencyHistogram:
    """How long a sample of the calls took inside the pool, the wait for its lock included.

    Attributes
    ----------
    counts : array of uint64, shape (40,)
        Calls by power of two: entry ``i`` those of less than ``2**i`` and at least ``2**(i - 1)`` nanoseconds.
    total_seconds : float
        Sum over the sampled calls.
    period : int
        One of so many calls is timed.
    """

    counts: NDArray[np.uint64]
    total_seconds: float
    period: int

    @property
    def num_calls(self) -> int:
        """Calls that were timed."""
        return int(self.counts.sum())

    @property
    def bounds(self) -> NDArray[np.float64]:
        """Upper bounds of the classes, in seconds."""
        return np.exp2(np.arange(len(self.counts), dtype=np.float64)) * 1e-9

    def quantile(self, share: float) -> float:
        """Return the upper bound, in seconds, of the class in which this share of the calls ends; 0 without calls.

        Parameters
        ----------
        share : float
            In [0, 1]; 0.99 for the 99th percentile.

        Raises
        ------
        ValueError
            The share is out of its bounds.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share = {share} is not in [0, 1]")
        if self.num_calls == 0:
            return 0.0
        place = np.searchsorted(np.cumsum(self.counts), share * self.num_calls)
        return float(self.bounds[min(int(place), len(self.counts) - 1)])
