"""The generated workload is what its parameters say."""

from __future__ import annotations

from dataclasses import asdict
from itertools import pairwise

import pytest

from kvpool.replay import WorkloadParameters, generate_workload


def key(trace):
    return [(r.arrival, r.input_tokens, r.output_tokens, r.hashes.tolist()) for r in trace.requests]


def generate(**parameters):
    return generate_workload(parameters=WorkloadParameters(**parameters)).requests


def starts_with(prompt, beginning):
    return prompt[: len(beginning)] == beginning


def test_the_same_seed_gives_the_same_requests():
    assert key(generate_workload(200, seed=3)) == key(generate_workload(200, seed=3))


def test_another_seed_gives_others():
    assert key(generate_workload(200, seed=3)) != key(generate_workload(200, seed=4))


def test_a_longer_workload_begins_like_a_shorter_one():
    assert key(generate_workload(200, seed=3))[:50] == key(generate_workload(50, seed=3))


def test_requests_come_in_order_and_share_prefixes():
    trace = generate_workload(500, seed=1)
    arrivals = [request.arrival for request in trace.requests]
    assert len(trace.requests) == 500
    assert arrivals == sorted(arrivals)
    assert 0.5 < trace.ceiling < 0.95
    assert all(len(request.hashes) == request.input_tokens // 16 for request in trace.requests)


@pytest.mark.parametrize(("agent_share", "prompts"), [(0.0, 3), (1.0, 2)])
def test_sessions_share_as_many_system_prompts_as_are_given(agent_share, prompts):
    requests = generate(requests=400, agent_share=agent_share, system_prompts=3, tool_prompts=2, block_size=1)
    assert len({request.hashes[0] for request in requests}) == prompts


def test_a_chat_goes_on_from_its_own_answer():
    requests = generate(requests=40, agent_share=0.0, chat_turns=1000, session_rate=1e-6, block_size=1)
    for before, after in pairwise(requests):
        assert starts_with(after.hashes.tolist(), before.hashes.tolist())
        assert after.input_tokens > before.input_tokens + before.output_tokens


@pytest.mark.parametrize(("branch_share", "branches"), [(0.0, False), (0.5, True)])
def test_an_agent_begins_again_from_earlier_points_as_often_as_is_said(branch_share, branches):
    requests = generate(
        requests=60, agent_share=1.0, agent_turns=1000, session_rate=1e-6, block_size=1, branch_share=branch_share
    )
    prompts = [request.hashes.tolist() for request in requests]
    pairs = list(pairwise(prompts))
    assert any(not starts_with(after, before) for before, after in pairs) == branches
    assert all(after[0] == before[0] for before, after in pairs)


def test_sessions_begin_at_the_rate_that_is_said():
    requests = generate(requests=3000, agent_share=0.0, chat_turns=1, session_rate=5.0)
    assert 3000 / requests[-1].arrival == pytest.approx(5.0, rel=0.05)


def test_means_are_those_that_are_said():
    requests = generate(requests=3000, agent_share=0.0, chat_turns=1, answer_tokens=70, system_tokens=1)
    assert sum(request.output_tokens for request in requests) / 3000 == pytest.approx(70, rel=0.05)
    assert sum(request.input_tokens for request in requests) / 3000 == pytest.approx(121, rel=0.05)


def test_the_parameters_are_told():
    assert generate_workload(10, seed=5).parameters == asdict(WorkloadParameters(requests=10, seed=5))


def test_generating_tells_its_progress():
    steps = []
    generate_workload(150, progress=steps.append)
    assert steps == [64, 64]


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("requests", 0, "at least 1"),
        ("seed", -1, "at least 0"),
        ("session_rate", 0, "a finite number above 0"),
        ("think_seconds", float("inf"), "a finite number above 0"),
        ("agent_share", 1.5, "in \\[0, 1\\]"),
        ("answer_tokens", 0, "at least 1"),
        ("system_prompts", 0, "at least 1"),
    ],
)
def test_a_parameter_out_of_range_is_an_error(name, value, bound):
    with pytest.raises(ValueError, match=f"{name} = {value} is not {bound}"):
        WorkloadParameters(**{name: value})
