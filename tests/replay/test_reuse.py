"""Reuse distances and hints of a trace."""

from __future__ import annotations

import numpy as np
import pytest

from kvpool.replay import Request, Trace, continuation_hints, generate_workload, replay, reuse_histogram


def trace_of(*prompts):
    return Trace("test", 1, [Request(10.0 * i, len(p), 0, np.array(p, dtype=np.uint64)) for i, p in enumerate(prompts)])


def test_a_distance_is_the_different_blocks_since_its_own_included():
    histogram = reuse_histogram(trace_of([1], [1], [2], [3], [2], [1]))
    # 1 at once: 1 block; 2 after 3: 2 blocks; 1 after 2, 3, 2: 3 blocks
    assert histogram.blocks.tolist() == [1, 2]
    assert histogram.first == 3
    assert histogram.seconds.tolist() == [0, 0, 0, 1, 1, 1]


def test_distances_give_the_hits_of_lru():
    trace = generate_workload(400, 2)
    histogram = reuse_histogram(trace)
    assert histogram.sampled_one_in == 1
    assert histogram.blocks.sum() + histogram.first == trace.num_blocks
    for power in (11, 12, 13):
        hits = replay(trace, 2**power - 1).hit_blocks
        assert abs(histogram.blocks[:power].sum() - hits) < 0.02 * trace.num_blocks


def test_a_long_trace_is_sampled(monkeypatch):
    trace = generate_workload(600, 3)
    exact = reuse_histogram(trace)
    monkeypatch.setattr("kvpool.replay.reuse._MOST_REFERENCES", trace.num_blocks // 4)
    sampled = reuse_histogram(trace)
    assert sampled.sampled_one_in in (4, 5)
    assert abs(sampled.first - exact.first) < 0.1 * exact.first


def test_a_trace_without_requests_has_an_empty_histogram():
    histogram = reuse_histogram(Trace("none", 16, []))
    assert histogram.first == histogram.blocks.sum() == 0


def test_a_hint_says_whether_the_last_block_is_asked_for_again():
    assert continuation_hints(trace_of([1, 2], [9], [1, 2, 3], [1, 4]), 1.0) == [1, 0, 0, 0]
    assert continuation_hints(trace_of([1, 2], [9], [1, 2, 3], [1, 4]), 0.0) == [0, 1, 1, 1]


def test_hints_are_right_as_often_as_was_said():
    trace = generate_workload(3000, 1)
    right = continuation_hints(trace, 1.0)
    wrong = sum(a != b for a, b in zip(right, continuation_hints(trace, 0.8, seed=5), strict=True))
    assert 0.17 < wrong / 3000 < 0.23


@pytest.mark.parametrize("accuracy", [-0.1, 1.1])
def test_an_accuracy_out_of_range_is_refused(accuracy):
    with pytest.raises(ValueError, match="accuracy"):
        continuation_hints(trace_of([1]), accuracy)


def test_protecting_what_comes_next_gives_more_hits():
    trace = generate_workload(2500, 4)
    capacity = trace.num_unique_blocks // 20
    plain = replay(trace, capacity).hit_blocks
    assert replay(trace, capacity, protect=32).hit_blocks > plain


def test_evictions_are_counted_by_time():
    trace = generate_workload(300, 1)
    result = replay(trace, 500)
    assert len(result.evictions_by_time) == 60
    assert sum(result.evictions_by_time) == result.evictions > 0
