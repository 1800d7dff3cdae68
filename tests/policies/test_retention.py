"""Priorities and times to live after registration, pins, and protection."""

from __future__ import annotations

import gc
import itertools
import random

import pytest

from kvpool import (
    EVICTION_POLICIES,
    BlockPool,
    EvictionMode,
    ForeignHandle,
    NotEnoughBlocksAvailable,
    PinLimitExceeded,
)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def filled(num_blocks, hashes, **options):
    """Return a pool whose cached blocks have these hashes, none the child of another, oldest first."""
    pool = BlockPool(num_blocks, **options)
    for sequence_hash in hashes:
        pool.register_blocks(pool.allocate_blocks(1), [sequence_hash]).release()
    return pool


def evicted_by(pool, n):
    blocks = pool.allocate_blocks(n)
    hashes = blocks.evicted.sequence_hashes.tolist()
    blocks.release()
    return hashes


@pytest.fixture(params=EVICTION_POLICIES)
def eviction(request):
    return request.param


def test_retained_blocks_go_after_the_others_under_every_policy(eviction):
    pool = filled(4, [1, 2, 3, 4], eviction=eviction)
    assert pool.retain([1, 2, 99], priority=60) == 2
    assert sorted(evicted_by(pool, 2)) == [3, 4]
    assert sorted(evicted_by(pool, 4)) == [1, 2]
    pool.check_invariants()


def test_demoted_blocks_go_first_under_every_policy(eviction):
    pool = filled(4, [1, 2, 3, 4], eviction=eviction)
    assert pool.demote([3]) == 1
    assert evicted_by(pool, 1) == [3]
    pool.check_invariants()


def test_expiry_demotes_and_does_not_delete(eviction):
    clock = Clock()
    pool = filled(3, [1, 2, 3], eviction=eviction, clock=clock)
    pool.retain([1], ttl=10)
    clock.now = 9.9
    assert 1 not in evicted_by(pool, 2)
    clock.now = 10
    assert pool.contains([1]).all()
    pool.register_blocks(pool.allocate_blocks(1), [4], priority=36).release()
    pool.register_blocks(pool.allocate_blocks(1), [5], priority=36).release()
    assert evicted_by(pool, 1) == [1]
    pool.check_invariants()


def test_a_range_of_a_sequence_can_be_retained():
    pool = BlockPool(8, block_size=2)
    request = pool.open_sequence(range(9))
    request.commit(9)
    hashes = request.sequence_hashes
    assert pool.retain(hashes[:2], priority=90) == 2
    request.release()
    assert evicted_by(pool, 6) == hashes[:1:-1].tolist()
    assert pool.contains(hashes[:2]).all()


def test_a_retained_block_keeps_its_ancestors_whatever_their_priority(eviction):
    pool = BlockPool(4, eviction=eviction)
    pool.register_blocks(pool.allocate_blocks(3), [1, 2, 3]).release()
    pool.demote([1])
    pool.retain([3], priority=80)
    assert evicted_by(pool, 2) == [3]
    pool.check_invariants()
    assert evicted_by(pool, 4) == ([2, 1] if eviction != "x" else [])


def test_a_held_block_can_be_retained():
    pool = filled(3, [1, 2, 3])
    held = pool.match_sequence_hashes([1])
    pool.retain([1], priority=50)
    held.release()
    assert evicted_by(pool, 2) == [2, 3]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "retain needs a priority, a ttl, or both"),
        ({"priority": 101}, ValueError, r"priority = 101 is not in \[0, 100\]"),
        ({"priority": -1}, ValueError, r"priority = -1 is not in \[0, 100\]"),
        ({"priority": 1.5}, TypeError, "priority must be an int, not float"),
        ({"ttl": 0}, ValueError, "ttl = 0 is not above 0 seconds"),
        ({"ttl": "5"}, TypeError, "ttl must be a number of seconds, not str"),
    ],
)
def test_bad_retention_is_refused(options, error, message):
    pool = filled(2, [1, 2])
    with pytest.raises(error, match=message):
        pool.retain([1], **options)
    assert evicted_by(pool, 1) == [1]


# Pins


