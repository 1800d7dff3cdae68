"""What a running pool knows of its blocks, beside replays of the same requests in other pools."""

import math

import numpy as np
import pytest

from kvpool import AgeHistogram, BlockPool, BlockPoolError
from kvpool.replay import generate_workload, replay


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def serve(pool, hashes):
    cached = pool.match_sequence_hashes(hashes)
    fresh = pool.allocate_blocks(len(hashes) - len(cached))
    filled = pool.register_blocks(fresh, hashes[len(cached) :])
    filled.release()
    cached.release()


def serve_all(trace, num_blocks, rate, **options):
    clock = Clock()
    pool = BlockPool(num_blocks, trace.block_size, clock=clock, reuse_sampling=rate, **options)
    for request in trace.requests:
        clock.seconds = request.arrival
        serve(pool, request.hashes)
    pool.check_invariants()
    return pool


@pytest.fixture(scope="module")
def trace():
    return generate_workload(600, 2)


def test_of_all_blocks_the_curve_is_that_of_replays(trace):
    statistics = serve_all(trace, 1024, 1.0).reuse_statistics()
    assert statistics.requested_blocks == statistics.sampled_blocks == trace.num_blocks
    sizes, ratios = statistics.curve
    assert sizes[0] == 0
    assert ratios[0] == 0
    assert sizes[-1] == 4096
    for at in (32, 48, 64, 100, 170, 256):
        hits = replay(trace, int(sizes[at])).hit_blocks
        assert ratios[at] == pytest.approx(hits / trace.num_blocks, abs=1e-12)
        assert statistics.hit_ratio(sizes[at]) == ratios[at]


@pytest.mark.parametrize("rate", [0.3, 0.05])
def test_of_some_blocks_it_is_near(trace, rate):
    statistics = serve_all(trace, 1024, rate).reuse_statistics()
    assert statistics.requested_blocks == trace.num_blocks
    assert statistics.sampled_blocks == pytest.approx(rate * trace.num_blocks, rel=0.3)
    assert statistics.hit_ratio() == replay(trace, 1024).block_hit_ratio
    for size, error in ((700, 0.08), (1500, 0.03), (4096, 0.04)):
        assert statistics.hit_ratio(size) == pytest.approx(replay(trace, size).block_hit_ratio, abs=error)


def test_more_blocks_give_more_hits(trace):
    statistics = serve_all(trace, 1024, 1.0).reuse_statistics()
    more = replay(trace, 1280).hit_blocks - replay(trace, 1024).hit_blocks
    assert more > 0
    assert statistics.hits_gained(0.25) == pytest.approx(more)
    assert statistics.hits_gained(0.0) == 0
    assert statistics.hits_gained(-0.25) == pytest.approx(replay(trace, 768).hit_blocks - statistics.hit_blocks)


@pytest.mark.parametrize("policy", ["adaptive", "arc"])
def test_other_policies_begin_from_their_own_hits(trace, policy):
    pool = serve_all(trace, 1024, 0.3, eviction=policy)
    statistics = pool.reuse_statistics()
    assert statistics.hit_blocks == pool.status().match_blocks_returned
    assert statistics.hit_ratio() == pytest.approx(pool.cache_hit_rate)
    assert 0 <= statistics.hit_ratio(2048) - statistics.hit_ratio() < 1


def test_the_same_requests_give_the_same_statistics(trace):
    one, other = (serve_all(trace, 1024, 0.1).reuse_statistics() for _ in range(2))
    assert np.array_equal(one.hits, other.hits)
    assert np.array_equal(one.lifetimes.counts, other.lifetimes.counts)


def test_lives_are_told_when_they_end():
    clock = Clock()
    pool = BlockPool(4, 1, clock=clock, reuse_sampling=1.0)
    serve(pool, [1, 2])
    for seconds in (10, 20, 30):
        clock.seconds = seconds
        serve(pool, [1])
    clock.seconds = 100
    serve(pool, [7, 8, 9, 10])
    statistics = pool.reuse_statistics()
    assert statistics.evictions == 2
    assert statistics.lifetimes.total == 2
    assert statistics.lifetimes.median == pytest.approx(100, rel=0.2)
    assert statistics.idle_ages.quantile(0.0) == pytest.approx(70, rel=0.2)
    assert statistics.idle_ages.quantile(1.0) == pytest.approx(100, rel=0.2)
    assert statistics.reuse_counts[:3].tolist() == [1, 0, 1]
    assert statistics.evicted_too_soon == 0
    clock.seconds = 105
    serve(pool, [1])
    statistics = pool.reuse_statistics()
    assert statistics.absences.total == 1
    assert statistics.absences.median == pytest.approx(5, rel=0.2)
    assert statistics.evicted_too_soon == 1 / 3


