import numpy as np
import pytest

from kvpool import (
    BlockNotComplete,
    BlockPool,
    BlockState,
    ForeignHandle,
    ImmutableBlocks,
    InvalidMutableBlock,
    StaleHandle,
    sequence_hashes,
)


@pytest.fixture
def keeping():
    pool = BlockPool(num_blocks=16, block_size=4, duplicates="keep", event_capacity=64)
    yield pool
    pool.check_invariants()


def parents(pool):
    return {event.sequence_hash: event.parent_hash for event in pool.events() if event.sequence_hash is not None}


def test_registered_blocks_keep_their_ids_and_order(pool):
    fresh = pool.allocate_blocks(3)
    ids = fresh.ids.tolist()
    blocks = pool.register_blocks(fresh, [30, 10, 20])
    assert isinstance(blocks, ImmutableBlocks)
    assert (blocks.ids.tolist(), blocks.sequence_hashes.tolist()) == (ids, [30, 10, 20])
    assert all(pool.block_state(i) is BlockState.ACTIVE for i in ids)


def test_registering_consumes_the_mutable_blocks(pool):
    fresh = pool.allocate_blocks(2)
    view = fresh[1]
    blocks = pool.register_blocks(fresh, [1, 2])
    assert fresh.released
    assert view.released
    fresh.release()
    assert pool.status().active == 2
    del blocks


def test_hashes_come_from_the_tokens_when_none_are_given(pool):
    tokens = list(range(12))
    blocks = pool.register_blocks(pool.allocate_blocks(3).fill(tokens))
    assert blocks.sequence_hashes.tolist() == sequence_hashes(tokens, 4).tolist()
    assert list(parents(pool).values()) == [None, *blocks.sequence_hashes.tolist()[:2]]


def test_given_hashes_must_be_those_of_the_tokens(pool, unchanged):
    fresh = pool.allocate_blocks(2).fill(range(8))
    right = sequence_hashes(range(8), 4).tolist()
    with unchanged(pool), pytest.raises(InvalidMutableBlock, match=r"sequence_hashes\[1\] = 5 is not that"):
        pool.register_blocks(fresh, [right[0], 5])
    assert pool.register_blocks(fresh, right).sequence_hashes.tolist() == right


@pytest.mark.parametrize("hashes", [None, [1, 2]])
def test_a_partial_block_cannot_be_registered(pool, unchanged, hashes):
    fresh = pool.allocate_blocks(2).fill(range(6))
    if hashes:
        hashes[0] = fresh[0].sequence_hash
    with unchanged(pool), pytest.raises(BlockNotComplete, match="block 1 of 2 has 2"):
        pool.register_blocks(fresh, hashes)
    assert not fresh.released


def test_a_block_without_tokens_needs_a_hash(pool, unchanged):
    fresh = pool.allocate_blocks(1)
    with unchanged(pool), pytest.raises(BlockNotComplete, match="give sequence_hashes"):
        pool.register_blocks(fresh)


@pytest.mark.parametrize("count", [0, 1, 3, 100])
def test_as_many_hashes_as_blocks_are_needed(pool, unchanged, count):
    fresh = pool.allocate_blocks(2)
    with unchanged(pool), pytest.raises(ValueError, match=f"{count} sequence hashes were given for 2 blocks"):
        pool.register_blocks(fresh, list(range(count)))


def test_nothing_can_be_registered_as_nothing(pool):
    for nothing in (pool.allocate_blocks(0), [], (), pool.allocate_blocks(1)[:0], [pool.allocate_blocks(0)]):
        assert len(pool.register_blocks(nothing, [])) == 0
        assert len(pool.register_blocks(nothing)) == 0


def test_single_blocks_slices_and_lists_of_them_can_be_registered(pool):
    fresh = pool.allocate_blocks(8)
    ids = fresh.ids.tolist()
    assert pool.register_blocks(fresh[0], [10]).ids.tolist() == ids[:1]
    assert pool.register_blocks(fresh[1:3], [11, 12]).ids.tolist() == ids[1:3]
    assert pool.register_blocks([fresh[3], fresh[4:6]], [13, 14, 15]).ids.tolist() == ids[3:6]
    assert not fresh.released
    assert pool.register_blocks(fresh[:5:-1], [17, 16]).ids.tolist() == [ids[7], ids[6]]
    assert fresh.released
    assert pool.contains(range(10, 18)).all()


def test_blocks_of_several_handles_can_be_registered_together(pool):
    a, b = pool.allocate_blocks(2), pool.allocate_blocks(1)
    blocks = pool.register_blocks((b[0], a), [1, 2, 3])
    assert blocks.ids.tolist() == [2, 0, 1]
    assert a.released
    assert b.released
    assert parents(pool) == {1: None, 2: 1, 3: 2}