def test_pinned_blocks_are_not_evicted(eviction):
    pool = filled(4, [1, 2, 3, 4], eviction=eviction)
    pin = pool.pin([1, 9, 3])
    assert len(pin) == 2
    assert pin.ids.tolist()[1] == -1
    assert sorted(evicted_by(pool, 2)) == [2, 4]
    with pytest.raises(NotEnoughBlocksAvailable, match=r"2 are available of 4; held by unnamed 2 pin"):
        pool.allocate_blocks(3)
    pin.release()
    assert sorted(evicted_by(pool, 4)) == [1, 3]
    pool.check_invariants()


def test_a_pin_over_the_cap_is_refused_with_who_holds_the_rest():
    pool = filled(10, range(1, 11), max_pinned_blocks=4)
    first = pool.pin([1, 2, 3], owner="system prompt")
    before = pool.status()
    with pytest.raises(PinLimitExceeded) as caught:
        pool.pin([3, 4, 5], owner="tools")
    assert (caught.value.wanted, caught.value.limit, caught.value.pinned) == (5, 4, 3)
    assert [(hold.owner, hold.blocks, hold.kind) for hold in caught.value.holders] == [("system prompt", 3, "pin")]
    assert (
        str(caught.value) == "5 blocks would be pinned, but at most 4 may be; 3 are, by 'system prompt' 3 pin (0.0 s)"
    )
    assert pool.status() == before
    second = pool.pin([3, 4])
    assert pool.status().pinned == 4
    del first, second
    assert pool.status().pinned == 0
    pool.check_invariants()


def test_what_a_pinned_block_continues_is_pinned_with_it():
    pool = BlockPool(8, max_pinned_blocks=2)
    pool.register_blocks(pool.allocate_blocks(3), [1, 2, 3]).release()
    with pytest.raises(PinLimitExceeded, match="3 blocks would be pinned, but at most 2 may be; 0 are"):
        pool.pin([3])
    pin = pool.pin([2])
    assert pool.status().pinned == 2
    pool.check_invariants()
    assert evicted_by(pool, 6) == [3]
    pool.unpin(pin)
    assert pin.released


def test_by_default_half_of_the_pool_can_be_pinned():
    assert BlockPool(9).max_pinned_blocks == 5
    assert BlockPool(9, max_pinned_blocks=0).max_pinned_blocks == 0


@pytest.mark.parametrize("order", list(itertools.permutations(["unpin", "release", "drop", "collect"])))
def test_a_pin_ends_once_in_whatever_order_it_is_ended(order):
    pool = filled(4, [1, 2])
    pin = pool.pin([1, 2])
    held = pool.match_sequence_hashes([1])
    for step in order:
        if step == "unpin" and pin is not None:
            pool.unpin(pin)
        elif step == "release" and pin is not None:
            pin.release()
        elif step == "drop":
            pin = None
        else:
            gc.collect()
        pool.check_invariants()
    assert pool.status().pinned == 0
    assert pool.status().active == 1
    del held
    assert pool.status().active == 0


def test_only_a_pin_of_the_pool_can_be_unpinned():
    pool = filled(2, [1])
    with pytest.raises(TypeError, match="pin must be a Pin, not ImmutableBlocks"):
        pool.unpin(pool.match_sequence_hashes([1]))
    with pytest.raises(ForeignHandle):
        pool.unpin(filled(2, [1]).pin([1]))


@pytest.mark.parametrize(("value", "error"), [(-1, ValueError), (5, ValueError), (1.5, TypeError)])
def test_a_bad_cap_is_refused(value, error):
    with pytest.raises(error, match="max_pinned_blocks"):
        BlockPool(4, max_pinned_blocks=value)


# Protection


def test_what_the_queue_will_match_goes_last(eviction):
    pool = filled(5, [1, 2, 3, 4, 5], eviction=eviction)
    pool.retain([5], priority=100)
    pool.protect([[1], [9], [3, 8]])
    assert pool.available_blocks == 5
    assert sorted(evicted_by(pool, 3)) == [2, 4, 5]
    pool.check_invariants()
    assert sorted(evicted_by(pool, 5)) == [1, 3]
    pool.check_invariants()


def test_protection_ends_with_the_next_call():
    pool = filled(4, [1, 2, 3, 4])
    pool.protect([[1], [2]])
    assert evicted_by(pool, 1) == [3]  # 1 and 2 were spared
    pool.protect([[2]])
    pool.check_invariants()
    assert evicted_by(pool, 2) == [1]
    pool.protect([])
    assert evicted_by(pool, 3) == [2]


