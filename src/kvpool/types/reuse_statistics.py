"""What becomes of a pool's blocks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvpool.types.age_histogram import AgeHistogram

__all__ = ["ReuseStatistics"]

_HORIZON = 4  # sizes of the pool that the curve reaches to


@dataclass(frozen=True, eq=False)
class ReuseStatistics:
    """What became of a sample of the blocks since the pool began, or since the statistics were reset.

    Attributes
    ----------
    num_blocks : int
        Blocks of the pool.
    rate : float
        Share of the sequence hashes that is in the sample.
    requested_blocks : int
        Hashes that were asked for, by ``match_sequence_hashes`` and ``open_sequence``; all of them.
    hit_blocks : int
        Those of them that were cached.
    sampled_blocks : int
        Those that are in the sample.
    hits : ndarray of uint64, shape (256,)
        Of these, those that an LRU pool of the i-th part of ``4 * num_blocks`` would have had, and a smaller one not.
    evictions : int
        Evicted blocks of the sample.
    lifetimes, idle_ages : AgeHistogram
        Of these: how long they were registered, and how long nobody had asked for them.
    reuse_counts : ndarray of uint64, shape (33,)
        Of these: those that nobody had asked for again, then once, 2 to 3, 4 to 7, ... times.
    absences : AgeHistogram
        Of those that were asked for after their eviction: how long after.
    """

    num_blocks: int
    rate: float
    requested_blocks: int
    hit_blocks: int
    sampled_blocks: int
    hits: npt.NDArray[np.uint64]
    evictions: int
    lifetimes: AgeHistogram
    idle_ages: AgeHistogram
    reuse_counts: npt.NDArray[np.uint64]
    absences: AgeHistogram

    @property
    def evicted_too_soon(self) -> float:
        """Share of the evictions after which the block was asked for again; 0 without evictions.

        Only while it is among the blocks asked for last that would fill four pools: later, it is not known any more.
        """
        return self.absences.total / self.evictions if self.evictions else 0.0

    @property
    def curve(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Sizes of LRU pools in blocks, up to four times the pool's, and their block hit ratios, shapes (257,).

        The pool's own ratio is not estimated: the sample only says how the hits spread over smaller pools, and how many
        of the misses larger ones would have had. So it does not matter much whether the few blocks that most requests
        begin with are in the sample.
        """
        sizes = np.linspace(0.0, _HORIZON * self.num_blocks, len(self.hits) + 1)
        hits = np.concatenate([[0.0], np.cumsum(self.hits, dtype=np.float64)])
        here = len(self.hits) // _HORIZON
        ratio = self.hit_blocks / max(self.requested_blocks, 1)
        ratios = np.empty_like(sizes)
        ratios[: here + 1] = ratio * (hits[: here + 1] / hits[here] if hits[here] else sizes[: here + 1] / sizes[here])
        misses = max(self.sampled_blocks - hits[here], 1)
        ratios[here:] = ratio + (1 - ratio) * (hits[here:] - hits[here]) / misses
        return sizes, ratios

    def hit_ratio(self, num_blocks: float | None = None) -> float:
        """Return the block hit ratio that an LRU pool of this many blocks would have had: see :attr:`curve`.

        Parameters
        ----------
        num_blocks : float, optional
            In [0, 4 * self.num_blocks]; the pool's own size by default.
        """
        size = self.num_blocks if num_blocks is None else num_blocks
        sizes, ratios = self.curve
        if not 0 <= size <= sizes[-1]:
            raise ValueError(f"num_blocks = {size} is not in [0, {_HORIZON * self.num_blocks}]")
        return float(np.interp(size, sizes, ratios))

    def hits_gained(self, more: float) -> float:
        """Return how many more blocks would have been hit in an LRU pool that is larger by this share.

        Parameters
        ----------
        more : float
            0.1 for a pool of 10 % more blocks, in [-1, 3]; negative for a smaller one, and negative hits.
        """
        if not -1 <= more <= _HORIZON - 1:
            raise ValueError(f"more = {more} is not in [-1, {_HORIZON - 1}]")
        larger = min((1 + more) * self.num_blocks, _HORIZON * self.num_blocks)
        return (self.hit_ratio(larger) - self.hit_ratio()) * self.requested_blocks
