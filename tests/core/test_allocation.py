import ctypes
import gc

import numpy as np
import pytest

from kvpool import BlockPool, BlockState, EvictionReason, NotEnoughBlocksAvailable


def test_blocks_of_a_new_pool_come_in_ascending_order(pool):
    assert pool.allocate_blocks(5).ids.tolist() == [0, 1, 2, 3, 4]


def test_dropped_blocks_come_back_in_their_order(pool):
    first = pool.allocate_blocks(4)
    rest = pool.allocate_blocks(12)
    del first
    assert pool.allocate_blocks(4).ids.tolist() == [0, 1, 2, 3]
    del rest


def test_the_last_blocks_dropped_are_the_first_handed_out(pool):
    a, b = pool.allocate_blocks(2), pool.allocate_blocks(2)
    a.release()
    b.release()
    assert pool.allocate_blocks(4).ids.tolist() == [2, 3, 0, 1]


@pytest.mark.parametrize("n", [0, 1, 2, 15, 16])
def test_n_blocks_are_distinct_and_allocated(pool, n):
    blocks = pool.allocate_blocks(n)
    assert len(set(blocks.ids.tolist())) == len(blocks) == n
    assert all(pool.block_state(i) is BlockState.ALLOCATED for i in blocks.ids)
    assert pool.available_blocks == 16 - n


def test_no_blocks_can_be_had_from_a_full_pool(pool):
    everything = pool.allocate_blocks(16)
    nothing = pool.allocate_blocks(0)
    assert (len(nothing), nothing.ids.dtype, nothing.released) == (0, np.int32, False)
    del everything


def test_any_integer_type_is_a_number_of_blocks(pool):
    assert len(pool.allocate_blocks(np.int64(3))) == 3


def test_allocation_is_all_or_nothing(pool, unchanged):
    held = pool.allocate_blocks(10)
    with unchanged(pool), pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(7)
    assert (caught.value.requested, caught.value.available, caught.value.total) == (7, 6, 16)
    del held


def test_more_blocks_than_the_pool_has_are_refused_at_once_whatever_the_timeout(pool, unchanged):
    with unchanged(pool), pytest.raises(NotEnoughBlocksAvailable, match="requested 17 blocks, but 16 are available"):
        pool.allocate_blocks(17, timeout=float("inf"))


@pytest.mark.parametrize("n", [17, 2**31 - 1, 2**31, 2**32, 2**63, 2**64, 10**30])
def test_a_number_of_blocks_beyond_every_integer_type_is_just_too_large(pool, unchanged, n):
    with unchanged(pool), pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(n)
    assert caught.value.requested == n
    assert str(n) in str(caught.value)


def test_a_number_that_python_refuses_to_print_has_an_error_that_prints(pool):
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(10**5000)
    assert "16 are available" in str(caught.value)


def test_empty_blocks_go_before_cached_ones(pool, store):
    store(pool, [1, 2, 3])
    assert pool.allocate_blocks(13).evicted.num_blocks == 0
    assert pool.contains([1, 2, 3]).all()


def test_the_allocation_that_evicts_tells_what_it_evicted(pool, store):
    ids = store(pool, [1, 2, 3]).ids
    fresh = pool.allocate_blocks(15)
    assert fresh.evicted.sequence_hashes.tolist() == [3, 2]
    assert fresh.evicted.ids.tolist() == [ids[2], ids[1]]
    assert fresh.evicted.reasons.tolist() == [EvictionReason.CAPACITY] * 2
    assert set(fresh.evicted.ids.tolist()) <= set(fresh.ids.tolist())
    assert [a.dtype for a in fresh.evicted] == [np.uint64, np.int32, np.uint8]


def test_an_allocation_from_empty_blocks_evicts_nothing(pool):
    evicted = pool.allocate_blocks(4).evicted
    assert evicted.num_blocks == 0
    assert [a.dtype for a in evicted] == [np.uint64, np.int32, np.uint8]


