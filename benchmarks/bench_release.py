"""Give n blocks back: mutable ones, which become empty, and registered ones, which stay cached."""

import pytest
from workloads import COMBINATIONS, calls_of_a_round, draws, filled_pool, prefixes

from kvpool import BlockPool


def release_all(handles):
    for handle in handles:
        handle.release()


@pytest.mark.parametrize(("num_blocks", "n"), COMBINATIONS)
def bench_release_mutable(measure, num_blocks, n):
    pool = BlockPool(num_blocks)
    calls = calls_of_a_round(num_blocks, n)
    measure(
        release_all,
        calls=calls,
        n=n,
        pool=num_blocks,
        setup=lambda: ([pool.allocate_blocks(n) for _ in range(calls)],),
    )


@pytest.mark.parametrize(("num_blocks", "n"), COMBINATIONS)
def bench_release_registered(measure, num_blocks, n):
    cached = prefixes(num_blocks, n)
    pool = filled_pool(num_blocks, cached)
    calls = calls_of_a_round(num_blocks, n)
    requests = draws(cached, calls)
    measure(
        release_all,
        calls=calls,
        n=n,
        pool=num_blocks,
        setup=lambda: ([pool.match_sequence_hashes(hashes) for hashes in next(requests)],),
    )