def test_a_protected_block_that_is_matched_is_an_ordinary_one_again(eviction):
    pool = filled(3, [1, 2, 3], eviction=eviction)
    pool.protect([[1]])
    assert 1 not in evicted_by(pool, 1)
    pool.match_sequence_hashes([1]).release()
    pool.check_invariants()
    assert len(evicted_by(pool, 3)) == 2
    pool.check_invariants()


def test_protection_ends_with_a_match_before_its_turn():
    pool = filled(4, [1, 2])
    pool.protect([[1]])
    pool.match_sequence_hashes([1]).release()
    pool.register_blocks(pool.allocate_blocks(1), [3]).release()
    assert evicted_by(pool, 3) == [2, 1]
    assert pool.contains([3]).all()


def test_spared_blocks_go_in_the_order_of_their_turns_when_protection_ends(eviction):
    pool = filled(6, [1, 2, 3, 4, 5], eviction=eviction)
    pool.retain([1, 2, 3, 4], priority=20)
    pool.protect([[4], [3], [1], [2]])
    assert evicted_by(pool, 2) == [5]
    pool.protect([])
    assert evicted_by(pool, 6) == [1, 2, 3, 4]
    pool.check_invariants()


def test_a_pin_of_nothing_was_not_released():
    pool = filled(3, [1, 2, 3])
    pin = pool.pin([7])
    assert (len(pin), pin.released) == (0, False)
    pin.release()
    assert not pin.released


def test_a_protected_block_can_be_retained_and_demoted():
    pool = filled(3, [1, 2, 3])
    pool.protect([[1]])
    assert evicted_by(pool, 1) == [2]
    pool.demote([1])
    pool.check_invariants()
    pool.protect([])
    pool.register_blocks(pool.allocate_blocks(1), [4]).release()
    assert evicted_by(pool, 1) == [1]


def test_a_bad_prompt_is_refused_and_the_protection_stays():
    pool = filled(3, [1, 2, 3])
    pool.protect([[1]])
    with pytest.raises(TypeError, match=r"prompts\[1\]"):
        pool.protect([[2], "no"])
    assert evicted_by(pool, 1) == [2]


@pytest.mark.parametrize("duplicates", ["share", "keep"])
def test_a_random_history_of_all_of_it_leaves_the_pool_whole(eviction, duplicates):
    dice = random.Random(f"{eviction}/{duplicates}")
    clock = Clock()
    pool = BlockPool(32, eviction=eviction, duplicates=duplicates, clock=clock, ghost_factor=1, max_pinned_blocks=10)
    held: list = []
    for _ in range(1200):
        clock.now += dice.choice((0, 0, 0.5, 30))
        family = dice.randrange(8) * 100
        hashes = [family + i + (10 * dice.randrange(3) if i > 3 else 0) for i in range(1, dice.randrange(2, 8))]
        step = dice.randrange(12)
        if step < 4:
            cached = pool.match_sequence_hashes(hashes)
            if len(hashes) - len(cached) <= pool.available_blocks:
                fresh = pool.allocate_blocks(len(hashes) - len(cached))
                held.append(pool.register_blocks(fresh, hashes[len(cached) :], parent=cached))
            held.append(cached)
        elif step == 4:
            pool.retain(hashes, priority=dice.randrange(101), ttl=dice.choice((None, 1, 50)))
        elif step == 5:
            pool.demote(hashes[2:])
        elif step == 6:
            try:
                held.append(pool.pin(hashes))
            except PinLimitExceeded:
                assert pool.status().pinned <= 10
        elif step == 7:
            pool.protect([hashes, [f + 1 for f in range(0, 800, 100) if dice.random() < 0.3]])
        elif step == 8:
            pool.evict_ahead(dice.randrange(12))
        elif step == 9 and dice.random() < 0.3:
            pool.trigger_eviction(dice.choice(list(EvictionMode)))
        elif step == 10 and dice.random() < 0.3:
            pool.reset_blocks(hashes[2:])
        else:
            pool.touch(hashes)
        while len(held) > dice.randrange(9):
            held.pop(dice.randrange(len(held))).release()
        pool.check_invariants()
    held.clear()
    cached = None
    assert pool.available_blocks == 32
    assert pool.status().pinned == 0
