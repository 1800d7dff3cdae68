"""Measure what the design bounds, and print each figure beside its bound.

    python benchmarks/bounds.py [--json] [--repetitions N]

Every figure is the median of many repetitions, in processor time of this thread. The bounds are for an idle 2.6 GHz
server core: on another machine, or a busy one, compare the ratios of two versions rather than figures with bounds.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from machine import aligned_table, machine, machine_line
from workloads import BLOCK_SIZE, Hashes, draws, filled_pool, now, prefixes, random_hashes, tokens

from kvpool import BlockPool, ImmutableBlock, SequenceBatch, sequence_hashes
from kvpool.storage import HostStorage, LayerSeparate, LayoutConfig

POOL = 100_000
MILLION = 1_000_000


class Row(NamedTuple):
    """One figure and its bound, in the same unit."""

    work: str
    figure: float
    bound: float
    unit: str

    @property
    def ratio(self) -> float:
        """Figure over bound: the bound is kept when it is at most 1."""
        return self.figure / self.bound


def median_of(repetitions: int, run: Callable[[], float]) -> float:
    """Run twice unmeasured, then as often as asked; return the median of what `run` returns."""
    for _ in range(2):
        run()
    return median(run() for _ in range(repetitions))


def allocate_and_drop(n: int, repetitions: int) -> float:
    """Return ns a call."""
    allocate = BlockPool(POOL).allocate_blocks
    calls = max(100, 20_000 // n)

    def run() -> float:
        start = now()
        for _ in range(calls):
            allocate(n)
        return (now() - start) / calls

    return median_of(repetitions, run)


def match_and_drop(n: int, repetitions: int) -> float:
    """Return ns a call; every repetition draws other requests."""
    cached = prefixes(POOL, n)
    match = filled_pool(POOL, cached).match_sequence_hashes
    requests = draws(cached, max(20, 20_000 // n))

    def run() -> float:
        drawn = next(requests)
        start = now()
        for hashes in drawn:
            match(hashes)
        return (now() - start) / len(drawn)

    return median_of(repetitions, run)


def register(n: int, repetitions: int) -> float:
    """Return ns a call. The blocks registered before stay cached; an emptied pool begins again."""
    pool = BlockPool(POOL)
    calls = 40
    fresh = prefixes(POOL, n)
    position = 0

    def run() -> float:
        nonlocal position
        if position + calls > len(fresh):
            pool.reset()
            position = 0
        allocated = [pool.allocate_blocks(n) for _ in range(calls)]
        pairs = list(zip(allocated, fresh[position : position + calls], strict=True))
        position += calls
        held = []
        start = now()
        for blocks, hashes in pairs:
            held.append(pool.register_blocks(blocks, hashes))
        return (now() - start) / calls

    return median_of(repetitions, run)


def steady_state(n: int, repetitions: int) -> float:
    """Return ns for allocating by eviction, registering and dropping n blocks."""
    pool = filled_pool(POOL, prefixes(POOL, n))
    calls = 40

    def batches() -> Iterator[list[Hashes]]:
        seed = 100
        while True:
            yield list(random_hashes(calls * n, seed).reshape(calls, n))
            seed += 1

    fresh = batches()

    def run() -> float:
        drawn = next(fresh)
        start = now()
        for hashes in drawn:
            pool.register_blocks(pool.allocate_blocks(n), hashes)
        return (now() - start) / calls

    return median_of(repetitions, run)


def hashing(form: str, repetitions: int) -> float:
    """Return ns a block."""
    num_blocks, calls = 256, 40
    as_array = tokens(num_blocks, seed=6)
    token_ids = as_array if form == "int32 array" else as_array.tolist()

    def run() -> float:
        start = now()
        for _ in range(calls):
            sequence_hashes(token_ids, BLOCK_SIZE)
        return (now() - start) / calls / num_blocks

    return median_of(repetitions, run)


def warm_request(num_prompts: int, repetitions: int) -> float:
    """Return ns for a request of 64 cached blocks and half a block more, from open to release.

    It is drawn from the first `num_prompts` of those that the pool has.
    """
    n, calls = 64, 200
    own = tokens(POOL // n * n, seed=7).reshape(-1, n * BLOCK_SIZE)
    rest = tokens(len(own), seed=8).reshape(len(own), -1)[:, : BLOCK_SIZE // 2]
    prompts = np.hstack([own, rest])
    pool = filled_pool(POOL, [sequence_hashes(prompt, BLOCK_SIZE) for prompt in prompts])
    requests = draws(list(prompts[:num_prompts]), calls)

    def run() -> float:
        drawn = next(requests)
        start = now()
        for prompt in drawn:
            request = pool.open_sequence(prompt)
            _ = request.block_table
            request.release()
        return (now() - start) / calls

    figure = median_of(repetitions, run)
    assert pool.cache_hit_rate == 1.0
    return figure


def cold_request(repetitions: int) -> float:
    """Return us for opening a prompt of 32,768 tokens of which nothing is cached."""
    pool = BlockPool(POOL)
    token_ids = tokens(32_768 // BLOCK_SIZE, seed=10)

    def run() -> float:
        start = now()
        request = pool.open_sequence(token_ids)
        taken = now() - start
        request.release()
        return taken / 1000

    return median_of(repetitions, run)


def match_long(num_blocks: int, n: int, repetitions: int) -> float:
    """Return ns a block for a match of n blocks alone: the drop is not timed."""
    cached = prefixes(num_blocks, n)
    match = filled_pool(num_blocks, cached).match_sequence_hashes
    requests = draws(cached, 8)

    def run() -> float:
        drawn = next(requests)
        held = []
        start = now()
        for hashes in drawn:
            held.append(match(hashes))
        return (now() - start) / len(drawn) / n

    return median_of(repetitions, run)


def decode_step(rows: int, repetitions: int) -> float:
    """Return ns a row and step; a sixteenth of the rows fills a block in each."""
    pool = BlockPool(POOL)
    prompts = tokens(rows * 40, seed=11).reshape(rows, -1)
    batch = SequenceBatch(pool, rows, 4096)
    for row, prompt in enumerate(prompts):
        request = pool.open_sequence(prompt[: 500 + row % 64])
        request.commit(request.num_tokens)
        batch.add(request)
    sampled = tokens(rows, seed=12)[:rows]

    def run() -> float:
        start = now()
        for _ in range(BLOCK_SIZE):
            batch.append(sampled)
        return (now() - start) / BLOCK_SIZE / rows

    return median_of(min(repetitions, 40), run)


def viewed_block() -> ImmutableBlock:
    """Return a block whose memory can be seen."""
    layout = LayerSeparate(LayoutConfig(64, 4, 2, BLOCK_SIZE, 64, dtype="float16"))
    pool = BlockPool(64, BLOCK_SIZE, storage=HostStorage(layout))
    return pool.register_blocks(pool.allocate_blocks(1), [1])[0]


def layer_view(repetitions: int) -> float:
    """Return ns for a view of a block's layer, made and dropped."""
    view = viewed_block().layer_view

    def run() -> float:
        start = now()
        for _ in range(2000):
            view(0, 0)
        return (now() - start) / 2000

    return median_of(repetitions, run)


