"""How long the slowest calls take: percentiles of every call in a busy loop, with the garbage collector on.

    python benchmarks/tail.py [--calls N] [--pool BLOCKS]

Each call is timed by itself with the clock of the wall. The machine interrupts any program, so the first lines are the
noise floor: an empty call, and a sum of small numbers that takes as long as a call of ours, timed in the same way and
in turns with the others. The last columns count the slow calls for each second of calls: a pause of the machine comes
as often, by the second, in the floor as in the others; what comes more often is ours.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable, Iterator
from itertools import repeat
from time import perf_counter_ns as now
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from machine import aligned_table, machine_line
from workloads import filled_pool, prefixes

from kvpool import BlockPool
from kvpool.replay.latency import LatencyHistogram

CHUNK = 10_000  # calls of a work in one turn
FLOOR_CHUNKS = 3  # of each work of the noise floor, so that its rates are known as well
LIMITS_US = (10, 100, 1000)


class Work(NamedTuple):
    """A call that is timed, and how it went. `arguments(count)` makes what each call gets, untimed."""

    name: str
    call: Callable[..., Any]
    arguments: Callable[[int], Iterator[tuple[Any, ...]]]
    durations: LatencyHistogram
    over: npt.NDArray[np.int64]  # calls above each limit, and ns of all calls


def empty_call(*_: object) -> None:
    """Do nothing: what is measured is the loop, the clock and the machine."""


def works(num_blocks: int) -> list[Work]:
    """Return the calls; each leaves the pool as full as it found it."""
    rng = np.random.default_rng(1)
    found = []

    def none(count: int) -> Iterator[tuple[Any, ...]]:
        return repeat((), count)

    found.append(_work("floor: empty call", empty_call, none))
    found.append(_work("floor: sum of 80 numbers", sum, lambda count: repeat((range(80),), count)))
    allocate = BlockPool(num_blocks).allocate_blocks
    for n in (1, 64):
        found.append(_work(f"allocate + drop {n}", allocate, lambda count, n=n: repeat((n,), count)))
    for n in (16, 256):
        found.append(_match(num_blocks, n, rng))
    found += [_register(num_blocks, 16, rng), _evict(num_blocks, 8, rng)]
    return found


def _match(num_blocks: int, n: int, rng: np.random.Generator) -> Work:
    cached = prefixes(num_blocks, n)
    match = filled_pool(num_blocks, cached).match_sequence_hashes

    def arguments(count: int) -> Iterator[tuple[Any, ...]]:
        return ((cached[i],) for i in rng.integers(0, len(cached), count).tolist())

    return _work(f"match + drop {n}", match, arguments)


def _register(num_blocks: int, n: int, rng: np.random.Generator) -> Work:
    """Register fresh blocks and drop them; allocating them, by eviction, is not timed."""
    pool = filled_pool(num_blocks, prefixes(num_blocks, n))

    def arguments(count: int) -> Iterator[tuple[Any, ...]]:
        for hashes in rng.integers(0, 2**64, (count, n), dtype=np.uint64):
            yield pool.allocate_blocks(n), hashes

    return _work(f"register + drop {n}", pool.register_blocks, arguments)


def _evict(num_blocks: int, n: int, rng: np.random.Generator) -> Work:
    """Allocate from a pool in which every block is a cached leaf; caching new ones is not timed."""
    pool = filled_pool(num_blocks, prefixes(num_blocks, 1))

    def arguments(count: int) -> Iterator[tuple[Any, ...]]:
        for _ in range(count):
            fresh = rng.integers(0, 2**64, pool.status().empty, dtype=np.uint64)
            for i in range(len(fresh)):
                pool.register_blocks(pool.allocate_blocks(1), fresh[i : i + 1]).release()
            yield (n,)

    return _work(f"evict + allocate + drop {n}", pool.allocate_blocks, arguments)


def _work(name: str, call: Callable[..., Any], arguments: Callable[[int], Iterator[tuple[Any, ...]]]) -> Work:
    return Work(name, call, arguments, LatencyHistogram(), np.zeros(len(LIMITS_US) + 1, np.int64))


def take_turn(work: Work, calls: int) -> None:
    """Time every call together with the drop of what it returns; count afterwards."""
    call = work.call
    durations: list[int] = []
    keep = durations.append
    for arguments in work.arguments(calls):
        start = now()
        call(*arguments)
        keep(now() - start)
    for duration in durations:
        work.durations.add(duration)
    taken = np.array(durations)
    work.over[:] += [*((taken > limit * 1000).sum() for limit in LIMITS_US), taken.sum()]


def row(work: Work) -> list[str]:
    """Return the cells of a line."""
    durations = work.durations
    percentiles = [f"{durations.percentile(percent):,}" for percent in (50, 99, 99.9)]
    *over, total = work.over.tolist()
    rates = [f"{slow / (total / 1e9):,.1f}" for slow in over]
    return [work.name, f"{durations.count:,}", *percentiles, f"{durations.max_ns:,}", *rates]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Percentiles of every call, in ns.")
    parser.add_argument("--calls", type=int, default=10_000_000, help="of all kinds together (default: 10000000)")
    parser.add_argument("--pool", type=int, default=100_000, help="blocks (default: 100000)")
    arguments = parser.parse_args()
    if arguments.calls < 1000 or arguments.pool < 1000:
        parser.error("--calls and --pool must be at least 1000")
    gc.enable()
    print(machine_line())
    print(f"pool of {arguments.pool:,} blocks; garbage collector on\n")
    every = works(arguments.pool)
    chunks = [FLOOR_CHUNKS if work.name.startswith("floor") else 1 for work in every]
    turns = max(1, arguments.calls // (CHUNK * sum(chunks)))
    for _ in range(turns):
        for work, times in zip(every, chunks, strict=True):
            take_turn(work, CHUNK * times)
    header = ["ns a call", "calls", "p50", "p99", "p99.9", "max", *(f"> {limit:,} us /s" for limit in LIMITS_US)]
    print("\n".join(aligned_table(header, [row(work) for work in every])))


if __name__ == "__main__":
    main()
