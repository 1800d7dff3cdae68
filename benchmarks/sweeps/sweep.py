"""The sweeps: what is varied, and what is measured along it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from sweeps.measures import Run, allocate_drop, evict, match_drop, register, steady_state

__all__ = ["SUMMARY", "Sweep", "sweeps"]

SUMMARY = "pool_size"  # its picture is the one for the README

POOL_SIZES = [
    1000,
    2000,
    4000,
    8000,
    16_000,
    32_000,
    64_000,
    128_000,
    256_000,
    512_000,
    1_000_000,
    2_000_000,
    4_000_000,
]
BATCH_SIZES = [1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536]
SHARES = [0.01, 0.1, 0.25, 0.5, 0.75, 0.9]
LEAVES = [1000, 4000, 10_000, 40_000, 100_000, 400_000, 1_000_000]

SetUp = Callable[[], Run]


class Sweep(NamedTuple):
    """One picture: curves over the same axis; a curve is a list of points, each with what sets up its measurement."""

    name: str
    title: str
    axis: str
    curves: dict[str, list[tuple[float, SetUp]]]
    logarithmic: bool = True  # the axis
    figures_logarithmic: bool = False


def sweeps(largest: int, n: int, pool: int) -> list[Sweep]:
    """Return all sweeps.

    Parameters
    ----------
    largest : int
        Largest pool, in blocks.
    n : int
        Blocks a call, where they are not what is varied.
    pool : int
        Blocks of the pool, where they are not what is varied.
    """
    sizes = [size for size in POOL_SIZES if size <= largest]
    batches = [batch for batch in BATCH_SIZES if 4 * batch <= pool]
    return [
        Sweep(
            "pool_size",
            f"Cost of a block against the size of the pool ({n} blocks a call)",
            "blocks in the pool",
            {
                "evict + register + drop": [(size, partial(steady_state, size, n)) for size in sizes],
                "register": [(size, partial(register, size, n)) for size in sizes],
                "match + drop": [(size, partial(match_drop, size, n)) for size in sizes],
                "allocate + drop": [(size, partial(allocate_drop, size, n)) for size in sizes],
            },
        ),
        Sweep(
            "batch_size",
            f"Cost of a block against blocks a call (pool of {pool:,})",
            "blocks a call",
            {
                "evict + register + drop": [(batch, partial(steady_state, pool, batch)) for batch in batches],
                "register": [(batch, partial(register, pool, batch)) for batch in batches],
                "match + drop": [(batch, partial(match_drop, pool, batch)) for batch in batches],
                "allocate + drop": [(batch, partial(allocate_drop, pool, batch)) for batch in batches],
            },
            figures_logarithmic=True,
        ),
        Sweep(
            "registered_share",
            f"Cost of a block against the cached share (pool of {pool:,}, {n} a call)",
            "share of the pool that is cached",
            {
                "register": [(share, partial(register, pool, n, share=share)) for share in SHARES],
                "match + drop": [(share, partial(match_drop, pool, n, share=share)) for share in SHARES],
                "allocate + drop": [(share, partial(allocate_drop, pool, n, share=share)) for share in SHARES],
            },
            logarithmic=False,
        ),
        Sweep(
            "free_list",
            f"Fresh and fragmented free lists ({n} blocks a call)",
            "blocks in the pool",
            {
                f"{name}, {state}": [(size, partial(work, size, n, scattered=scattered)) for size in sizes]
                for name, work in (("match + drop", match_drop), ("allocate + drop", allocate_drop))
                for state, scattered in (("fragmented", True), ("fresh", False))
            },
        ),
        Sweep(
            "hit_position",
            f"Where a match ends (for each hash asked for, {n} a call)",
            "blocks in the pool",
            {
                name: [(size, partial(match_drop, size, n, hits=hits)) for size in sizes]
                for name, hits in (("all hit", 1.0), ("miss at the middle", 0.5), ("miss at the first", 0.0))
            },
        ),
        Sweep(
            "eviction",
            "Allocating 8 blocks by eviction, every cached block a leaf",
            "cached leaves",
            {"evict + allocate": [(leaves, partial(evict, leaves, 8)) for leaves in LEAVES if leaves <= largest]},
        ),
    ]
