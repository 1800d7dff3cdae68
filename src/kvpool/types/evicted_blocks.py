"""The identities that a call took from blocks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["EvictedBlocks"]


class EvictedBlocks(NamedTuple):
    """Identities taken from blocks, in the order in which it happened; three read-only arrays of one length.

    Attributes
    ----------
    sequence_hashes : ndarray of uint64, shape (n,)
    ids : ndarray of int32, shape (n,)
    reasons : ndarray of uint8, shape (n,)
        :class:`EvictionReason` of each.
    """

    sequence_hashes: npt.NDArray[np.uint64]
    ids: npt.NDArray[np.int32]
    reasons: npt.NDArray[np.uint8]

    @property
    def num_blocks(self) -> int:
        """Number of identities (``len`` of a named tuple counts its fields)."""
        return len(self.ids)
