import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvpool import BlockPool, BlockState


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_a_sequence_goes_tail_first_whatever_the_order_of_drops(pool, store, evict_all, order):
    handles = [store(pool, [1]), *(store(pool, [h], parent=h - 1) for h in (2, 3, 4))]
    for i in order:
        handles[i].release()
        pool.check_invariants()
    assert evict_all(pool) == [4, 3, 2, 1]


def test_cached_blocks_dropped_before_what_continues_them_go_last(pool, store, evict_all):
    store(pool, [1, 2])
    cached = pool.match_sequence_hashes([1, 2, 3, 4])
    filled = store(pool, [3, 4])
    del cached
    del filled
    assert evict_all(pool) == [4, 3, 2, 1]


def test_the_least_recently_used_sequence_goes_first(pool, store, evict_all):
    store(pool, [1, 2])
    store(pool, [11, 12])
    del_me = pool.match_sequence_hashes([1, 2])
    del del_me
    assert evict_all(pool) == [12, 11, 2, 1]


def test_a_held_block_holds_its_ancestors(pool, store):
    handle = store(pool, [1, 2, 3])
    last = handle[2]
    handle.release()
    assert pool.status().active == 3
    assert pool.allocate_blocks(13).evicted.num_blocks == 0
    assert pool.available_blocks == 13
    last.release()
    assert pool.available_blocks == 16


def test_ancestors_held_through_a_descendant_are_active(pool, store):
    handle = store(pool, [1, 2])
    tail = handle[1]
    handle.release()
    assert [pool.block_state(i) for i in (0, 1)] == [BlockState.ACTIVE] * 2
    assert pool.status().immutable == 2
    assert sum(hold.blocks for hold in pool.outstanding()) == 1
    del tail


def test_a_match_of_a_middle_block_holds_what_is_before_but_not_what_is_after(pool, store):
    store(pool, [1, 2, 3, 4])
    middle = pool.match_scattered([3])
    assert (pool.status().active, pool.status().cached) == (3, 1)
    del middle


def test_a_shared_prefix_outlives_all_that_continues_it(pool, store, evict_all):
    store(pool, [1, 2])
    store(pool, [11, 12], parent=2)
    store(pool, [21, 22], parent=2)
    order = evict_all(pool)
    assert order == [12, 11, 22, 21, 2, 1]


def test_a_block_whose_turn_comes_before_its_descendants_is_parked_and_goes_right_after_them(pool, store, evict_all):
    store(pool, [1], priority=0)
    store(pool, [2], parent=1, priority=90)
    store(pool, [5], priority=50)
    taken = pool.allocate_blocks(14)
    assert taken.evicted.sequence_hashes.tolist() == [5]
    pool.check_invariants()
    assert pool.block_state(0) is BlockState.RETURNED
    taken.release()
    assert pool.contains([1, 2]).all()
    assert evict_all(pool) == [2, 1]


def test_a_parked_block_can_be_matched_and_queues_again(pool, store, evict_all):
    store(pool, [1], priority=0)
    store(pool, [2], parent=1, priority=90)
    store(pool, [5], priority=50)
    pool.allocate_blocks(14).release()
    found = pool.match_sequence_hashes([1, 2])
    pool.check_invariants()
    assert found.sequence_hashes.tolist() == [1, 2]
    del found
    assert evict_all(pool) == [2, 1]


def test_lower_priorities_go_first_and_the_default_is_35(pool, store, evict_all):
    for h, priority in ((1, 100), (2, 36), (3, None), (4, 34), (5, 0)):
        store(pool, [h], priority=priority)
    assert evict_all(pool) == [5, 4, 3, 2, 1]


def test_within_a_priority_the_oldest_goes_first(pool, store, evict_all):
    for h in (3, 1, 2):
        store(pool, [h], priority=70)
    assert evict_all(pool) == [3, 1, 2]


@pytest.mark.parametrize("priority", range(0, 101, 5))
def test_every_priority_keeps_a_prefix_before_its_continuation(pool, store, evict_all, priority):
    store(pool, [1, 2], priority=priority)
    store(pool, [3, 4], parent=2, priority=100 - priority)
    order = evict_all(pool)
    assert order.index(4) < order.index(3) < order.index(2) < order.index(1)


def test_a_time_to_live_alone_is_the_highest_priority_until_it_ends(pool, store, clock):
    store(pool, [1], ttl=10)
    store(pool, [2], priority=99)
    assert pool.allocate_blocks(15).evicted.sequence_hashes.tolist() == [2]
    store(pool, [3], priority=99)
    clock.seconds = 10.0
    assert pool.allocate_blocks(15).evicted.sequence_hashes.tolist() == [1]