def test_sequences_ask_for_blocks_too():
    pool = BlockPool(8, 4, reuse_sampling=1.0)
    with pool.open_sequence(range(13)) as sequence:
        sequence.commit(13)
    with pool.open_sequence(range(13)):
        pass
    statistics = pool.reuse_statistics()
    assert (statistics.requested_blocks, statistics.hit_blocks) == (6, 3)
    assert statistics.hits.sum() == 3


def test_what_is_reset_was_not_evicted():
    pool = BlockPool(8, 1, reuse_sampling=1.0)
    serve(pool, [1, 2, 3])
    pool.reset_blocks([3])
    serve(pool, [1, 2, 3])
    pool.reset()
    serve(pool, [1, 2, 3])
    statistics = pool.reuse_statistics()
    assert statistics.evictions == statistics.absences.total == 0
    assert statistics.hits.sum() == 3
    pool.check_invariants()


def test_a_copy_that_goes_is_not_the_end():
    pool = BlockPool(3, 1, duplicates="keep", reuse_sampling=1.0)
    for _ in range(3):
        pool.register_blocks(pool.allocate_blocks(1), [5]).release()
    pool.allocate_blocks(2).release()
    assert pool.reuse_statistics().evictions == 0
    pool.allocate_blocks(3).release()
    assert pool.reuse_statistics().evictions == 1
    pool.check_invariants()


def test_counting_begins_anew():
    pool = BlockPool(8, 1, reuse_sampling=1.0)
    serve(pool, [1, 2, 3])
    assert pool.reuse_statistics(reset=True).requested_blocks == 3
    assert pool.reuse_statistics().requested_blocks == 0
    assert pool.reuse_statistics().hit_ratio() == 0
    serve(pool, [1, 2, 3])
    assert pool.reuse_statistics().hits.sum() == 3  # the blocks themselves are not forgotten


def test_a_pool_that_follows_none_says_so():
    pool = BlockPool(8)
    assert pool.reuse_sampling == 0
    with pytest.raises(BlockPoolError, match="make it with reuse_sampling="):
        pool.reuse_statistics()


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_a_share_out_of_bounds_is_refused(rate):
    with pytest.raises(ValueError, match=rf"reuse_sampling = {rate} is not in \[0, 1\]"):
        BlockPool(8, reuse_sampling=rate)


@pytest.mark.parametrize("rate", ["0.1", True, None])
def test_what_is_not_a_share_is_refused(rate):
    with pytest.raises(TypeError, match="reuse_sampling must be a number, not"):
        BlockPool(8, reuse_sampling=rate)


def test_sizes_out_of_bounds_are_refused():
    statistics = BlockPool(8, reuse_sampling=1.0).reuse_statistics()
    with pytest.raises(ValueError, match=r"num_blocks = 33 is not in \[0, 32\]"):
        statistics.hit_ratio(33)
    with pytest.raises(ValueError, match=r"more = 3.5 is not in \[-1, 3\]"):
        statistics.hits_gained(3.5)


def test_an_age_histogram_tells_its_quantiles():
    counts = np.zeros(213, dtype=np.uint64)
    histogram = AgeHistogram(counts)
    assert math.isnan(histogram.median)
    assert histogram.total == 0
    counts[[0, 1]] = 2
    assert histogram.edges[:3].tolist() == [0.0, 1024e-9, 1280e-9]
    assert len(histogram.edges) == 214
    assert histogram.quantile(0.5) == 1024e-9
    assert histogram.quantile(0.75) == pytest.approx(1152e-9)
    assert histogram.quantile(1.0) == 1280e-9
    with pytest.raises(ValueError, match=r"q = 2 is not in \[0, 1\]"):
        histogram.quantile(2)
