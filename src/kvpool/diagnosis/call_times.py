"""How long calls took, whoever measured it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["CallTimes"]


@dataclass(frozen=True, slots=True, eq=False)
class CallTimes:
    """Calls by class of duration.

    Attributes
    ----------
    bounds : array of float64
        Upper bounds of the classes in seconds, ascending; the last may be infinite.
    counts : array of float64
        Calls of each class.
    """

    bounds: NDArray[np.float64]
    counts: NDArray[np.float64]

    @property
    def num_calls(self) -> int:
        """Calls of all classes."""
        return int(self.counts.sum())

    def since(self, earlier: CallTimes) -> CallTimes:
        """Return the calls since an earlier look; all of them if they were counted anew since."""
        if not np.array_equal(self.bounds, earlier.bounds) or (self.counts < earlier.counts).any():
            return self
        return CallTimes(self.bounds, self.counts - earlier.counts)

    def quantile(self, share: float) -> float:
        """Return the upper bound in seconds of the class in which this share of the calls ends; 0 without calls.

        For calls above every finite bound, that is the largest one.
        """
        if self.num_calls == 0:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self.counts), share * self.counts.sum()))
        finite = self.bounds[np.isfinite(self.bounds)]
        return float(finite[min(place, len(finite) - 1)]) if len(finite) else 0.0
