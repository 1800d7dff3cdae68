"""Match and drop prefixes of n cached blocks, drawn at random from a full pool: all hits."""

import pytest
from workloads import COMBINATIONS, calls_of_a_round, draws, filled_pool, prefixes


@pytest.mark.parametrize("ids", ["in order", "scattered"])
@pytest.mark.parametrize(("num_blocks", "n"), COMBINATIONS)
def bench_match_and_drop(measure, num_blocks, n, ids):
    cached = prefixes(num_blocks, n)
    pool = filled_pool(num_blocks, cached, scattered=ids == "scattered")
    match = pool.match_sequence_hashes
    calls = calls_of_a_round(num_blocks, n)
    requests = draws(cached, calls)

    def run(drawn):
        for hashes in drawn:
            match(hashes)

    measure(run, calls=calls, n=n, pool=num_blocks, variant=ids, setup=lambda: (next(requests),))
    assert pool.cache_hit_rate == 1.0
