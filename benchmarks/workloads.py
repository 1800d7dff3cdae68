"""Pools, hashes and requests that the benchmarks and the bounds share. All are drawn with fixed seeds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from kvpool import BlockPool

__all__ = [
    "BATCHES",
    "BLOCK_SIZE",
    "COMBINATIONS",
    "POOLS",
    "Hashes",
    "Tokens",
    "calls_of_a_round",
    "draws",
    "filled_pool",
    "now",
    "prefixes",
    "random_hashes",
    "scatter_empty_blocks",
    "tokens",
]

Hashes: TypeAlias = npt.NDArray[np.uint64]
Tokens: TypeAlias = npt.NDArray[np.int32]

BLOCK_SIZE = 16
BATCHES = (1, 16, 256, 4096)
POOLS = (1_000, 10_000, 100_000, 1_000_000)
COMBINATIONS = [(pool, n) for pool in POOLS for n in BATCHES if n <= pool]

# Time of this thread on a processor, in ns: what other processes take in between does not count.
now = getattr(time, "thread_time_ns", time.perf_counter_ns)


def calls_of_a_round(num_blocks: int, n: int) -> int:
    """Return how many calls of n blocks are timed together: enough for the clock, and at most what the pool holds."""
    return max(1, min(num_blocks, 8192) // n)


def random_hashes(count: int, seed: int) -> Hashes:
    """Return hashes as good as distinct."""
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def tokens(num_blocks: int, seed: int) -> Tokens:
    """Return the tokens of num_blocks blocks."""
    return np.random.default_rng(seed).integers(0, 150_000, num_blocks * BLOCK_SIZE, dtype=np.int32)


def prefixes(num_blocks: int, n: int, seed: int = 1) -> list[Hashes]:
    """Return the hashes of as many prefixes of n blocks as the pool holds."""
    hashes = random_hashes(num_blocks // n * n, seed)
    return list(hashes.reshape(-1, n))


def scatter_empty_blocks(pool: BlockPool, seed: int = 2) -> None:
    """Give all blocks back in a random order, so that later allocations get ids from all over the pool."""
    blocks = list(pool.allocate_blocks(pool.num_blocks))
    for i in np.random.default_rng(seed).permutation(len(blocks)).tolist():
        blocks[i].release()


def filled_pool(num_blocks: int, cached: list[Hashes], *, scattered: bool = False, seed: int = 3) -> BlockPool:
    """Return a pool in which all these prefixes are cached, registered in a random order."""
    pool = BlockPool(num_blocks, BLOCK_SIZE)
    if scattered:
        scatter_empty_blocks(pool)
    for i in np.random.default_rng(seed).permutation(len(cached)).tolist():
        pool.register_blocks(pool.allocate_blocks(len(cached[i])), cached[i]).release()
    return pool


def draws(cached: list[Hashes], count: int, seed: int = 4) -> Iterator[list[Hashes]]:
    """Yield lists of `count` requests drawn at random from the cached prefixes, anew each time."""
    rng = np.random.default_rng(seed)
    while True:
        yield [cached[i] for i in rng.integers(0, len(cached), count).tolist()]
