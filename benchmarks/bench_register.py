"""Register n allocated blocks under hashes that are new."""

import pytest
from workloads import COMBINATIONS, calls_of_a_round, prefixes

from kvpool import BlockPool


@pytest.mark.parametrize(("num_blocks", "n"), COMBINATIONS)
def bench_register(measure, num_blocks, n):
    pool = BlockPool(num_blocks)
    register = pool.register_blocks
    calls = calls_of_a_round(num_blocks, n)
    fresh = prefixes(num_blocks, n)
    held = []
    position = 0

    def setup():
        nonlocal position
        held.clear()  # cached now: the next blocks are other ones
        if position + calls > len(fresh):
            pool.reset()
            position = 0
        hashes = fresh[position : position + calls]
        position += calls
        return (list(zip([pool.allocate_blocks(n) for _ in range(calls)], hashes, strict=True)),)

    def run(pairs):
        for blocks, hashes in pairs:
            held.append(register(blocks, hashes))

    measure(run, calls=calls, n=n, pool=num_blocks, setup=setup)
    assert pool.status().evictions == 0
