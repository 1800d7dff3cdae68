"""The rules of DESIGN.md, section 3, one by one, with the ids that they give."""

import copy
from itertools import permutations

import pytest

from kvpool.errors import CorruptionError, NotEnoughBlocksAvailable, ResetError
from kvpool.testing import ModelPool, check_model
from kvpool.types import EvictionReason, PoolEvent, PoolEventKind

SECOND = 1_000_000_000
AVAILABLE, ALLOCATED, ACTIVE, RETURNED = 1, 2, 4, 8


def filled(pool, *hashes, **named):
    """Allocate and register; returns the ids that are held now."""
    return pool.register(pool.allocate(len(hashes), 0)[0], hashes, **named)


def cached(pool, *hashes, **named):
    """Allocate, register and let go."""
    ids = filled(pool, *hashes, **named)
    pool.release(ids)
    return ids


def eviction_order(pool, now=0):
    """Ids in the order in which everything that is cached would be evicted."""
    twin = copy.deepcopy(pool)
    ids, evicted = twin.allocate(twin.available, now)
    check_model(twin)
    assert [block_id for _, block_id in evicted] == ids[len(ids) - len(evicted) :]
    return [block_id for _, block_id in evicted]


def parent_hashes(pool):
    """Parent hash of each hash that was stored."""
    return {event.sequence_hash: event.parent_hash for event in pool.events if event.kind == PoolEventKind.STORED}


def test_empty_blocks_come_out_from_zero_upwards():
    assert ModelPool(4).allocate(3, 0) == ([0, 1, 2], [])


def test_blocks_given_back_come_out_first_and_in_their_order():
    pool = ModelPool(6)
    first, _ = pool.allocate(2, 0)
    second, _ = pool.allocate(2, 0)
    pool.release_mutable(first)
    pool.release_mutable(second)
    assert pool.allocate(6, 0)[0] == [2, 3, 0, 1, 4, 5]


def test_a_held_block_holds_its_ancestors():
    pool = ModelPool(3)
    prefix = filled(pool, 10, 11)
    filled(pool, 12, parent=11)
    pool.release(prefix)
    assert pool.snapshot()[0] == bytes([ACTIVE, ACTIVE, ACTIVE])
    assert pool.available == 0
    check_model(pool)


def test_a_continuation_lets_go_of_its_ancestors_when_it_is_released():
    pool = ModelPool(3)
    prefix, rest = filled(pool, 10, 11), filled(pool, 12, parent=11)
    pool.release(prefix)
    pool.release(rest)
    assert pool.snapshot()[0] == bytes([RETURNED, RETURNED, RETURNED])


def test_the_order_does_not_depend_on_which_handle_of_a_lineage_is_dropped_first():
    for order in permutations(range(3)):
        pool = ModelPool(4)
        handles = [filled(pool, 10), filled(pool, 11, 12, parent=10), filled(pool, 13, parent=12)]
        for i in order:
            pool.release(handles[i])
        assert eviction_order(pool) == [3, 2, 1, 0]


def test_an_inactive_block_that_is_acquired_acquires_its_parent():
    pool = ModelPool(3)
    cached(pool, 10, 11, 12)
    assert pool.match_scattered([12]) == [2]
    assert pool.snapshot()[0] == bytes([ACTIVE, ACTIVE, ACTIVE])
    assert [block.refs for block in pool.blocks] == [1, 1, 1]


def test_each_hash_is_the_child_of_the_one_before_it():
    pool = ModelPool(4)
    filled(pool, 10, 11, 12)
    filled(pool, 13, parent=11)
    assert parent_hashes(pool) == {10: None, 11: 10, 12: 11, 13: 11}


def test_a_parent_that_is_not_registered_is_no_parent():
    pool = ModelPool(2)
    filled(pool, 10, parent=99)
    filled(pool, 11, parent=11)
    assert parent_hashes(pool) == {10: None, 11: None}


