import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvpool import BlockPool, BlockState, StaleHandle, TokenBlockSequence


def test_a_dropped_block_is_found_by_its_hash(pool, store):
    ids = store(pool, [1, 2, 3]).ids
    assert pool.match_sequence_hashes([1, 2, 3]).ids.tolist() == ids.tolist()


def test_a_match_stops_at_the_first_miss(pool, store):
    store(pool, [1, 2, 3, 4])
    assert pool.match_sequence_hashes([1, 2, 99, 3, 4]).sequence_hashes.tolist() == [1, 2]


def test_a_match_that_finds_nothing_is_an_empty_handle(pool):
    found = pool.match_sequence_hashes([1, 2])
    assert (len(found), found.ids.tolist(), found.sequence_hashes.tolist(), list(found)) == (0, [], [], [])
    assert not found.released
    found.release()


def test_a_match_takes_its_blocks_out_of_the_inactive_pool(pool, store):
    store(pool, [1, 2, 3])
    found = pool.match_sequence_hashes([1, 2])
    assert (pool.status().active, pool.status().cached, pool.available_blocks) == (2, 1, 14)
    assert [pool.block_state(i) for i in found.ids] == [BlockState.ACTIVE] * 2
    del found
    assert pool.status().cached == 3


def test_two_matches_hold_the_same_blocks(pool, store):
    store(pool, [1])
    a, b = pool.match_sequence_hashes([1]), pool.match_sequence_hashes([1])
    a.release()
    assert pool.status().active == 1
    b.release()
    assert pool.status().active == 0


def test_one_hash_twice_in_a_match_is_one_block_twice(pool, store):
    store(pool, [1])
    found = pool.match_sequence_hashes([1, 1, 1])
    assert found.ids.tolist() == [0, 0, 0]
    assert pool.status().active == 1
    del found
    assert pool.status().cached == 1


def test_the_owner_of_a_match_is_told_of(pool, store):
    store(pool, [1])
    found = pool.match_sequence_hashes([1], owner="request 7")
    assert [(hold.owner, hold.kind, hold.blocks) for hold in pool.outstanding()] == [("request 7", "immutable", 1)]
    assert found.owner == "request 7"


def test_a_token_block_sequence_can_be_matched(pool):
    sequence = TokenBlockSequence(range(12), block_size=4)
    pool.register_blocks(pool.allocate_blocks(3).fill(range(12)))
    assert len(pool.match_sequence_hashes(sequence)) == 3


def test_a_scattered_match_goes_on_after_misses(pool, store):
    store(pool, [1, 2, 3])
    found = pool.match_scattered([9, 1, 8, 3, 7])
    assert len(found) == 5
    assert found.ids.tolist() == [-1, 0, -1, 2, -1]
    assert found.hits.tolist() == [False, True, False, True, False]
    assert [block and block.sequence_hash for block in found] == [None, 1, None, 3, None]
    assert found[-2].id == 2
    # Block 1 continues nothing that is held, but block 2 continues it: all three are active.
    assert pool.status().active == 3


def test_a_scattered_match_gives_back_what_it_took(pool, store):
    store(pool, [1, 2, 3])
    with pool.match_scattered([3, 5, 3]) as found:
        assert not found.released
        assert pool.outstanding()[0].blocks == 2
    assert found.released
    found.release()
    assert (pool.status().active, pool.status().cached) == (0, 3)
    with pytest.raises(StaleHandle):
        found[0]
    assert found[1] is None


@pytest.mark.parametrize("index", [5, -6, 2**40])
def test_a_scattered_match_has_no_items_outside(pool, store, index):
    store(pool, [1])
    found = pool.match_scattered([1, 2, 3, 4, 5])
    with pytest.raises(IndexError):
        found[index]


def test_a_scattered_match_of_nothing_holds_nothing(pool):
    for hashes in ([], [1, 2]):
        found = pool.match_scattered(hashes)
        assert len(found) == len(hashes)
        assert not found.hits.any()
        assert not found.released
        found.release()
        assert pool.outstanding() == []


