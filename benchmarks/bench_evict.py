"""The steady state of a full pool: allocate n blocks by evicting, register them under new hashes, drop them."""

import numpy as np
import pytest
from workloads import COMBINATIONS, calls_of_a_round, filled_pool, prefixes


@pytest.mark.parametrize(("num_blocks", "n"), COMBINATIONS)
def bench_evict_register_drop(measure, num_blocks, n):
    pool = filled_pool(num_blocks, prefixes(num_blocks, n))
    allocate, register = pool.allocate_blocks, pool.register_blocks
    calls = calls_of_a_round(num_blocks, n)
    rng = np.random.default_rng(5)

    def setup():
        return (list(rng.integers(0, 2**64, (calls, n), dtype=np.uint64)),)

    def run(fresh):
        for hashes in fresh:
            register(allocate(n), hashes)

    measure(run, calls=calls, n=n, pool=num_blocks, setup=setup)
    assert pool.status().evictions > 0
