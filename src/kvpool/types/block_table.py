"""What a pool knows of every block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvpool.types.pool_status import PoolStatus

__all__ = ["BlockTable"]


@dataclass(frozen=True, slots=True, eq=False)
class BlockTable:
    """What a pool knows of every block, in columns by block id, and its status, all of one moment.

    Attributes
    ----------
    status : PoolStatus
    states : array of uint8, shape (num_blocks,)
        Values of :class:`BlockState`.
    sequence_hashes : array of uint64, shape (num_blocks,)
        0 where a block is not registered.
    parents : array of int32, shape (num_blocks,)
        Block that it continues; -1 for none, and where a block is not registered.
    references : array of uint32, shape (num_blocks,)
        Handles that hold it, and held blocks that continue it; a handle whose blocks continue each other holds the
        last one.
    children : array of uint32, shape (num_blocks,)
        Registered blocks that continue it.
    levels : array of uint8, shape (num_blocks,)
        Retention priority where it is registered; 101 while the block is spared because it is protected.
    generations : array of uint32, shape (num_blocks,)
        Times it was allocated; wraps.
    namespaces : array of uint8, shape (num_blocks,)
        Positions in ``namespace_names``.
    namespace_names : tuple of str
        The first is "", for blocks of no namespace.
    """

    status: PoolStatus
    states: NDArray[np.uint8]
    sequence_hashes: NDArray[np.uint64]
    parents: NDArray[np.int32]
    references: NDArray[np.uint32]
    children: NDArray[np.uint32]
    levels: NDArray[np.uint8]
    generations: NDArray[np.uint32]
    namespaces: NDArray[np.uint8]
    namespace_names: tuple[str, ...]