@pytest.mark.parametrize("name_twice", [lambda b: [b, b], lambda b: [b, b[1]], lambda b: [b[0:2], b[1:2]]])
def test_a_block_cannot_be_registered_twice_in_one_call(pool, unchanged, name_twice):
    fresh = pool.allocate_blocks(3)
    named = name_twice(fresh)
    count = sum(len(part) if hasattr(part, "__len__") else 1 for part in named)
    with unchanged(pool), pytest.raises(InvalidMutableBlock, match=f"of {count} was registered .* or is named twice"):
        pool.register_blocks(named, list(range(count)))
    assert not fresh.released
    del named


def test_a_block_cannot_be_registered_again_under_another_hash(pool, unchanged):
    fresh = pool.allocate_blocks(2)
    blocks = pool.register_blocks(fresh, [1, 2])
    for again in (fresh, fresh[0], [fresh[1]], fresh[:1]):
        with unchanged(pool), pytest.raises(InvalidMutableBlock):
            pool.register_blocks(again, [7] * (1 if again is not fresh else 2))
    assert blocks.sequence_hashes.tolist() == [1, 2]


def test_one_consumed_block_spoils_the_whole_call(pool, unchanged):
    a, b = pool.allocate_blocks(2), pool.allocate_blocks(2)
    b[1].release()
    with unchanged(pool), pytest.raises(InvalidMutableBlock, match="block 3 of 4"):
        pool.register_blocks([a, b], [1, 2, 3, 4])
    assert not a.released


def test_blocks_of_another_pool_are_refused(pool, unchanged):
    other = BlockPool(num_blocks=4, block_size=4)
    mine, foreign = pool.allocate_blocks(1), other.allocate_blocks(1)
    for blocks in (foreign, foreign[0], [mine, foreign], foreign[:1]):
        with unchanged(pool), unchanged(other), pytest.raises(ForeignHandle):
            pool.register_blocks(blocks, [1])


def test_a_sharing_pool_returns_the_block_that_was_there_first(pool, store):
    first = store(pool, [1, 2])
    fresh = pool.allocate_blocks(2)
    spare = fresh.ids.tolist()
    again = pool.register_blocks(fresh, [1, 2])
    assert again.ids.tolist() == first.ids.tolist()
    assert [pool.block_state(i) for i in spare] == [BlockState.AVAILABLE] * 2
    assert (pool.status().active, pool.status().duplicates, pool.status().registrations) == (2, 2, 4)
    del first
    assert again.sequence_hashes.tolist() == [1, 2]
    assert pool.status().active == 2


def test_replaced_blocks_are_the_next_ones_allocated_in_their_order(pool, store):
    first = store(pool, [1, 2])
    fresh = pool.allocate_blocks(4)
    ids = fresh.ids.tolist()
    blocks = pool.register_blocks(fresh, [1, 5, 2, 6])
    assert blocks.ids.tolist() == [0, ids[1], 1, ids[3]]
    assert pool.allocate_blocks(2).ids.tolist() == [ids[0], ids[2]]
    del first


def test_a_cached_duplicate_becomes_active_again(pool, store):
    store(pool, [1])
    assert pool.status().cached == 1
    blocks = store(pool, [1])
    assert (pool.status().cached, pool.status().active) == (0, 1)
    del blocks


def test_one_hash_twice_in_a_call_is_one_block_shared(pool, store):
    blocks = store(pool, [5, 5, 5])
    assert blocks.ids.tolist() == [0, 0, 0]
    assert (pool.status().active, pool.status().empty) == (1, 15)
    blocks.release()
    assert pool.status().cached == 1


def test_a_keeping_pool_keeps_every_copy_and_matches_the_first(keeping, store):
    first, second, third = store(keeping, [1]), store(keeping, [1]), store(keeping, [1])
    assert [b.ids[0] for b in (first, second, third)] == [0, 1, 2]
    assert keeping.match_sequence_hashes([1]).ids.tolist() == [0]
    assert keeping.status().active == 3
    assert [event.block_id for event in keeping.events()] == [0]


def test_a_hash_leaves_a_keeping_pool_with_its_last_copy(keeping, store):
    for _ in range(3):
        store(keeping, [1])
    held = keeping.match_sequence_hashes([1])
    rest = keeping.allocate_blocks(15)
    assert keeping.contains([1]).all()
    assert rest.evicted.sequence_hashes.tolist() == [1, 1]
    assert len(keeping.events()) == 1
    del held, rest
    last = keeping.allocate_blocks(16)
    assert not keeping.contains([1]).any()
    assert [event.kind.name for event in keeping.events()] == ["STORED", "REMOVED"]
    del last


def test_the_next_oldest_copy_is_matched_when_the_first_goes(keeping, store):
    first, second, third = store(keeping, [1]), store(keeping, [1]), store(keeping, [1])
    first.release()
    evicting = keeping.allocate_blocks(14)
    assert evicting.evicted.ids.tolist() == [0]
    assert keeping.match_sequence_hashes([1]).ids.tolist() == [1]
    second.release()
    more = keeping.allocate_blocks(1)
    assert more.ids.tolist() == [1]
    assert keeping.match_sequence_hashes([1]).ids.tolist() == [2]
    del third, evicting, more


