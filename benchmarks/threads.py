"""What a second thread adds, on a pool of its own and on the same one.

    python benchmarks/threads.py [--rounds N]

Requests are matched, allocated, registered and dropped, 16 blocks each, and sequences decoded. A round does so in one
thread on one pool, in two threads on two pools and in two threads on one pool, in turn, so that a slow minute hits them
all. Two processes, each with one thread and one pool, tell what two of the machine's cores can do at all. What is
printed is how much more work is done than by one thread, the median over the rounds: 2.00 is perfect scaling. Without a
free-threaded Python one thread waits for the other, and it is about 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import sysconfig
import threading
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from machine import machine_line

from kvpool import BlockPool

BLOCKS = 16
REQUESTS = 3000
STEPS = 12_000


def serve(pool: BlockPool, prompts: list[np.ndarray]) -> None:
    """Match, allocate, register and drop."""
    for i in range(REQUESTS):
        hashes = prompts[i % len(prompts)]
        held = pool.match_sequence_hashes(hashes)
        if len(held) < BLOCKS:
            pool.register_blocks(pool.allocate_blocks(BLOCKS - len(held)), hashes[len(held) :], parent=held)


def decode(pool: BlockPool, prompts: list[np.ndarray]) -> None:
    """Append token after token to a request."""
    request = pool.open_sequence(prompts[0].astype(np.uint32))
    for i in range(STEPS):
        request.append_tokens((i,))
        if i % 1000 == 999:
            request.truncate(BLOCKS)
    request.release()


def new_pool(seed: int) -> tuple[BlockPool, list[np.ndarray]]:
    """Return a pool, and prompts half of which it has room for."""
    chance = np.random.default_rng(seed)
    prompts = [chance.integers(0, 2**64, BLOCKS, dtype=np.uint64) for _ in range(256)]
    return BlockPool(128 * BLOCKS), prompts


def run_threads(work: Callable[..., None], places: list[tuple[BlockPool, list[np.ndarray]]]) -> float:
    """Do the work in a thread for each place; return the seconds until all are done."""
    start = threading.Barrier(len(places) + 1)

    def run(place: tuple[BlockPool, list[np.ndarray]]) -> None:
        start.wait()
        work(*place)

    threads = [threading.Thread(target=run, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    start.wait()
    begin = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begin


def serve_requests_of(jobs: multiprocessing.SimpleQueue, done: multiprocessing.SimpleQueue) -> None:
    """Work on a pool of one's own whenever told to. In a process of its own."""
    place = new_pool(3)
    while (name := jobs.get()) is not None:
        WORKS[name](*place)
        done.put(None)


WORKS = {"serve": serve, "decode": decode}


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    context = multiprocessing.get_context("spawn")
    jobs, done = [context.SimpleQueue(), context.SimpleQueue()], context.SimpleQueue()
    processes = [context.Process(target=serve_requests_of, args=(queue, done)) for queue in jobs]
    for process in processes:
        process.start()

    def run_processes(name: str) -> float:
        begin = time.perf_counter()
        for queue in jobs:
            queue.put(name)
        for _ in jobs:
            done.get()
        return time.perf_counter() - begin

    print(machine_line())
    print("without the global lock" if sysconfig.get_config_var("Py_GIL_DISABLED") else "with the global lock")
    print(f"{'work':10}{'one thread, ms':>16}{'two pools':>12}{'one pool':>12}{'two processes':>16}")
    a, b = new_pool(1), new_pool(2)
    for name, work in WORKS.items():
        ratios: list[list[float]] = [[], [], []]
        alone = []
        for i in range(rounds + 2):
            one = run_threads(work, [a])
            times = run_threads(work, [a, b]), run_threads(work, [a, a]), run_processes(name)
            if i >= 2:  # the first ones warm up
                alone.append(one)
                for ratio, taken in zip(ratios, times, strict=True):
                    ratio.append(2 * one / taken)
        figures = [median(ratio) for ratio in ratios]
        print(f"{name:10}{median(alone) * 1e3:16.1f}{figures[0]:12.2f}{figures[1]:12.2f}{figures[2]:16.2f}")
    for queue in jobs:
        queue.put(None)
    for process in processes:
        process.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
