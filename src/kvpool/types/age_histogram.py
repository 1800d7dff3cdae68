"""How long things took."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["AgeHistogram"]


@dataclass(frozen=True, eq=False)
class AgeHistogram:
    """Durations, counted in classes of which four double the age.

    Parameters
    ----------
    counts : ndarray of uint64, shape (213,)
        As the core counts them: ``counts[0]`` are those below 1,024 ns.
    """

    counts: npt.NDArray[np.uint64]

    @property
    def total(self) -> int:
        """How many durations."""
        return int(self.counts.sum())

    @property
    def edges(self) -> npt.NDArray[np.float64]:
        """Where the classes begin and end, in seconds, shape (214,)."""
        quarters = np.arange(len(self.counts))
        return np.concatenate([[0.0], (4 + quarters % 4) * 2.0 ** (8 + quarters // 4) / 1e9])

    def quantile(self, q: float) -> float:
        """Return the age in seconds that this share of the durations does not exceed; nan when there are none.

        Parameters
        ----------
        q : float
            In [0, 1].

        Notes
        -----
        Within a class, durations count as spread evenly: the error is at most a fourth of the result.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q = {q} is not in [0, 1]")
        if not self.counts.any():
            return float("nan")
        sums = np.cumsum(self.counts, dtype=np.float64)
        wanted = max(q * sums[-1], np.nextafter(0.0, 1.0))
        at = int(np.searchsorted(sums, wanted))
        before = sums[at - 1] if at else 0.0
        low, high = self.edges[at : at + 2]
        return float(low + (high - low) * (wanted - before) / float(self.counts[at]))

    @property
    def median(self) -> float:
        """Seconds; nan when there are no durations."""
        return self.quantile(0.5)
