"""What a policy is told of the blocks that can go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kvpool.policies.candidate import Candidate

__all__ = ["Candidates"]


class Candidates(NamedTuple):
    """Cached blocks, in the order in which they would go by priority and recency: read-only arrays of shape (n,).

    Attributes
    ----------
    ids : ndarray of int32
    sequence_hashes : ndarray of uint64
    last_access_times : ndarray of float64
        Seconds of the pool's clock.
    priorities, positions, reuse_counts : ndarray of uint32
        As those of a :class:`Candidate`.
    """

    ids: npt.NDArray[np.int32]
    sequence_hashes: npt.NDArray[np.uint64]
    last_access_times: npt.NDArray[np.float64]
    priorities: npt.NDArray[np.uint32]
    positions: npt.NDArray[np.uint32]
    reuse_counts: npt.NDArray[np.uint32]

    def each(self) -> Iterator[Candidate]:
        """Yield the blocks one by one."""
        return map(Candidate._make, zip(*(column.tolist() for column in self), strict=True))
