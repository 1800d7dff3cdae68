"""What events cost a pool: for each registered block, beside a pool that records none.

    python benchmarks/event_cost.py [--rounds N]

A round is a hundred calls that register 256 blocks, each block an event, and forget them again, another event for
each. The kinds of pool take turns, so that a slow minute hits them all; what is printed is the median over the rounds,
and the difference to a pool without events, for each event. The time is that of the whole process: what the
background thread does is in it. Exit code 1 when recording, or delivering to a subscriber that does nothing, costs
more than 100 ns.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from machine import machine_line

from kvpool import BlockPool, EventBatch, NullEventManager

BLOCKS = 256
CALLS = 100
BOUND = 100.0  # ns an event


class CountingManager(NullEventManager):
    """Wants tokens, and does nothing with them."""

    wants_tokens = True


class HangingManager(NullEventManager):
    """Is dead: does not come back from the first batch."""

    def publish(self, _: EventBatch) -> None:
        """Wait for ever."""
        threading.Event().wait()


def make_pools() -> dict[str, BlockPool]:
    """Return a pool of each kind."""
    pools = {
        "none": BlockPool(4096),
        "recorded": BlockPool(4096, event_capacity=262144),
        "recorded, with tokens": BlockPool(4096, event_capacity=262144, event_tokens=True),
        "delivered": BlockPool(4096, event_manager=NullEventManager()),
        "delivered, with tokens": BlockPool(4096, event_manager=CountingManager()),
        "the subscriber hangs": BlockPool(4096, event_manager=HangingManager()),
    }
    try:
        from kvpool.events import ZmqEventManager

        manager = ZmqEventManager("tcp://127.0.0.1:*")
    except ImportError:
        return pools
    return {**pools, "published over ZeroMQ, with tokens": BlockPool(4096, event_manager=manager)}


def work(pool: BlockPool, hashes: np.ndarray, tokens: np.ndarray) -> Callable[[], None]:
    """Return a round of a pool."""
    if pool.event_tokens:

        def run() -> None:
            for _ in range(CALLS):
                pool.register_blocks(pool.allocate_blocks(BLOCKS), hashes, token_ids=tokens).release()
                pool.reset_blocks(hashes)
    else:

        def run() -> None:
            for _ in range(CALLS):
                pool.register_blocks(pool.allocate_blocks(BLOCKS), hashes).release()
                pool.reset_blocks(hashes)

    return run


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    pools = make_pools()
    hashes = np.random.default_rng(1).integers(0, 2**64, BLOCKS, dtype=np.uint64)
    tokens = np.arange(BLOCKS * 16, dtype=np.uint32)
    runs = {name: work(pool, hashes, tokens) for name, pool in pools.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begin) / (2 * CALLS * BLOCKS) * 1e9)
    print(machine_line())
    print(f"{'events':36}{'ns an event':>12}{'more':>8}{'missed':>12}")
    base = median(times["none"])
    too_much = False
    for name, each in times.items():
        more = median(a - b for a, b in zip(each, times["none"], strict=True))
        missed = pools[name].event_statistics().missed
        print(f"{name:36}{median(each):12.1f}{more:8.1f}{missed:12,}")
        too_much |= more > BOUND and "ZeroMQ" not in name
    for pool in pools.values():
        pool.close(timeout=0.1)
    print(f"without events {base:.1f} ns for each registration or removal")
    return int(too_much)


if __name__ == "__main__":
    sys.exit(main())