def test_expiry_demotes_and_does_not_delete(pool, store, clock):
    store(pool, [1], ttl=1)
    clock.seconds = 1000.0
    assert pool.contains([1]).all()
    assert len(pool.match_sequence_hashes([1])) == 1


def test_an_expired_block_becomes_the_newest_of_the_default_priority(pool, store, clock, evict_all):
    store(pool, [1], ttl=1)
    store(pool, [2])
    store(pool, [3], priority=80, ttl=1)
    store(pool, [4], priority=36)
    clock.seconds = 1.0
    assert evict_all(pool) == [2, 1, 3, 4]


def test_blocks_expire_in_the_order_of_their_ends(pool, store, clock, evict_all):
    store(pool, [1], ttl=30)
    store(pool, [2], ttl=10)
    store(pool, [3], ttl=20)
    clock.seconds = 30.0
    assert evict_all(pool) == [2, 3, 1]


def test_expiry_leaves_a_priority_below_the_default_alone(pool, store, clock, evict_all):
    store(pool, [1], priority=10, ttl=1)
    store(pool, [2], priority=5)
    clock.seconds = 5.0
    assert evict_all(pool) == [2, 1]


def test_a_block_that_expires_while_it_is_held_is_demoted_as_well(pool, store, clock, evict_all):
    held = store(pool, [1], ttl=1)
    clock.seconds = 2.0
    store(pool, [2])
    store(pool, [3], priority=40)
    pool.allocate_blocks(14)
    assert not pool.contains([2]).any()
    held.release()
    assert evict_all(pool) == [1, 3]


def test_registering_again_raises_the_retention_and_never_lowers_it(pool, store, evict_all):
    store(pool, [1], priority=50)
    store(pool, [2], priority=60)
    store(pool, [1], priority=70)
    store(pool, [2], priority=10)
    store(pool, [3], priority=65)
    assert evict_all(pool) == [2, 3, 1]


def test_registering_again_without_retention_keeps_it(pool, store, evict_all):
    store(pool, [1], priority=90)
    store(pool, [2], priority=50)
    store(pool, [1])
    assert evict_all(pool) == [2, 1]


def test_no_end_counts_as_later_than_any(pool, store, clock, evict_all):
    store(pool, [1], ttl=5)
    store(pool, [1], priority=100)
    store(pool, [2], priority=100)
    store(pool, [2], ttl=5)
    store(pool, [3], priority=50)
    clock.seconds = 100.0
    assert evict_all(pool) == [3, 1, 2]


def test_a_time_to_live_without_end_never_ends(pool, store, clock, evict_all):
    store(pool, [1], ttl=float("inf"))
    store(pool, [2], ttl=1e9)
    clock.seconds = 8e9
    assert evict_all(pool) == [2, 1]


def test_retention_goes_with_the_identity(pool, store, evict_all):
    store(pool, [1], priority=100, ttl=1000)
    assert evict_all(pool) == [1]
    store(pool, [2])
    store(pool, [3], priority=36)
    assert evict_all(pool) == [2, 3]


def test_the_clock_going_back_is_harmless(pool, store, clock, evict_all):
    clock.seconds = 100.0
    store(pool, [1], ttl=10)
    clock.seconds = 0.0
    store(pool, [2], ttl=10)
    store(pool, [3])
    assert evict_all(pool) == [3, 2, 1]


@given(
    parents=st.lists(st.integers(0, 7), min_size=12, max_size=12),
    levels=st.lists(st.integers(0, 100), min_size=12, max_size=12),
    drops=st.permutations(range(12)),
    steps=st.lists(st.integers(1, 4), max_size=8),
)
def test_no_cached_block_ever_loses_its_parent(parents, levels, drops, steps):
    pool = BlockPool(num_blocks=12, block_size=4)
    lineage = {h: parent for h, parent in enumerate(parents) if parent < h}
    handles = []
    for h in range(12):
        fresh = pool.allocate_blocks(1)
        handles.append(pool.register_blocks(fresh, [h], parent=lineage.get(h), priority=levels[h]))
        del fresh
    for i in drops:
        handles[i].release()
    taken = []
    for step in steps:
        taken.append(pool.allocate_blocks(min(step, pool.available_blocks)))
        present = pool.contains(range(12)).tolist()
        assert all(present[parent] for h, parent in lineage.items() if present[h])
        pool.check_invariants()
