"""The generated workload."""

from __future__ import annotations

import pytest

from kvpool.replay import WorkloadParameters, generate_workload


def key(trace):
    return [(r.arrival, r.input_tokens, r.output_tokens, r.hashes.tolist()) for r in trace.requests]


def test_the_same_seed_gives_the_same_requests():
    assert key(generate_workload(200, seed=3)) == key(generate_workload(200, seed=3))


def test_another_seed_gives_others():
    assert key(generate_workload(200, seed=3)) != key(generate_workload(200, seed=4))


def test_requests_come_in_order_and_share_prefixes():
    trace = generate_workload(500, seed=1)
    arrivals = [request.arrival for request in trace.requests]
    assert len(trace.requests) == 500
    assert arrivals == sorted(arrivals)
    assert 0.5 < trace.ceiling < 0.95
    assert all(len(request.hashes) == request.input_tokens // 16 for request in trace.requests)


def test_a_chat_goes_on_from_its_own_answer():
    trace = generate_workload(parameters=WorkloadParameters(requests=300, seed=2, agent_share=0.0))
    longest = max(trace.requests, key=lambda request: len(request.hashes))
    before = [
        request
        for request in trace.requests
        if len(request.hashes) < len(longest.hashes)
        and len(request.hashes) > 60
        and request.hashes.tolist() == longest.hashes[: len(request.hashes)].tolist()
    ]
    assert before


def test_the_parameters_are_told():
    assert generate_workload(10, seed=5).parameters["seed"] == 5


def test_less_than_one_request_is_an_error():
    with pytest.raises(ValueError, match="requests = 0"):
        generate_workload(0)
