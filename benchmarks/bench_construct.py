"""Construct a pool, whose tables are all allocated then; an idle pool is dropped outside the measured time."""

import pytest
from workloads import POOLS

from kvpool import BlockPool


@pytest.mark.parametrize("num_blocks", POOLS)
def bench_construct(measure, num_blocks):
    pools = []

    def setup():
        pools.clear()
        return ()

    def run():
        pools.append(BlockPool(num_blocks))

    measure(run, calls=1, n=num_blocks, setup=setup)