def test_a_registered_hash_keeps_its_parent():
    pool = ModelPool(4)
    filled(pool, 10, 11)
    filled(pool, 11, parent=10)
    filled(pool, 12, 10)
    assert [block.parent for block in pool.blocks] == [None, 0, None, None]


def test_blocks_with_tokens_know_their_parents_whatever_their_order():
    pool = ModelPool(3)
    pool.register(pool.allocate(3, 0)[0], [10, 20, 11], parents=[None, 5, 10])
    assert parent_hashes(pool) == {10: None, 20: None, 11: 10}


def test_a_match_that_missed_tells_the_parent_of_the_hash_it_missed():
    pool = ModelPool(3)
    cached(pool, 10)
    pool.release(pool.match([10, 11, 12]))
    filled(pool, 11)
    filled(pool, 12)
    assert parent_hashes(pool) == {10: None, 11: 10, 12: None}


def test_a_parent_that_is_given_counts_more_than_a_hint():
    pool = ModelPool(3)
    cached(pool, 9, 10)
    pool.release(pool.match([10, 11]))
    filled(pool, 11, parent=9)
    assert parent_hashes(pool)[11] == 9


def test_a_match_without_a_hit_leaves_no_hint():
    pool = ModelPool(2)
    pool.match([10, 11])
    filled(pool, 10)
    filled(pool, 11)
    assert parent_hashes(pool) == {10: None, 11: None}


def test_a_hint_makes_room_for_a_newer_one_in_its_place():
    pool = ModelPool(4)
    cached(pool, 10)
    pool.match([10, 11])
    pool.match([10, 11 + 64])
    filled(pool, 11)
    filled(pool, 11 + 64)
    assert parent_hashes(pool) == {10: None, 11: None, 11 + 64: 10}


@pytest.mark.parametrize(("num_blocks", "num_hints"), [(1, 64), (256, 64), (1024, 256), (1025, 512), (100_000, 4096)])
def test_the_number_of_hints_is_a_power_of_two_that_follows_the_number_of_blocks(num_blocks, num_hints):
    assert ModelPool(num_blocks).num_hints == num_hints


def test_blocks_of_a_handle_are_evicted_last_to_first():
    pool = ModelPool(4)
    cached(pool, 10, 11, 12, 13)
    assert eviction_order(pool) == [3, 2, 1, 0]


def test_blocks_without_lineage_go_in_the_order_in_which_they_were_released():
    pool = ModelPool(3)
    for sequence_hash in (10, 11, 12):
        cached(pool, sequence_hash)
    pool.release(pool.match_scattered([10]))
    assert eviction_order(pool) == [1, 2, 0]


def test_the_lowest_level_goes_first_and_the_default_is_35():
    pool = ModelPool(5)
    for sequence_hash, priority in ((10, 100), (11, None), (12, 0), (13, 36), (14, 34)):
        cached(pool, sequence_hash, priority=priority)
    assert eviction_order(pool) == [2, 4, 1, 3, 0]


def test_a_block_is_never_evicted_before_its_cached_children():
    pool = ModelPool(3)
    cached(pool, 10, priority=0)
    cached(pool, 11, parent=10, priority=50)
    cached(pool, 12, priority=10)
    assert eviction_order(pool) == [2, 1, 0]


def test_a_parked_block_is_still_cached():
    pool = ModelPool(3)
    cached(pool, 10, priority=0)
    cached(pool, 11, parent=10)
    cached(pool, 12, priority=10)
    assert pool.allocate(1, 0) == ([2], [(12, 2)])
    assert pool.blocks[0].is_parked
    check_model(pool)
    assert pool.match([10]) == [0]
    assert not pool.blocks[0].is_parked


def test_a_parked_block_becomes_the_oldest_of_its_level_when_its_last_child_goes():
    pool = ModelPool(4)
    cached(pool, 10, priority=0)
    cached(pool, 11, parent=10)
    cached(pool, 12, priority=0)
    cached(pool, 13, priority=0)
    pool.release(pool.match_scattered([10]))
    pool.touch([12, 13])
    assert pool.levels[0] == [0, 3, 2]
    assert pool.allocate(1, 0)[0] == [3]
    pool.reset_blocks([11])
    assert pool.levels[0] == [0, 2]


