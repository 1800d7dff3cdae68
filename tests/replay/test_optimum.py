"""The optimum: nothing beats it, and another program finds the same."""

from __future__ import annotations

import itertools
import os
import random
from pathlib import Path

import numpy as np
import pytest

from kvpool import EVICTION_POLICIES
from kvpool.replay import Request, Trace, generate_workload, optimum, read_trace, replay

NAME = "conversation_trace.jsonl"
PLACES = [os.environ.get("KVPOOL_TRACES", ""), str(Path(__file__).parents[3] / "shared" / "traces")]


def trace_of(*prompts, block_size=1):
    return Trace(
        "test",
        block_size,
        [Request(float(i), len(hashes), 0, np.array(hashes, dtype=np.uint64)) for i, hashes in enumerate(prompts)],
    )


@pytest.fixture(scope="module")
def conversation() -> Trace:
    for place in PLACES:
        if place and (Path(place) / NAME).exists():
            return read_trace(Path(place) / NAME)
    pytest.skip(f"{NAME} is not here; name its folder in KVPOOL_TRACES")


def best_by_trying(trace, capacity, bypass):
    """Return the most hits that any choice of what to keep after each request gives."""
    parents = {}
    for request in trace.requests:
        hashes = request.hashes.tolist()
        parents.update(zip(hashes, [None, *hashes[:-1]], strict=True))
    states = {frozenset(): 0}
    for request in trace.requests:
        hashes = request.hashes.tolist()
        following: dict[frozenset, int] = {}
        for cached, hits in states.items():
            length = 0
            while length < len(hashes) and hashes[length] in cached:
                length += 1
            could_keep = cached | set(hashes)
            for size in range(min(capacity, len(could_keep)) + 1):
                for kept in map(frozenset, itertools.combinations(could_keep, size)):
                    if not bypass and not kept.issuperset(hashes[:capacity]):
                        continue
                    if all(parents[block] is None or parents[block] in kept for block in kept):
                        following[kept] = max(following.get(kept, -1), hits + length)
        states = following
    return max(states.values())


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize("seed", range(25))
def test_no_choice_of_what_to_keep_gives_more_hits(seed, bypass):
    dice = random.Random(seed)
    prompts = []
    for _ in range(dice.randrange(2, 7)):
        family = dice.randrange(3) * 10
        branch = dice.randrange(2) * 5
        prompts.append([family + i + (branch if i > 1 else 0) for i in range(1, dice.randrange(2, 4))])
    trace = trace_of(*prompts)
    for capacity in (1, 2, 3):
        assert optimum(trace, capacity, bypass=bypass).hit_blocks == best_by_trying(trace, capacity, bypass)


@pytest.mark.parametrize("policy", EVICTION_POLICIES)
@pytest.mark.parametrize("seed", [3, 4])
def test_no_policy_beats_the_optimum(policy, seed):
    trace = generate_workload(300, seed)
    for share in (0.01, 0.05, 0.3):
        capacity = max(1, int(trace.num_unique_blocks * share))
        assert replay(trace, capacity, eviction=policy).hit_blocks <= optimum(trace, capacity).hit_blocks


def test_a_pool_for_all_blocks_reaches_the_ceiling():
    trace = generate_workload(200, 1)
    assert optimum(trace, trace.num_unique_blocks).block_hit_ratio == trace.ceiling


def test_a_trace_without_requests_has_no_hits():
    assert optimum(Trace("none", 16, []), 5).hit_blocks == 0


def test_a_capacity_of_none_is_refused():
    with pytest.raises(ValueError, match="capacity = 0 is not at least 1"):
        optimum(trace_of([1]), 0)


@pytest.mark.parametrize(("share", "percent"), [(0.005, 17.04), (0.01, 24.27), (0.02, 31.76), (0.05, 38.19)])
def test_the_optimum_of_real_traffic(conversation, share, percent):
    found = optimum(conversation, int(conversation.num_unique_blocks * share))
    assert round(100 * found.block_hit_ratio, 2) == percent


# Beside kvcache-simulator, whose cache may refuse to keep a block. It measures only after its cache is full: blocks
# nobody asks for again fill it first.


def simulated(trace, capacity, policy):
    plans = pytest.importorskip("kvcache_sim.plan", reason="kvcache-simulator is not installed")
    policies = pytest.importorskip("kvcache_sim.policies")
    data = pytest.importorskip("kvcache_sim.trace").TraceData
    ids = [2**63 + i for i in range(capacity)]
    starts = list(range(capacity + 1))
    for request in trace.requests:
        ids += request.hashes.tolist()
        starts.append(len(ids))
    size = trace.block_size
    plan = plans.build_execution_plan(data(ids, [1] * len(ids), starts, size, len(starts) - 1, 0, len(ids), 1.0, 0, 0))
    plan.warmup_requests = capacity
    return policies.simulate_policy(plan, policy, capacity).hitTokens


@pytest.mark.parametrize("capacity", [500, 2000, 6000])
def test_lru_and_the_optimum_agree_with_another_program_on_real_traffic(conversation, capacity):
    trace = Trace("beginning", conversation.block_size, conversation.requests[:4000])
    assert replay(trace, capacity).hit_blocks == simulated(trace, capacity, "lru")
    assert optimum(trace, capacity, bypass=True).hit_blocks == simulated(trace, capacity, "optimal")


@pytest.mark.parametrize("seed", [5, 6])
def test_lru_and_the_optimum_agree_with_another_program_on_a_workload(seed):
    trace = generate_workload(200, seed)
    capacity = trace.num_unique_blocks // 4
    assert replay(trace, capacity).hit_blocks == simulated(trace, capacity, "lru")
    assert optimum(trace, capacity, bypass=True).hit_blocks == simulated(trace, capacity, "optimal")


def test_fifo_agrees_with_another_program_where_nothing_is_continued():
    dice = random.Random(7)
    trace = trace_of(*([int(dice.paretovariate(0.6)) % 500] for _ in range(5000)))
    for capacity in (7, 50, 200):
        assert replay(trace, capacity, eviction="fifo").hit_blocks == simulated(trace, capacity, "fifo")


def test_fifo_hits_no_less_than_one_that_breaks_prefixes(conversation):
    """The other program's FIFO evicts a prefix's first block before the rest, which cannot be hit then."""
    trace = Trace("beginning", conversation.block_size, conversation.requests[:4000])
    for capacity in (500, 2000):
        assert replay(trace, capacity, eviction="fifo").hit_blocks >= simulated(trace, capacity, "fifo")
