"""The pool's main calls from Python, to be counted or timed; the C twins are in c/bench_core.c.

python benchmarks/calls.py                 ns a call of each operation, median of 9 rounds
python benchmarks/calls.py --marks LIB     7 rounds of each after a first one, each between two marks, for callgrind
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter_ns
from typing import NamedTuple

import numpy as np

from kvpool import BlockPool, SequenceBatch, sequence_hashes

BLOCKS = 100_000
BLOCK_SIZE = 16
ROUNDS = 9


class Operation(NamedTuple):
    """One operation: what a round does, how many calls that is, and what each needs before and after it."""

    name: str
    calls: int
    run: Callable[[], None]
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None


def filled(n: int) -> tuple[BlockPool, list[np.ndarray]]:
    """Return a pool full of cached requests of n blocks, and their hashes."""
    rng = np.random.default_rng(n)
    pool = BlockPool(BLOCKS)
    requests = list(rng.integers(0, 2**64, (BLOCKS // n, n), dtype=np.uint64))
    for hashes in requests:
        pool.register_blocks(pool.allocate_blocks(n), hashes)
    return pool, requests


def allocate(n: int) -> Operation:
    """Allocate n blocks and drop them."""
    call = BlockPool(BLOCKS).allocate_blocks
    calls = max(20, 2000 // n)

    def run() -> None:
        for _ in range(calls):
            call(n)

    return Operation(f"allocate {n}", calls, run)


def match(n: int) -> Operation:
    """Match a cached request of n blocks and drop it; requests are drawn at random."""
    pool, requests = filled(n)
    call = pool.match_sequence_hashes
    calls = max(20, 2000 // n)
    rng = np.random.default_rng(1)
    drawn: list[np.ndarray] = []

    def before() -> None:
        drawn[:] = [requests[i] for i in rng.integers(0, len(requests), calls)]

    def run() -> None:
        for hashes in drawn:
            call(hashes)

    return Operation(f"match {n}", calls, run, before)


def register(n: int) -> Operation:
    """Register n blocks."""
    pool = BlockPool(BLOCKS)
    calls = max(20, 2000 // n)
    rows = list(np.random.default_rng(2).integers(0, 2**64, (calls, n), dtype=np.uint64))
    fresh: list[object] = []
    held: list[object] = []

    def before() -> None:
        fresh.extend(pool.allocate_blocks(n) for _ in range(calls))

    def run() -> None:
        for blocks, hashes in zip(fresh, rows, strict=True):
            held.append(pool.register_blocks(blocks, hashes))

    def after() -> None:
        fresh.clear()
        held.clear()
        pool.reset()

    return Operation(f"register {n}", calls, run, before, after)


def steady(n: int) -> Operation:
    """Allocate n blocks by evicting as many, register them, drop them."""
    pool, _ = filled(n)
    calls = max(20, 2000 // n)

    def seeds() -> Iterator[np.random.Generator]:
        for seed in range(1000):
            yield np.random.default_rng(seed)

    source = seeds()
    rows: list[np.ndarray] = []

    def before() -> None:
        rows[:] = list(next(source).integers(0, 2**64, (calls, n), dtype=np.uint64))

    def run() -> None:
        for hashes in rows:
            pool.register_blocks(pool.allocate_blocks(n), hashes)

    return Operation(f"steady {n}", calls, run, before)


def warm(n: int) -> Operation:
    """Open a cached prompt of n blocks, ask for its block table, release it."""
    pool = BlockPool(BLOCKS)
    tokens = np.random.default_rng(3).integers(0, 128_000, n * BLOCK_SIZE).astype(np.int32)
    request = pool.open_sequence(tokens)
    request.commit(len(tokens))
    request.release()

    def run() -> None:
        for _ in range(50):
            request = pool.open_sequence(tokens)
            request.block_table  # noqa: B018
            request.release()

    return Operation(f"warm request {n}", 50, run)


def decode(n: int) -> Operation:
    """Append a token to each of n rows; a call is a row."""
    pool = BlockPool(BLOCKS)
    rng = np.random.default_rng(4)
    batch = SequenceBatch(pool, n, 128)
    for row in range(n):
        request = pool.open_sequence(rng.integers(0, 128_000, 500 + row % 64).astype(np.int32))
        request.commit(request.num_tokens)
        batch.add(request)
    tokens = rng.integers(0, 128_000, n).astype(np.int32)

    def run() -> None:
        for _ in range(BLOCK_SIZE):
            batch.append(tokens)

    return Operation(f"decode {n}", BLOCK_SIZE * n, run)


def hashing(n: int, as_list: bool) -> Operation:
    """Hash n blocks of tokens."""
    tokens = np.random.default_rng(5).integers(0, 128_000, n * BLOCK_SIZE).astype(np.int32)
    argument = tokens.tolist() if as_list else tokens

    def run() -> None:
        for _ in range(20):
            sequence_hashes(argument)

    return Operation(f"hash {'list' if as_list else 'array'} {n}", 20, run)


def operations() -> Iterator[Operation]:
    """Yield all operations, one set up after the other."""
    yield allocate(1)
    yield allocate(256)
    yield match(16)
    yield match(256)
    yield register(256)
    yield steady(256)
    yield warm(64)
    yield decode(256)
    yield hashing(256, as_list=False)
    yield hashing(256, as_list=True)


def main() -> None:
    """Count or time all operations, and print the calls of a round or ns a call as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--marks", metavar="LIB", help="shared library of c/marks.c")
    options = parser.parse_args()
    os.urandom = lambda n: bytes(range(n))  # where hashes go in the index: the same in every run
    gc.disable()
    result = {}
    marks = ctypes.CDLL(options.marks) if options.marks else None
    if marks:  # their first calls cost more
        marks.begin_count()
        marks.end_count(b"first")
    for operation in operations():
        times = []
        for round_ in range(8 if marks else ROUNDS):
            operation.before()
            if marks and round_:
                marks.begin_count()
            start = perf_counter_ns()
            operation.run()
            times.append((perf_counter_ns() - start) / operation.calls)
            if marks and round_:
                marks.end_count(operation.name.encode())
            operation.after()
        result[operation.name] = operation.calls if marks else round(median(times), 1)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