def test_a_ttl_alone_means_level_100_and_later_the_newest_of_level_35():
    pool = ModelPool(3)
    cached(pool, 10, ttl=2.0, now=SECOND)
    cached(pool, 11)
    cached(pool, 12, priority=99)
    assert eviction_order(pool, now=3 * SECOND - 1) == [1, 2, 0]
    assert eviction_order(pool, now=3 * SECOND) == [1, 0, 2]


def test_blocks_expire_in_the_order_of_expiry_and_then_id():
    pool = ModelPool(3)
    cached(pool, 10, ttl=2.0)
    cached(pool, 11, ttl=1.0)
    cached(pool, 12, ttl=1.0)
    assert eviction_order(pool, now=2 * SECOND) == [1, 2, 0]


def test_expiry_leaves_low_levels_as_they_are():
    pool = ModelPool(3)
    cached(pool, 10, priority=35, ttl=1.0)
    cached(pool, 11)
    cached(pool, 12, priority=3, ttl=1.0)
    assert eviction_order(pool, now=SECOND) == [2, 0, 1]


def test_a_held_block_expires_without_entering_a_list():
    pool = ModelPool(3)
    held = filled(pool, 10, ttl=1.0)
    cached(pool, 11)
    cached(pool, 12)
    pool.allocate(1, SECOND)
    assert (pool.blocks[0].level, pool.blocks[0].expiry) == (35, float("inf"))
    pool.release(held)
    assert eviction_order(pool) == [2, 0]


def test_a_parked_block_expires_and_returns_to_its_new_level():
    pool = ModelPool(3)
    cached(pool, 10, priority=36, ttl=1.0)
    cached(pool, 11, parent=10, priority=50)
    cached(pool, 12, priority=40)
    assert pool.allocate(1, 0)[0] == [2]
    assert pool.blocks[0].is_parked
    assert pool.allocate(2, SECOND) == ([1, 0], [(11, 1), (10, 0)])


def test_expiry_is_looked_at_only_when_a_block_must_be_evicted():
    pool = ModelPool(2)
    cached(pool, 10, ttl=1.0)
    pool.release_mutable(pool.allocate(1, 5 * SECOND)[0])
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate(3, 5 * SECOND)
    assert pool.blocks[0].level == 100
    pool.allocate(2, 5 * SECOND)
    assert pool.snapshot()[1].evictions == 1


def test_empty_blocks_go_before_cached_ones():
    pool = ModelPool(4)
    cached(pool, 10, 11)
    assert pool.allocate(3, 0) == ([2, 3, 1], [(11, 1)])


def test_a_failed_allocation_changes_nothing_and_says_the_numbers():
    pool = ModelPool(3)
    cached(pool, 10, ttl=1.0)
    pool.allocate(1, 0)
    before = copy.deepcopy(vars(pool))
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate(3, 2 * SECOND)
    assert (caught.value.requested, caught.value.available) == (3, 2)
    assert vars(pool) == before


def test_a_shared_duplicate_is_replaced_by_the_block_that_was_first():
    pool = ModelPool(6)
    cached(pool, 10, 11)
    ids = pool.allocate(4, 0)[0]
    assert ids == [2, 3, 4, 5]
    assert pool.register(ids, [10, 12, 11, 12]) == [0, 3, 1, 3]
    assert pool.blocks[3].refs == 2
    assert pool.allocate(3, 0)[0] == [2, 4, 5]
    assert pool.snapshot()[1].duplicates == 3
    check_model(pool)


def test_a_shared_duplicate_gets_the_larger_retention():
    pool = ModelPool(3)
    held = filled(pool, 10, priority=50)
    for retention, expected in (
        ({}, (50, float("inf"))),
        ({"priority": 40}, (50, float("inf"))),
        ({"priority": 50, "ttl": 1.0}, (50, float("inf"))),
        ({"priority": 60, "ttl": 2.0}, (60, 2 * SECOND)),
        ({"priority": 60, "ttl": 1.0}, (60, 2 * SECOND)),
        ({"priority": 60, "ttl": 3.0}, (60, 3 * SECOND)),
        ({"ttl": 1.0}, (100, SECOND)),
        ({"priority": 100}, (100, float("inf"))),
    ):
        pool.release(filled(pool, 10, **retention))
        assert (pool.blocks[0].level, pool.blocks[0].expiry) == expected
    pool.release(held)


