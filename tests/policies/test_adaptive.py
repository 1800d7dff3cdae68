"""The adaptive policy keeps what will be used again: the hit ratios that it must reach on real traffic."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from kvpool import BlockPool, NotEnoughBlocksAvailable
from kvpool.replay import Trace, read_trace

NAME = "conversation_trace.jsonl"
PLACES = [os.environ.get("KVPOOL_TRACES", ""), str(Path(__file__).parents[3] / "shared" / "traces")]
LRU = {854: 4.58, 1708: 5.44, 3417: 8.01, 8544: 20.22, 17089: 28.82, 34179: 35.85, 68359: 37.55}


@pytest.fixture(scope="module")
def trace() -> Trace:
    for place in PLACES:
        if place and (Path(place) / NAME).exists():
            return read_trace(Path(place) / NAME)
    pytest.skip(f"{NAME} is not here; name its folder in KVPOOL_TRACES")


def hit_percent(trace, capacity, hints=None, **options):
    """Hit ratio of a pool whose requests give their blocks back at once, with a hint for each if there are any."""
    now = 0.0
    pool = BlockPool(capacity, trace.block_size, clock=lambda: now, eviction="adaptive", **options)
    hits = 0
    for number, request in enumerate(trace.requests):
        now = request.arrival
        hashes = request.hashes[:capacity]
        cached = pool.match_sequence_hashes(hashes)
        filled = pool.register_blocks(
            pool.allocate_blocks(len(hashes) - len(cached)), hashes[len(cached) :], parent=cached
        )
        hits += len(cached)
        hint = None if hints is None else hints[number]
        filled.release(reuse_hint=hint)
        cached.release(reuse_hint=hint)
    pool.check_invariants()
    return 100 * hits / trace.num_blocks


def continued(trace):
    """Whether the last full block of each request is asked for again."""
    later: set[int] = set()
    result = []
    for request in reversed(trace.requests):
        result.append(len(request.hashes) > 0 and int(request.hashes[-1]) in later)
        later.update(request.hashes.tolist())
    return result[::-1]


@pytest.mark.parametrize(("capacity", "percent"), [(1708, 10.53), (3417, 14.73), (8544, 22.24), (17089, 30.20)])
def test_small_pools_hit_far_more_often_than_under_lru(trace, capacity, percent):
    assert hit_percent(trace, capacity) >= percent


@pytest.mark.parametrize("capacity", LRU)
def test_no_pool_hits_half_a_point_less_than_under_lru(trace, capacity):
    assert hit_percent(trace, capacity) >= LRU[capacity] - 0.5


@pytest.mark.parametrize(("capacity", "percent"), [(3417, 17.4), (8544, 27.2), (17089, 33.0)])
def test_hints_that_are_mostly_right_are_worth_points(trace, capacity, percent):
    dice = random.Random(1)
    hints = [int(bit ^ (dice.random() < 0.2)) for bit in continued(trace)]
    assert hit_percent(trace, capacity, hints) >= percent


def test_hints_at_random_cost_less_than_a_point(trace):
    dice = random.Random(2)
    hints = [dice.randrange(2) for _ in trace.requests]
    assert hit_percent(trace, 8544, hints) >= hit_percent(trace, 8544) - 1


def test_the_meaning_of_a_hint_is_learned(trace):
    told = [3 - 2 * bit for bit in continued(trace)]  # 3: will not be continued
    assert hit_percent(trace, 8544, told) >= 27.2


def test_one_seed_has_one_history(trace):
    assert hit_percent(trace, 1708) == hit_percent(trace, 1708)


def test_a_memory_of_fewer_ghosts_hits_less_often(trace):
    assert hit_percent(trace, 3417, ghost_factor=1) < hit_percent(trace, 3417, ghost_factor=4)


@pytest.mark.parametrize("hint", [4, -1, 2**40])
def test_a_hint_out_of_range_is_refused_and_nothing_is_released(hint):
    pool = BlockPool(4, eviction="adaptive")
    blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
    with pytest.raises(ValueError, match=rf"reuse_hint = {hint} is not in \[0, 3\]"):
        blocks.release(reuse_hint=hint)
    assert not blocks.released
    assert pool.status().active == 2


@pytest.mark.parametrize("hint", [0.5, "1", [1]])
def test_a_hint_that_is_no_int_is_refused(hint):
    pool = BlockPool(4)
    blocks = pool.allocate_blocks(1)
    with pytest.raises(TypeError, match="reuse_hint must be an int"):
        blocks.release(reuse_hint=hint)
    assert not blocks.released


def test_hints_are_taken_by_every_handle_and_by_sequences():
    pool = BlockPool(8, block_size=2, eviction="adaptive")
    blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
    pool.match_scattered([2, 9]).release(reuse_hint=2)
    blocks[0].release(reuse_hint=np.int64(1))
    blocks.release(reuse_hint=True)
    pool.allocate_blocks(1).release(reuse_hint=3)
    pool.open_sequence([1, 2, 3]).release(reuse_hint=1)
    assert pool.available_blocks == 8
    pool.check_invariants()


def test_without_a_clock_that_moves_the_oldest_goes_first():
    pool = BlockPool(4, eviction="adaptive", clock=lambda: 0.0)
    for sequence_hash in range(1, 5):
        pool.register_blocks(pool.allocate_blocks(1), [sequence_hash]).release()
    pool.match_sequence_hashes([1]).release()
    assert pool.allocate_blocks(2).evicted.sequence_hashes.tolist() == [2, 3]


@pytest.mark.parametrize("duplicates", ["share", "keep"])
def test_a_random_history_leaves_the_pool_whole(duplicates):
    dice = random.Random(duplicates)
    now = 0.0
    pool = BlockPool(40, eviction="adaptive", ghost_factor=1, duplicates=duplicates, clock=lambda: now)
    held: list = []
    for step in range(4000):
        now += dice.choice((0, 0.001, 1, 60))
        start = dice.randrange(30) * 100
        hashes = list(range(start + 1, start + 1 + dice.randrange(1, 9)))
        cached = pool.match_sequence_hashes(hashes)
        try:
            fresh = pool.allocate_blocks(len(hashes) - len(cached))
        except NotEnoughBlocksAvailable:
            fresh = None
        if fresh is not None:
            level = dice.choice((None, None, None, 0, 80))
            ttl = dice.choice((None, None, 5))
            held.append(pool.register_blocks(fresh, hashes[len(cached) :], parent=cached, priority=level, ttl=ttl))
        held.append(cached)
        while len(held) > dice.randrange(8):
            held.pop(dice.randrange(len(held))).release(reuse_hint=dice.randrange(4))
        if dice.random() < 0.05:
            pool.touch(hashes)
        if dice.random() < 0.02:
            pool.reset_blocks(hashes[1:])
        if dice.random() < 0.003:
            held.clear()
            cached.release()
            pool.reset()
        if step % 10 == 0:
            pool.check_invariants()
