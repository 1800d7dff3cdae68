"""How soon a coroutine that waits for blocks has them, after they were dropped.

    python benchmarks/async_wake.py [--rounds N]

Beside it what the loop itself takes to run a callback from the same thread (`call_soon`), and from another one
(`call_soon_threadsafe`): no wait can end sooner. Medians, the kinds take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from statistics import median, quantiles

from machine import machine_line

from kvpool import AsyncBlockPool, BlockPool


class Dropper(threading.Thread):
    """Another thread, which does what it is given, and says when it began."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.jobs: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self.began = 0.0
        self.start()

    def run(self) -> None:
        """Do one job after the other."""
        while True:
            job = self.jobs.get()
            time.sleep(0.0005)  # until the loop sleeps: what is measured is its waking
            self.began = time.perf_counter()
            job()
            del job


async def measure(rounds: int) -> dict[str, list[float]]:
    """Return seconds of each round, by kind."""
    loop = asyncio.get_running_loop()
    shared = AsyncBlockPool(BlockPool(8))
    dropper = Dropper()

    async def callback_here() -> float:
        future = loop.create_future()
        begin = time.perf_counter()
        loop.call_soon(future.set_result, None)
        await future
        return time.perf_counter() - begin

    async def callback_there() -> float:
        future = loop.create_future()
        dropper.jobs.put(lambda: loop.call_soon_threadsafe(future.set_result, None))
        await future
        return time.perf_counter() - dropper.began

    async def start_waiting() -> tuple[list[object], asyncio.Task[object]]:
        held: list[object] = [await shared.allocate_blocks(8)]
        task = asyncio.create_task(shared.allocate_blocks(8, timeout=60))
        while shared.pool.status().waiting == 0:
            await asyncio.sleep(0)
        return held, task

    async def drop_here() -> float:
        held, task = await start_waiting()
        begin = time.perf_counter()
        held.clear()
        await task
        return time.perf_counter() - begin

    async def drop_there() -> float:
        held, task = await start_waiting()
        dropper.jobs.put(held.clear)
        await task
        return time.perf_counter() - dropper.began

    kinds: dict[str, Callable[[], Awaitable[float]]] = {
        "callback, same thread": callback_here,
        "drop, same thread": drop_here,
        "callback, another thread": callback_there,
        "drop, another thread": drop_there,
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, kind in kinds.items():
            times[name].append(await kind())
    return times


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2000)
    times = asyncio.run(measure(parser.parse_args().rounds))
    print(machine_line())
    print(f"{'us':28}{'median':>8}{'p99':>8}")
    for name, each in times.items():
        print(f"{name:28}{median(each) * 1e6:8.1f}{quantiles(each, n=100)[98] * 1e6:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
