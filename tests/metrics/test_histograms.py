"""Durations and ages are exposed as the pool counted them."""

import math

import numpy as np
import pytest

from kvpool import BlockPool
from kvpool.metrics import BlockManagerMetrics

CALLS = ("allocate", "register", "match", "release", "open", "append")


def buckets(found, name, **labels):
    """Return the buckets of a histogram by their bound, in increasing order."""
    wanted = {("pool", "my_pool"), *labels.items()}
    read = {
        float(dict(pairs)["le"]): value
        for (each, *pairs), value in found.items()
        if each == f"{name}_bucket" and wanted <= set(pairs)
    }
    return dict(sorted(read.items()))


def test_durations_are_counted_as_the_pool_counts_them(metrics, new_pool, use, scrape):
    pool = new_pool(metrics.pool("my_pool"))
    held = use(pool, 1)
    latencies = pool.latencies()
    found = scrape(metrics)
    assert set(latencies) == set(CALLS)
    for call, latency in latencies.items():
        shown = buckets(found, "kvpool_call_duration_seconds", call=call)
        # Class i of the pool is that of calls of less than 2**i ns.
        below = {2**i / 1e9: int(latency.counts[: i + 1].sum()) for i in range(40)}
        assert shown == {bound: below.get(bound, latency.num_calls) for bound in shown}
        assert list(shown) == [2**i / 1e9 for i in range(5, 28)] + [math.inf]
        assert shown[math.inf] == latency.num_calls > 0
        labels = ("call", call), ("pool", "my_pool")
        assert found[("kvpool_call_duration_seconds_count", *labels)] == latency.num_calls
        assert found[("kvpool_call_duration_seconds_sum", *labels)] == pytest.approx(latency.total_seconds)
    del held


def test_every_call_of_a_period_of_one_is_timed(metrics, scrape):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    for _ in range(10):
        pool.allocate_blocks(1).release()
    found = scrape(metrics)
    for call, expected in (("allocate", 10), ("release", 10), ("match", 0)):
        assert found["kvpool_call_duration_seconds_count", ("call", call), ("pool", "my_pool")] == expected
    assert found["kvpool_call_timing_period", ("pool", "my_pool")] == 1


def test_the_default_period_times_each_call_of_a_loop():
    """A period that the length of the loop divides would time one of its calls only."""
    metrics = BlockManagerMetrics()
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    for number in range(2000):
        pool.register_blocks(pool.allocate_blocks(1), [number]).release()
        pool.match_sequence_hashes([number])
    (reading,) = metrics.read()
    timed = [reading.latencies[call].num_calls for call in ("allocate", "register", "release", "match")]
    assert sum(timed) == 4 * 2000 // reading.latencies["match"].period
    assert max(timed) - min(timed) <= 1


@pytest.mark.parametrize("how", ["from the start", "later"])
def test_pools_that_time_no_calls_show_no_durations(scrape, how):
    metrics = BlockManagerMetrics(call_period=0 if how == "from the start" else 1)
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    if how == "later":
        pool.time_calls(0)
    pool.allocate_blocks(1)
    found = scrape(metrics)
    assert found["kvbm_allocations_total", ("pool", "my_pool")] == 1
    assert [key for key in found if key[0].startswith("kvpool_call")] == []


def test_ages_are_those_of_evicted_blocks(metrics, clock, store, scrape):
    pool = BlockPool(2, clock=clock, reuse_sampling=1.0, pool_metrics=metrics.pool("my_pool"))
    store(pool, [1]).release()
    store(pool, [2]).release()
    clock.seconds = 3.0
    pool.match_sequence_hashes([2]).release()
    clock.seconds = 100.0
    pool.allocate_blocks(2)
    found = scrape(metrics)
    lifetimes, idle = (buckets(found, f"kvpool_block_{name}_seconds") for name in ("lifetime", "idle"))
    assert list(lifetimes) == list(idle) == [2**i / 1e9 for i in range(20, 49)] + [math.inf]
    assert lifetimes[2**36 / 1e9] == idle[2**36 / 1e9] == 0  # 68.7 seconds
    assert lifetimes[2**37 / 1e9] == idle[2**37 / 1e9] == lifetimes[math.inf] == idle[math.inf] == 2


def test_ages_are_counted_as_the_pool_counts_them(metrics, clock, store, scrape):
    pool = BlockPool(16, clock=clock, reuse_sampling=1.0, pool_metrics=metrics.pool("my_pool"))
    rng = np.random.default_rng(3)
    for number in range(400):
        store(pool, [number]).release()
        clock.seconds += float(10.0 ** rng.uniform(-5, 4))
    ages = pool.reuse_statistics().lifetimes
    shown = buckets(scrape(metrics), "kvpool_block_lifetime_seconds")
    for bound, count in shown.items():
        assert count == ages.counts[ages.edges[1:] <= bound].sum()
    assert shown[math.inf] == ages.total == 400 - 16
    assert len(set(shown.values())) > 5


def test_pools_without_a_sample_show_no_ages(metrics, scrape):
    pool = BlockPool(8, pool_metrics=metrics.pool("my_pool"))
    pool.allocate_blocks(1)
    assert [key for key in scrape(metrics) if key[0].startswith("kvpool_block_l")] == []