def test_a_registration_without_retention_does_not_lift_a_low_level():
    pool = ModelPool(2)
    cached(pool, 10, priority=3)
    cached(pool, 10)
    assert pool.blocks[0].level == 3
    cached(pool, 10, priority=35)
    assert pool.blocks[0].level == 35


def test_a_kept_duplicate_is_a_block_of_its_own():
    pool = ModelPool(4, duplicates="keep")
    assert filled(pool, 10, 10) == [0, 1]
    assert filled(pool, 10, priority=0) == [2]
    assert pool.registry == {10: [0, 1, 2]}
    assert [block.level for block in pool.blocks[:3]] == [35, 35, 0]
    assert pool.snapshot()[1].duplicates == 2
    check_model(pool)


def test_the_oldest_copy_is_matched_and_has_the_children():
    pool = ModelPool(4, duplicates="keep")
    filled(pool, 10)
    filled(pool, 10, 11)
    filled(pool, 12, parent=10)
    assert pool.match([10]) == [0]
    assert [block.parent for block in pool.blocks] == [None, None, 0, 0]


def test_the_next_oldest_copy_follows_and_the_hash_leaves_with_the_last():
    pool = ModelPool(3, duplicates="keep")
    for _ in range(3):
        cached(pool, 10)
    first, _ = pool.allocate(1, 0)
    assert first == [0]
    assert pool.registry == {10: [1, 2]}
    held = pool.match([10])
    assert held == [1]
    pool.release(held)
    pool.allocate(2, 0)
    assert pool.registry == {}
    assert pool.events == [
        PoolEvent(0, PoolEventKind.STORED, 10, None, 0, None),
        PoolEvent(1, PoolEventKind.REMOVED, 10, None, 1, EvictionReason.CAPACITY),
    ]


def test_a_match_stops_at_the_first_miss():
    pool = ModelPool(4)
    cached(pool, 10, 11)
    cached(pool, 13)
    assert pool.match([10, 11, 12, 13]) == [0, 1]
    assert pool.snapshot()[0] == bytes([ACTIVE, ACTIVE, RETURNED, AVAILABLE])


def test_a_scattered_match_goes_on_and_leaves_no_hint():
    pool = ModelPool(4)
    cached(pool, 10)
    cached(pool, 12)
    assert pool.match_scattered([10, 11, 12, 10]) == [0, -1, 1, 0]
    assert [block.refs for block in pool.blocks] == [2, 1, 0, 0]
    assert pool.hints == {}


def test_contains_and_match_lengths_take_and_leave_nothing():
    pool = ModelPool(3)
    cached(pool, 10, 11)
    before = copy.deepcopy(vars(pool))
    assert pool.contains([10, 12, 11]) == [True, False, True]
    assert pool.match_lengths([[10, 11, 12], [12, 10], [], [11]]) == [2, 0, 0, 1]
    assert vars(pool) == before


def test_a_touch_makes_blocks_the_newest_last_to_first():
    pool = ModelPool(4)
    for sequence_hash in (10, 11, 12, 13):
        cached(pool, sequence_hash)
    assert pool.touch([11, 99, 10, 11]) == 3
    assert eviction_order(pool) == [2, 3, 0, 1]
    check_model(pool)


def test_reset_blocks_tells_what_is_unknown_and_what_is_held():
    pool = ModelPool(4, duplicates="keep")
    cached(pool, 10)
    cached(pool, 11)
    filled(pool, 11)
    assert pool.reset_blocks([99, 11, 10, 98]) == ([(10, 0)], [99, 98], [11])


