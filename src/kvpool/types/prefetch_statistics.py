"""What became of the blocks that were prefetched."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PrefetchStatistics"]


class PrefetchStatistics(NamedTuple):
    """What became of the blocks that were prefetched.

    Attributes
    ----------
    prefetches : int
        Calls of ``prefetch``.
    held_blocks : int
        Blocks that prefetches hold now.
    cached, reserved, loaded : int
        Blocks that were found, that were allocated for later, and that the loader filled.
    limited : int
        Blocks that were predicted and neither held nor reserved, because of the limit or for want of blocks.
    failed : int
        Blocks that the loader did not fill.
    useful : int
        Blocks that a request asked for, or took, while they were held.
    wasted : int
        Blocks that none did.
    """

    prefetches: int
    held_blocks: int
    cached: int
    reserved: int
    loaded: int
    limited: int
    failed: int
    useful: int
    wasted: int

    @property
    def accuracy(self) -> float:
        """Useful blocks for each whose fate is known, in [0, 1]; 0 before the first."""
        known = self.useful + self.wasted
        return self.useful / known if known else 0.0