def test_each_copy_has_its_own_place_in_the_eviction_order(keeping, store):
    a, b = store(keeping, [1]), store(keeping, [1])
    b.release()
    a.release()
    assert keeping.allocate_blocks(16).evicted.ids.tolist() == [1, 0]


@pytest.mark.parametrize("form", ["hash", "block", "blocks"])
def test_a_parent_can_be_named_by_hash_or_handle(pool, store, form):
    parent = store(pool, [1, 2])
    store(pool, [3], parent={"hash": 2, "block": parent[1], "blocks": parent}[form])
    assert parents(pool)[3] == 2


def test_a_parent_that_is_not_registered_is_no_parent(pool, store):
    store(pool, [3], parent=77)
    assert parents(pool) == {3: None}


@pytest.mark.parametrize("form", [lambda b: b, lambda b: b[:0]])
def test_a_handle_of_no_blocks_is_no_parent(pool, store, form):
    store(pool, [3], parent=form(pool.match_sequence_hashes([9])))
    assert parents(pool) == {3: None}


def test_a_released_parent_is_refused(pool, store, unchanged):
    parent = store(pool, [1])
    single = parent[0]
    parent.release()
    single.release()
    fresh = pool.allocate_blocks(1)
    for stale in (parent, single):
        with unchanged(pool), pytest.raises(StaleHandle):
            pool.register_blocks(fresh, [2], parent=stale)
    assert not fresh.released


def test_a_parent_of_another_pool_is_refused(pool, store, unchanged):
    other = BlockPool(num_blocks=4, block_size=4)
    foreign = store(other, [1])
    fresh = pool.allocate_blocks(1)
    for parent in (foreign, foreign[0]):
        with unchanged(pool), pytest.raises(ForeignHandle):
            pool.register_blocks(fresh, [2], parent=parent)


def test_without_a_parent_the_last_match_that_missed_the_hash_gives_it(pool, store):
    store(pool, [1, 2])
    cached = pool.match_sequence_hashes([1, 2, 3, 4])
    store(pool, [3, 4])
    assert parents(pool) == {1: None, 2: 1, 3: 2, 4: 3}
    del cached


def test_a_match_that_found_nothing_gives_no_parent(pool, store):
    store(pool, [1])
    pool.match_sequence_hashes([7, 8])
    store(pool, [7])
    store(pool, [8])
    assert parents(pool) == {1: None, 7: None, 8: None}


def test_a_given_parent_counts_more_than_the_hint_of_a_match(pool, store):
    store(pool, [1])
    store(pool, [2])
    pool.match_sequence_hashes([1, 3])
    store(pool, [3], parent=2)
    assert parents(pool)[3] == 2


def test_a_hint_whose_parent_was_evicted_is_none(pool, store):
    store(pool, [1])
    pool.match_sequence_hashes([1, 2])
    pool.allocate_blocks(16)
    store(pool, [2])
    assert parents(pool)[2] is None


def test_a_parent_given_beside_tokens_is_the_one_that_counts(pool, store):
    root = store(pool, [1])
    fresh = pool.allocate_blocks(1).fill([1, 2, 3, 4])
    own = fresh[0].sequence_hash
    blocks = pool.register_blocks(fresh, parent=root)
    assert parents(pool)[own] == 1
    del blocks


@pytest.mark.parametrize("priority", [-1, 101, 2**31, 2**64, -(2**70)])
def test_a_priority_out_of_range_is_refused(pool, unchanged, priority):
    fresh = pool.allocate_blocks(1)
    with unchanged(pool), pytest.raises(ValueError, match=rf"priority = {priority} is not in \[0, 100\]"):
        pool.register_blocks(fresh, [1], priority=priority)
    assert not fresh.released


@pytest.mark.parametrize("ttl", [0, -1, -0.5, float("nan"), float("-inf")])
def test_a_time_to_live_that_is_not_positive_is_refused(pool, unchanged, ttl):
    fresh = pool.allocate_blocks(1)
    with unchanged(pool), pytest.raises(ValueError, match="ttl = "):
        pool.register_blocks(fresh, [1], ttl=ttl)
    assert not fresh.released


@pytest.mark.parametrize("ttl", [1e-12, 1e9, 1e300, float("inf"), 10**400, np.float32(2.5), 3])
def test_any_positive_number_is_a_time_to_live(pool, store, ttl):
    assert len(store(pool, [1], ttl=ttl)) == 1


@pytest.mark.parametrize("edge", [0, 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_every_64_bit_number_is_a_hash(pool, store, edge):
    blocks = store(pool, [edge])
    assert blocks.sequence_hashes.tolist() == [edge]
    assert blocks[0].sequence_hash == edge
    assert pool.contains([edge]).all()
    blocks.release()
    assert pool.match_sequence_hashes([edge])[0].sequence_hash == edge


@pytest.mark.parametrize("edge", [0, 2**64 - 1])
def test_every_64_bit_number_is_a_parent(pool, store, edge):
    store(pool, [edge])
    store(pool, [5], parent=edge)
    assert parents(pool)[5] == edge
