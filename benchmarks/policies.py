"""Time what is optional in a pool beside a pool without it: eviction policies, reuse statistics, one's own policy.

    python benchmarks/policies.py [--requests N] [--rounds N] [--leaves 1000 10000 100000 1000000] [--only NAME ...]

First a generated workload through a pool of a twentieth of its different blocks, calls as a serving loop makes them;
each variation takes turns with the plain pool, and the ratio is the median of those of the turns. Then what it costs to
evict one of n cached blocks that nothing continues, 8 at a time. Processor time of this thread.
"""

from __future__ import annotations

import argparse
import gc
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from machine import aligned_table, machine_line
from workloads import BLOCK_SIZE, Hashes, now, random_hashes

from kvpool import EVICTION_POLICIES, BlockPool, Candidates
from kvpool.replay import generate_workload

ROOM = 0.05  # of the different blocks
CALL = 8  # blocks evicted by a call
BATCH = 20  # calls timed together
WARM = 20
ROUNDS = 150


class LeastRecent:
    """LRU, as a policy of one's own."""

    def rank(self, blocks: Candidates) -> Any:
        """Return when each block was last asked for: the lowest goes first."""
        return blocks.last_access_times


def variations() -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what is compared: arguments of a pool."""
    result: dict[str, Callable[[], dict[str, Any]]] = {
        name: lambda name=name: {"eviction": name} for name in EVICTION_POLICIES if name not in ("priority", "lineage")
    }
    result["reuse_sampling 0.001"] = lambda: {"reuse_sampling": 0.001}
    result["reuse_sampling 0.01"] = lambda: {"reuse_sampling": 0.01}
    result["rank() in Python"] = lambda: {"eviction": LeastRecent()}
    return result


def serve(prompts: list[Hashes], num_blocks: int, options: dict[str, Any]) -> float:
    """Return ns for each block of the prompts."""
    pool = BlockPool(num_blocks, BLOCK_SIZE, **options)
    match, allocate, register = pool.match_sequence_hashes, pool.allocate_blocks, pool.register_blocks
    start = now()
    for hashes in prompts:
        cached = match(hashes)
        hits = len(cached)
        filled = register(allocate(len(hashes) - hits), hashes[hits:])
        filled.release()
        cached.release()
    return (now() - start) / sum(map(len, prompts))


def evict(num_leaves: int, options: dict[str, Any]) -> float:
    """Return ns for each block that is evicted and allocated; what becomes of it then is not timed."""
    pool = BlockPool(num_leaves, BLOCK_SIZE, **options)
    hashes = iter(random_hashes(num_leaves + (WARM + ROUNDS) * BATCH * CALL, seed=1).tolist())
    for _ in range(num_leaves):
        pool.register_blocks(pool.allocate_blocks(1), [next(hashes)]).release()
    times = []
    for _ in range(WARM + ROUNDS):
        start = now()
        taken = [pool.allocate_blocks(CALL) for _ in range(BATCH)]
        times.append(now() - start)
        for blocks in taken:
            for block in blocks:
                pool.register_blocks(block, [next(hashes)]).release()
    return median(times[WARM:]) / BATCH / CALL


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--leaves", type=int, nargs="*", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variations")
    options = parser.parse_args()
    chosen = {name: make for name, make in variations().items() if options.only is None or name in options.only}
    gc.disable()
    print(machine_line())
    trace = generate_workload(options.requests, 0)
    room = int(trace.num_unique_blocks * ROOM)
    prompts = [request.hashes[:room] for request in trace.requests]
    rows = []
    for name, arguments in chosen.items():
        plain, other = [], []
        for _ in range(options.rounds):
            plain.append(serve(prompts, room, {}))
            other.append(serve(prompts, room, arguments()))
        ratios = np.array(other) / np.array(plain)
        rows.append(
            [name, f"{median(other):.1f}", f"{np.median(ratios):.2f}", f"{ratios.min():.2f}-{ratios.max():.2f}"]
        )
    print(f"\n{len(prompts):,} requests, {sum(map(len, prompts)):,} blocks, pool of {room:,} blocks")
    print("\n".join(aligned_table(["pool", "ns a block", "ratio to lru", "of the rounds"], rows)))
    if options.leaves:
        rows = []
        for name, arguments in chosen.items():
            figures = [evict(n, arguments()) for n in options.leaves]
            rows.append([name, *(f"{figure:.0f}" for figure in figures)])
        print(f"\nallocate {CALL} by evicting; ns a block, by the number of cached leaves")
        print("\n".join(aligned_table(["pool", *(f"{n:,}" for n in options.leaves)], rows)))


if __name__ == "__main__":
    main()