def test_an_evicted_hash_misses(pool, store):
    store(pool, [1, 2, 3])
    taken = pool.allocate_blocks(14)
    assert pool.contains([1, 2, 3]).tolist() == [True, True, False]
    del taken
    assert len(pool.match_sequence_hashes([1, 2, 3])) == 2


def test_a_matched_block_is_never_handed_out(pool, store):
    store(pool, range(1, 9))
    held = pool.match_sequence_hashes(range(1, 5))
    taken = pool.allocate_blocks(pool.available_blocks)
    assert not set(taken.ids.tolist()) & set(held.ids.tolist())
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate_blocks(1)
    assert held.sequence_hashes.tolist() == [1, 2, 3, 4]


def test_blocks_registered_in_a_pool_full_of_others_are_never_victims(pool, store):
    for start in range(0, 1600, 16):
        hashes = list(range(start, start + 16))
        blocks = store(pool, hashes)
        assert blocks.sequence_hashes.tolist() == hashes
        assert pool.contains(hashes).all()
        del blocks


def test_a_failed_allocation_says_who_holds_the_rest_largest_first(pool, clock):
    small, large = pool.allocate_blocks(2, owner="small"), pool.allocate_blocks(3, owner="large")
    clock.seconds = 1.5
    more = pool.allocate_blocks(4, owner="large")
    unnamed = pool.allocate_blocks(1)
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(7)
    assert [tuple(hold) for hold in caught.value.holders] == [
        ("large", "mutable", 7, 1.5),
        ("small", "mutable", 2, 1.5),
        (None, "mutable", 1, 0.0),
    ]
    assert str(caught.value) == (
        "requested 7 blocks, but 6 are available of 16; "
        "held by 'large' 7 mutable (1.5 s), 'small' 2 mutable (1.5 s), unnamed 1 mutable (0.0 s)"
    )
    del small, large, more, unnamed


def test_an_owner_without_a_usable_repr_does_not_hide_the_error(pool):
    class Silent:
        def __repr__(self):
            raise RuntimeError("no name")

        def __eq__(self, other):
            raise RuntimeError("no comparison")

        __hash__ = None

    held = pool.allocate_blocks(16, owner=Silent())
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(1)
    assert "16 mutable" in str(caught.value)
    del held


def test_dropping_n_blocks_makes_room_for_n_every_time():
    pool = BlockPool(num_blocks=7)
    keep = pool.allocate_blocks(3)
    for i in range(100_000):
        blocks = pool.allocate_blocks(4)
        if i % 3 == 0:
            blocks = pool.register_blocks(blocks, [i, i + 1, i + 2, i + 3])
        del blocks
    pool.check_invariants()
    assert pool.available_blocks == 4
    del keep


def test_rebinding_a_name_needs_room_for_both(pool):
    blocks = pool.allocate_blocks(16)
    with pytest.raises(NotEnoughBlocksAvailable):
        blocks = pool.allocate_blocks(16)
    del blocks
    assert len(pool.allocate_blocks(16)) == 16


def test_a_pool_of_one_block_works():
    pool = BlockPool(num_blocks=1, block_size=1)
    for token in range(100):
        pool.register_blocks(pool.allocate_blocks(1).fill([token]))
    assert pool.status().evictions == 99
    pool.check_invariants()


def test_the_owner_of_an_allocation_is_kept_by_its_handle(pool):
    owner = object()
    blocks = pool.allocate_blocks(1, owner=owner)
    assert blocks.owner is owner
    assert pool.register_blocks(blocks, [1]).owner is owner
    assert pool.allocate_blocks(0).owner is None
    gc.collect()
    assert blocks.owner is owner


def test_ctypes_integers_are_no_integers(pool):
    with pytest.raises(TypeError, match="n must be an int, not c_int"):
        pool.allocate_blocks(ctypes.c_int(3))