def test_reset_blocks_takes_the_descendants_along_in_ascending_order_of_id():
    pool = ModelPool(5)
    assert pool.allocate(5, 0)[0] == [0, 1, 2, 3, 4]
    pool.release(pool.register([4, 2, 3], [10, 11, 12]))
    pool.release(pool.register([0], [13], parent=11))
    pool.release(pool.register([1], [14], parent=10))
    assert pool.reset_blocks([11, 12, 11]) == ([(13, 0), (11, 2), (12, 3)], [], [])
    assert pool.allocate(3, 0)[0] == [3, 2, 0]
    assert pool.contains([10, 14]) == [True, True]
    check_model(pool)


def test_reset_blocks_takes_every_copy_and_what_continues_any():
    pool = ModelPool(4, duplicates="keep")
    cached(pool, 10, 11)
    cached(pool, 10)
    assert pool.reset_blocks([10])[0] == [(10, 0), (11, 1), (10, 2)]
    assert [event.block_id for event in pool.events if event.kind == PoolEventKind.REMOVED] == [1, 2]


def test_reset_fails_while_a_block_is_held_and_changes_nothing():
    pool = ModelPool(3)
    cached(pool, 10)
    pool.allocate(1, 0)
    before = copy.deepcopy(vars(pool))
    with pytest.raises(ResetError):
        pool.reset()
    assert vars(pool) == before


def test_reset_makes_the_empty_stack_as_in_the_beginning():
    pool = ModelPool(4)
    cached(pool, 10, 11)
    pool.match([99])
    pool.release_mutable(pool.allocate(2, 0)[0])
    cached(pool, 12)
    assert pool.reset() == [(10, 0), (11, 1), (12, 2)]
    assert pool.allocate(4, 0)[0] == [0, 1, 2, 3]
    assert pool.events[-1] == PoolEvent(3, PoolEventKind.CLEARED, None, None, None, EvictionReason.RESET)
    assert pool.snapshot()[1].resets == 3


def test_reset_forgets_hints():
    pool = ModelPool(2)
    cached(pool, 10)
    pool.release(pool.match([10, 11]))
    pool.reset()
    filled(pool, 10)
    filled(pool, 11)
    assert parent_hashes(pool) == {10: None, 11: None}


def test_a_weak_handle_is_upgraded_while_generation_and_hash_are_unchanged():
    pool = ModelPool(1)
    cached(pool, 10)
    assert pool.upgrade(0, 1, 10)
    pool.release([0])
    pool.reset()
    assert not pool.upgrade(0, 1, 10)
    cached(pool, 10)
    assert not pool.upgrade(0, 1, 10)
    assert pool.upgrade(0, 2, 10)
    assert not pool.upgrade(0, 2, 11)


def test_events_are_numbered_in_the_order_in_which_things_happened():
    pool = ModelPool(2)
    cached(pool, 10, 11)
    filled(pool, 12, parent=10)
    assert pool.events == [
        PoolEvent(0, PoolEventKind.STORED, 10, None, 0, None),
        PoolEvent(1, PoolEventKind.STORED, 11, 10, 1, None),
        PoolEvent(2, PoolEventKind.REMOVED, 11, None, 1, EvictionReason.CAPACITY),
        PoolEvent(3, PoolEventKind.STORED, 12, 10, 1, None),
    ]


def test_a_status_counts_blocks_and_what_was_done():
    pool = ModelPool(5)
    cached(pool, 10, 11)
    pool.match([10, 12])
    pool.match_scattered([11, 13, 10])
    pool.touch([10])
    pool.allocate(2, 0)
    counts = pool.snapshot()[1]
    assert counts[:7] == (5, 1, 0, 4, 1, 2, 2)
    assert counts[7:] == (4, 4, 0, 2, 0, 2, 1, 3, 2, 1, 0, 0, 0, 0, 0, 0)


def test_a_contradiction_in_the_model_is_noticed():
    pool = ModelPool(2)
    cached(pool, 10)
    pool.levels[35].append(1)
    with pytest.raises(CorruptionError, match="one place"):
        check_model(pool)
