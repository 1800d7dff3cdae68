"""What is timed along the sweeps.

Each function sets up and returns `run`, which makes many calls and returns ns a block.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import TypeAlias

import numpy as np
from workloads import BLOCK_SIZE, Hashes, filled_pool, now, prefixes, random_hashes, scatter_empty_blocks

from kvpool import BlockPool

__all__ = ["Run", "allocate_drop", "evict", "match_drop", "median_of", "register", "steady_state"]

Run: TypeAlias = Callable[[], float]

CALLS = 8  # at least; more where the batch is small
BLOCKS = 16_384  # that are timed together, about: their hashes stay in the processor's caches


def median_of(set_up: Callable[[], Run], seconds: float) -> float:
    """Set up, warm up, run for that long and at least five times; return the median."""
    run = set_up()
    run()
    gc.collect()
    end = perf_counter() + seconds
    figures = []
    while perf_counter() < end or len(figures) < 5:
        figures.append(run())
    return median(figures)


def allocate_drop(num_blocks: int, n: int, *, share: float = 0.0, scattered: bool = False) -> Run:
    """Take n empty blocks and give them back; `share` of the pool is cached meanwhile."""
    pool = _pool(num_blocks, share, scattered)
    allocate = pool.allocate_blocks
    calls = _calls(num_blocks, n)

    def run() -> float:
        start = now()
        for _ in range(calls):
            allocate(n)
        return (now() - start) / (calls * n)

    return run


def match_drop(num_blocks: int, n: int, *, share: float = 1.0, scattered: bool = False, hits: float = 1.0) -> Run:
    """Match a random cached prefix and give it back; only the first `hits` of its blocks are there.

    The hashes are copied before, as those of a request were made just now. The figure is for each hash asked for.
    """
    kept = round(n * hits)
    cached = prefixes(round(num_blocks * share), n)
    match = filled_pool(num_blocks, [hashes[:kept] for hashes in cached], scattered=scattered).match_sequence_hashes
    calls = _calls(num_blocks, n)
    rng = np.random.default_rng(4)

    def run() -> float:
        requests = [cached[i].copy() for i in rng.integers(0, len(cached), calls).tolist()]
        start = now()
        for hashes in requests:
            match(hashes)
        return (now() - start) / (calls * n)

    assert len(match(cached[0])) == kept
    return run


def register(num_blocks: int, n: int, *, share: float = 0.0) -> Run:
    """Register allocated blocks next to a cached `share` of the pool; they are forgotten before the next run."""
    pool = _pool(num_blocks, share, scattered=False)
    register_blocks = pool.register_blocks
    calls = min(_calls(num_blocks, n), pool.status().empty // n)
    fresh = _fresh(calls, n)

    def run() -> float:
        hashes = fresh()
        allocated = [pool.allocate_blocks(n) for _ in range(calls)]
        held = []
        start = now()
        for blocks, row in zip(allocated, hashes, strict=True):
            held.append(register_blocks(blocks, row))
        taken = now() - start
        allocated.clear()
        held.clear()
        pool.reset_blocks(np.concatenate(hashes))  # in one call, as each looks at the whole pool
        return taken / (calls * n)

    return run


def steady_state(num_blocks: int, n: int) -> Run:
    """Allocate by evicting from a full pool, register, give back."""
    pool = filled_pool(num_blocks, prefixes(num_blocks, n))
    allocate, register_blocks = pool.allocate_blocks, pool.register_blocks
    calls = _calls(num_blocks, n)
    fresh = _fresh(calls, n)

    def run() -> float:
        hashes = fresh()
        start = now()
        for row in hashes:
            register_blocks(allocate(n), row)
        return (now() - start) / (calls * n)

    return run


def evict(leaves: int, n: int) -> Run:
    """Take n blocks from a pool in which every block is a cached leaf; new leaves are cached before the next run."""
    pool = filled_pool(leaves, prefixes(leaves, 1))
    allocate = pool.allocate_blocks
    calls = max(1, min(leaves // 2, 512) // n)
    fresh = _fresh(calls * n, 1)

    def run() -> float:
        start = now()
        held = [allocate(n) for _ in range(calls)]
        taken = now() - start
        held.clear()
        for row in fresh():
            pool.register_blocks(allocate(1), row)
        return taken / (calls * n)

    return run


def _calls(num_blocks: int, n: int) -> int:
    return max(1, min(max(CALLS, BLOCKS // n), num_blocks // n))


def _pool(num_blocks: int, share: float, scattered: bool) -> BlockPool:
    """Return a pool of which this share is cached, in prefixes of 64 blocks."""
    if share:
        return filled_pool(num_blocks, prefixes(round(num_blocks * share), 64), scattered=scattered)
    pool = BlockPool(num_blocks, BLOCK_SIZE)
    if scattered:
        scatter_empty_blocks(pool)
    return pool


def _fresh(rows: int, n: int) -> Callable[[], list[Hashes]]:
    """Return a function that draws new hashes each time."""
    seed = 100

    def draw() -> list[Hashes]:
        nonlocal seed
        seed += 1
        return list(random_hashes(rows * n, seed).reshape(rows, n))

    return draw
