"""Allocate n empty blocks: with the drop that follows, and by itself while the blocks stay held."""

import pytest
from workloads import COMBINATIONS, calls_of_a_round, scatter_empty_blocks

from kvpool import BlockPool


@pytest.mark.parametrize(("num_blocks", "n"), COMBINATIONS)
def bench_allocate_and_drop(measure, num_blocks, n):
    allocate = BlockPool(num_blocks).allocate_blocks
    calls = calls_of_a_round(num_blocks, n)

    def run():
        for _ in range(calls):
            allocate(n)

    measure(run, calls=calls, n=n, pool=num_blocks)


@pytest.mark.parametrize("ids", ["in order", "scattered"])
@pytest.mark.parametrize(("num_blocks", "n"), COMBINATIONS)
def bench_allocate(measure, num_blocks, n, ids):
    pool = BlockPool(num_blocks)
    if ids == "scattered":
        scatter_empty_blocks(pool)
    allocate = pool.allocate_blocks
    calls = calls_of_a_round(num_blocks, n)
    held = []

    def setup():
        if pool.available_blocks < calls * n:
            while held:  # last in, first out: the empty blocks are as they were
                held.pop().release()
        return ()

    def run():
        for _ in range(calls):
            held.append(allocate(n))

    measure(run, calls=calls, n=n, pool=num_blocks, variant=ids, setup=setup)