def take_in(repetitions: int) -> float:
    """Return ns for an array of such a view, made and dropped."""
    view = viewed_block().layer_view(0, 0)
    from_dlpack = np.from_dlpack

    def run() -> float:
        start = now()
        for _ in range(2000):
            from_dlpack(view)
        return (now() - start) / 2000

    return median_of(repetitions, run)


def construct(repetitions: int) -> float:
    """Return ms for a pool of a million blocks."""

    def run() -> float:
        start = now()
        pool = BlockPool(MILLION)
        taken = now() - start
        assert pool.available_blocks == MILLION
        return taken / 1e6

    return median_of(max(5, repetitions // 5), run)


def resident_bytes(fill: bool) -> float | None:
    """Return resident bytes a block of a pool of a million blocks, new or with every block cached; None off Linux."""
    hashes = random_hashes(MILLION, seed=9)
    before = _resident()
    pool = BlockPool(MILLION)
    if fill:
        for start in range(0, MILLION, 1000):
            pool.register_blocks(pool.allocate_blocks(1000), hashes[start : start + 1000]).release()
        assert pool.status().cached == MILLION
    after = _resident()
    del pool
    return None if before is None or after is None else (after - before) / MILLION


def _resident() -> int | None:
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(repetitions: int) -> Iterator[Row]:
    """Yield every row of the table."""
    for fill, state in ((False, "new"), (True, "every block cached")):
        resident = resident_bytes(fill)
        if resident is not None:
            yield Row(f"pool of 1,000,000 blocks, {state}", resident, 64, "bytes a block")
    yield Row("construct a pool of 1,000,000 blocks", construct(repetitions), 20, "ms")
    yield Row("allocate + drop 1", allocate_and_drop(1, repetitions), 150, "ns a call")
    yield Row("allocate + drop 256", allocate_and_drop(256, repetitions) / 256, 8, "ns a block")
    yield Row("match + drop 16, random requests, pool of 100k", match_and_drop(16, repetitions), 700, "ns a call")
    for n in (256, 4096):
        figure = match_and_drop(n, repetitions) / n
        yield Row(f"match + drop {n}, random requests, pool of 100k", figure, 12, "ns a block")
    yield Row("match 4096, random requests, pool of 100k", match_long(POOL, 4096, repetitions), 5, "ns a block")
    yield Row("match 4096, random requests, pool of 1M", match_long(MILLION, 4096, repetitions), 20, "ns a block")
    yield Row("register 256", register(256, repetitions) / 256, 20, "ns a block")
    yield Row("evict + register + drop 256, pool of 100k", steady_state(256, repetitions) / 256, 50, "ns a block")
    yield Row("sequence hashes from an int32 array", hashing("int32 array", repetitions), 15, "ns a block")
    yield Row("sequence hashes from a list", hashing("list", repetitions), 120, "ns a block")
    for num_prompts, which in ((1, "the same each time"), (POOL // 64, "random, pool of 100k")):
        yield Row(f"warm request of 64 blocks, {which}", warm_request(num_prompts, repetitions), 3000, "ns a request")
    yield Row("cold prompt of 32,768 tokens, open", cold_request(repetitions), 60, "us a request")
    for rows in (256, 1024):
        yield Row(f"decode step of {rows} rows", decode_step(rows, repetitions), 40, "ns a row")
    yield Row("view of a block's layer", layer_view(repetitions), 300, "ns a call")
    yield Row("np.from_dlpack of a view", take_in(repetitions), 700, "ns a call")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what the design bounds.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--repetitions", type=int, default=101, metavar="N", help="of each figure (default: 101)")
    arguments = parser.parse_args()
    if arguments.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    gc.disable()
    rows = list(measure(arguments.repetitions))
    if arguments.json:
        report = {
            "machine": machine(),
            "repetitions": arguments.repetitions,
            "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows],
        }
        print(json.dumps(report, indent=2))
        return
    print(machine_line())
    print()
    cells = [[row.work, f"{row.figure:,.1f}", f"{row.bound:,.0f}", row.unit, f"{row.ratio:.2f}"] for row in rows]
    for line in aligned_table(["work", "figure", "bound", "unit", "ratio"], cells):
        print(line)


if __name__ == "__main__":
    main()