def test_contains_takes_nothing(pool, store, unchanged):
    store(pool, [1, 2])
    with unchanged(pool):
        found = pool.contains([2, 5, 1])
        assert (found.tolist(), found.dtype) == ([True, False, True], np.bool_)
        assert pool.contains([]).shape == (0,)


def test_contains_finds_active_and_cached_blocks(pool, store):
    store(pool, [1])
    held = store(pool, [2])
    assert pool.contains([1, 2]).all()
    del held


def test_match_lengths_tells_what_each_match_would_find_and_takes_nothing(pool, store, unchanged):
    store(pool, [1, 2, 3])
    prompts = [[1, 2, 3, 4], [], [2], np.array([1, 9, 3], dtype=np.uint64), (1,), [4]]
    with unchanged(pool):
        lengths = pool.match_lengths(prompts)
        assert (lengths.tolist(), lengths.dtype) == ([3, 0, 1, 1, 1, 0], np.int64)
        assert pool.match_lengths([]).shape == (0,)
        assert pool.match_lengths(iter(prompts)).tolist() == lengths.tolist()
    assert [len(pool.match_sequence_hashes(prompt)) for prompt in prompts] == lengths.tolist()


def test_an_error_in_one_prompt_names_it(pool):
    with pytest.raises(ValueError, match=r"prompts\[1\]\[2\] = -5 is not in"):
        pool.match_lengths([[1], [1, 2, -5]])


def test_touch_counts_the_registered_ones(pool, store):
    store(pool, [1, 2, 3])
    assert pool.touch([3, 9, 1]) == 2
    assert pool.touch([]) == 0
    assert pool.status().touches == 2


def test_touch_makes_a_block_the_last_to_be_evicted(pool, store, evict_all):
    for h in (1, 2, 3):
        store(pool, [h])
    pool.touch([1])
    assert evict_all(pool) == [2, 3, 1]


def test_touching_a_held_block_changes_nothing(pool, store, unchanged):
    held = store(pool, [1, 2])
    with unchanged(pool):
        assert pool.touch([1, 2]) == 2
    del held


def test_contains_and_match_lengths_leave_the_order_alone(pool, store, evict_all):
    for h in (1, 2, 3):
        store(pool, [h])
    pool.contains([1])
    pool.match_lengths([[1]])
    assert evict_all(pool) == [1, 2, 3]


@given(
    stored=st.lists(st.integers(0, 20), unique=True, max_size=16),
    asked=st.lists(st.integers(0, 20), max_size=40),
    reverse=st.booleans(),
)
def test_all_ways_to_look_hashes_up_agree(stored, asked, reverse):
    pool = BlockPool(num_blocks=16, block_size=4)
    for h in stored:
        pool.register_blocks(pool.allocate_blocks(1), [h])
    array = np.array(asked, dtype=np.uint64)
    if reverse:
        array, asked = array[::-1], asked[::-1]
    hits = [h in stored for h in asked]
    prefix = hits.index(False) if False in hits else len(hits)
    assert pool.contains(array).tolist() == hits
    assert pool.match_lengths([array]).tolist() == [prefix]
    assert pool.touch(array) == sum(hits)
    assert pool.match_scattered(array).hits.tolist() == hits
    assert pool.match_sequence_hashes(array).sequence_hashes.tolist() == asked[:prefix]
    pool.check_invariants()


def test_two_hundred_thousand_hashes_are_one_call():
    pool = BlockPool(num_blocks=200_000)
    hashes = np.random.default_rng(7).integers(0, 2**64, 200_000, dtype=np.uint64)
    pool.register_blocks(pool.allocate_blocks(200_000), hashes)
    found = pool.match_sequence_hashes(hashes)
    assert len(found) == 200_000
    assert (found.sequence_hashes == hashes).all()
    found.release()
    assert pool.status().cached == 200_000
    pool.check_invariants()
