"""What metrics cost the calls of a pool: timing one in so many calls, and being scraped once a second.

    python benchmarks/metrics_cost.py [--rounds N] [--period N]

Three turns alternate in each round, on one pool, so that all have the same memory: without metrics, the same again, and
with metrics. The ratio of the first two medians is the noise floor. A scrape is timed by itself: it keeps the calls
from running for so long, once a second. Exit code 1 when metrics cost a call 2 % or more.
"""

from __future__ import annotations

import argparse
import gc
import sys
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

from machine import aligned_table, machine_line
from workloads import draws, filled_pool, now, prefixes

from kvpool import BlockPool
from kvpool.metrics import BlockManagerMetrics

POOL = 100_000
LIMIT = 0.02
Run = Callable[[], float]


class Work(NamedTuple):
    """One kind of call on a pool of its own; `run` makes many and returns ns a call."""

    name: str
    pool: BlockPool
    run: Run


def allocate_and_drop(n: int) -> Work:
    """Allocate n blocks and drop them."""
    pool = BlockPool(POOL)
    allocate = pool.allocate_blocks
    calls = 4000

    def run() -> float:
        start = now()
        for _ in range(calls):
            allocate(n)
        return (now() - start) / calls

    return Work(f"allocate + drop {n}", pool, run)


def match_and_drop(n: int) -> Work:
    """Match a cached request of n blocks, drawn at random, and drop it."""
    cached = prefixes(POOL, n)
    pool = filled_pool(POOL, cached)
    match = pool.match_sequence_hashes
    requests = draws(cached, 2000)

    def run() -> float:
        drawn = next(requests)
        start = now()
        for hashes in drawn:
            match(hashes)
        return (now() - start) / len(drawn)

    return Work(f"match + drop {n}", pool, run)


def register_and_release(n: int) -> Work:
    """Register n allocated blocks under new hashes, and release them."""
    pool = BlockPool(POOL)
    fresh = prefixes(POOL, n)
    calls = 2000
    position = 0

    def run() -> float:
        nonlocal position
        if position + calls > len(fresh):
            pool.reset()
            position = 0
        blocks = [pool.allocate_blocks(n) for _ in range(calls)]
        pairs = list(zip(blocks, fresh[position : position + calls], strict=True))
        position += calls
        start = now()
        for fresh_blocks, hashes in pairs:
            pool.register_blocks(fresh_blocks, hashes).release()
        return (now() - start) / calls

    return Work(f"register + release {n}", pool, run)


def works() -> Iterator[Work]:
    """Yield the kinds of calls, one set up after the other."""
    yield allocate_and_drop(1)
    yield allocate_and_drop(16)
    yield match_and_drop(16)
    yield register_and_release(16)


def take_turns(work: Work, metrics: BlockManagerMetrics, rounds: int) -> tuple[float, float, float]:
    """Return the medians of ns a call without metrics, without them again, and with them."""
    work.pool.time_calls(0)
    metrics.pool(work.name).bind(work.pool)
    period = next(iter(work.pool.latencies().values())).period
    turns = (0, 0, period)
    figures: tuple[list[float], ...] = ([], [], [])
    work.run()
    for round_ in range(rounds):
        for turn in range(3):
            which = (turn + round_) % 3
            work.pool.time_calls(turns[which])
            figures[which].append(work.run())
    work.pool.time_calls(period)  # as it is scraped
    without, again, with_metrics = (median(each) for each in figures)
    return without, again, with_metrics


def scrape(metrics: BlockManagerMetrics, rounds: int) -> float:
    """Return the median of ns for reading all pools and writing them down for Prometheus."""

    def run() -> float:
        start = now()
        metrics.exposition()
        return now() - start

    run()
    return median(run() for _ in range(rounds))


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=301, metavar="N", help="of each work (default: 301)")
    parser.add_argument("--period", type=int, metavar="N", help="one of so many calls is timed; the default of metrics")
    options = parser.parse_args()
    gc.disable()
    print(machine_line())
    print()
    rows, worst = [], 0.0
    for work in works():
        metrics = BlockManagerMetrics() if options.period is None else BlockManagerMetrics(call_period=options.period)
        without, again, with_metrics = take_turns(work, metrics, options.rounds)
        scraped = scrape(metrics, 101)
        cost = with_metrics / without - 1 + scraped / 1e9
        worst = max(worst, cost)
        figures = f"{without:.1f}", f"{with_metrics:.1f}", f"{again / without - 1:+.2%}"
        rows.append([work.name, *figures, f"{with_metrics / without - 1:+.2%}", f"{scraped / 1e9:.2%}", f"{cost:+.2%}"])
    header = ["ns a call", "without", "with", "noise", "timing", "scrape", "cost"]
    print("\n".join(aligned_table(header, rows)))
    return 0 if worst < LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
