"""What ``reset_blocks`` did."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kvpool.types.evicted_blocks import EvictedBlocks

__all__ = ["ResetBlocksResult"]


class ResetBlocksResult(NamedTuple):
    """What became of the hashes given to ``reset_blocks``.

    Attributes
    ----------
    reset : EvictedBlocks
        Blocks that lost their identity, those that continue a named one included.
    not_found : ndarray of uint64
        Hashes that are not registered, in the order given.
    not_reset : ndarray of uint64
        Hashes whose block is held, in the order given.
    """

    reset: EvictedBlocks
    not_found: npt.NDArray[np.uint64]
    not_reset: npt.NDArray[np.uint64]
