"""What is known of a trace before it is replayed."""

from __future__ import annotations

import numpy as np
import pytest

from kvpool.replay import Request, Trace, generate_workload, replay


def trace_of(*prompts):
    requests = [Request(time, 16 * len(ids), 1, np.array(ids, dtype=np.uint64)) for time, ids in enumerate(prompts)]
    return Trace("t", 16, requests)


@pytest.mark.parametrize(
    ("prompts", "unique", "hits"),
    [
        ([], 0, 0),
        ([[]], 0, 0),
        ([[1, 2, 3]], 3, 0),
        ([[1, 2], [1, 2, 3], [], [1, 2, 3]], 3, 5),
        ([[], [1], [2], [1], []], 2, 1),
        ([[1, 2], [3, 2]], 3, 0),  # behind a miss there is no hit
        ([[7, 7], [7, 7, 7]], 1, 3),
    ],
)
def test_ceiling_is_what_a_pool_hits_that_never_evicts(prompts, unique, hits):
    trace = trace_of(*prompts)
    assert trace.num_unique_blocks == unique
    assert trace.ceiling == pytest.approx(hits / trace.num_blocks if trace.num_blocks else 0)
    assert replay(trace, 100).hit_blocks == hits


def test_ceilings_are_reached_by_a_pool_that_is_large_enough():
    trace = generate_workload(300, seed=5)
    result = replay(trace, trace.num_unique_blocks + max(len(request.hashes) for request in trace.requests))
    assert result.evictions == 0
    assert result.block_hit_ratio == pytest.approx(trace.ceiling)
    assert result.token_hit_ratio == pytest.approx(trace.token_ceiling)


def test_a_trace_lasts_from_its_first_arrival_to_its_last():
    requests = [Request(time, 0, 0, np.array([], dtype=np.uint64)) for time in (1_700_000_000.0, 1_700_000_060.0)]
    assert Trace("t", 16, requests).seconds == 60.0
    assert Trace("t", 16, []).seconds == 0.0
