import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvpool import BlockPool, BlockState, EvictionReason, PoolEventKind, ResetError


def test_reset_forgets_every_cached_block_and_reports_it_by_ascending_id(pool, store):
    store(pool, [30, 10, 20])
    evicted = pool.reset()
    assert evicted.ids.tolist() == [0, 1, 2]
    assert evicted.sequence_hashes.tolist() == [30, 10, 20]
    assert evicted.reasons.tolist() == [EvictionReason.RESET] * 3
    assert evicted.num_blocks == 3
    assert not pool.contains([10, 20, 30]).any()
    assert pool.status().empty == 16


def test_after_a_reset_blocks_come_as_from_a_new_pool(pool, store):
    a, b = store(pool, [1]), pool.allocate_blocks(3)
    a.release()
    b.release()
    pool.reset()
    assert pool.allocate_blocks(16).ids.tolist() == list(range(16))


def test_reset_of_an_empty_pool_reports_nothing(pool):
    assert pool.reset().num_blocks == 0


@pytest.mark.parametrize("hold", ["mutable", "immutable", "single"])
def test_a_pool_with_held_blocks_cannot_be_reset(pool, store, unchanged, hold):
    blocks = store(pool, [1, 2]) if hold != "mutable" else pool.allocate_blocks(2, owner="me")
    if hold == "single":
        blocks = blocks[0]
    with unchanged(pool), pytest.raises(ResetError, match="of 16 blocks are held"):
        pool.reset()
    blocks.release()
    pool.reset()


def test_a_reset_error_names_the_holders(pool):
    held = pool.allocate_blocks(2, owner="request 7")
    with pytest.raises(ResetError, match=r"2 of 16 blocks are held; by 'request 7' 2 mutable \(0.0 s\)"):
        pool.reset()
    del held


def test_an_owner_without_a_usable_repr_does_not_hide_the_reset_error(pool):
    class Silent:
        def __repr__(self):
            raise RuntimeError("no name")

    held = pool.allocate_blocks(2, owner=Silent())
    with pytest.raises(ResetError):
        pool.reset()
    del held


def test_reset_forgets_retention_hints_and_parked_blocks(pool, store, evict_all):
    store(pool, [1], priority=0)
    store(pool, [2], parent=1, priority=100, ttl=50)
    store(pool, [3])
    pool.match_sequence_hashes([1, 9])
    pool.allocate_blocks(14).release()
    pool.reset()
    pool.check_invariants()
    store(pool, [2])
    store(pool, [9])
    assert [e.parent_hash for e in pool.events() if e.kind is PoolEventKind.STORED][-2:] == [None, None]
    assert evict_all(pool) == [2, 9]


def test_reset_is_one_event(pool, store):
    store(pool, [1, 2])
    pool.reset()
    last = pool.events()[-1]
    assert last[:6] == (2, PoolEventKind.CLEARED, None, None, None, EvictionReason.RESET)


def test_named_blocks_are_reset_and_the_rest_is_named(pool, store):
    store(pool, [1, 2])
    store(pool, [5])
    held = store(pool, [7])
    result = pool.reset_blocks([99, 5, 7, 98])
    assert result.reset.sequence_hashes.tolist() == [5]
    assert result.not_found.tolist() == [99, 98]
    assert result.not_reset.tolist() == [7]
    assert (result.not_found.dtype, result.not_reset.dtype) == (np.uint64, np.uint64)
    assert pool.contains([1, 2, 5, 7]).tolist() == [True, True, False, True]
    del held


def test_what_continues_a_named_block_is_reset_as_well(pool, store):
    store(pool, [1, 2, 3])
    store(pool, [11, 12], parent=1)
    store(pool, [20])
    result = pool.reset_blocks([2, 11])
    assert sorted(result.reset.sequence_hashes.tolist()) == [2, 3, 11, 12]
    assert result.reset.ids.tolist() == sorted(result.reset.ids.tolist())
    assert pool.contains([1, 20]).all()
    assert len(pool.match_sequence_hashes([1, 2])) == 1


def test_blocks_held_through_a_descendant_are_not_reset(pool, store):
    handle = store(pool, [1, 2, 3])
    tail = handle[2]
    handle.release()
    result = pool.reset_blocks([1, 2, 3])
    assert result.not_reset.tolist() == [1, 2, 3]
    assert result.reset.num_blocks == 0
    del tail


def test_a_hash_named_twice_is_reset_once(pool, store):
    store(pool, [1, 2])
    result = pool.reset_blocks([2, 1, 2, 5, 5])
    assert result.reset.sequence_hashes.tolist() == [1, 2]
    assert result.not_found.tolist() == [5, 5]


def test_reset_blocks_become_empty_in_ascending_order(pool, store):
    store(pool, [1, 2, 3])
    pool.reset_blocks([1])
    assert pool.allocate_blocks(3).ids.tolist() == [2, 1, 0]
    assert pool.block_state(0) is BlockState.AVAILABLE


def test_reset_of_no_hashes_does_nothing(pool, store, unchanged):
    store(pool, [1])
    with unchanged(pool):
        result = pool.reset_blocks([])
    assert (result.reset.num_blocks, len(result.not_found), len(result.not_reset)) == (0, 0, 0)


def test_all_copies_of_a_hash_are_reset_together(store):
    pool = BlockPool(num_blocks=8, duplicates="keep", event_capacity=64)
    for _ in range(3):
        store(pool, [1])
    assert pool.reset_blocks([1]).reset.ids.tolist() == [0, 1, 2]
    assert [event.kind for event in pool.events()] == [PoolEventKind.STORED, PoolEventKind.REMOVED]
    pool.check_invariants()


def test_a_held_copy_keeps_all_copies(store):
    pool = BlockPool(num_blocks=8, duplicates="keep")
    store(pool, [1])
    held = store(pool, [1])
    result = pool.reset_blocks([1])
    assert (result.not_reset.tolist(), result.reset.num_blocks) == ([1], 0)
    pool.check_invariants()
    del held


@given(
    lineage=st.lists(st.integers(0, 9), min_size=10, max_size=10),
    held=st.sets(st.integers(0, 9), max_size=3),
    named=st.lists(st.integers(0, 12), max_size=8),
    duplicates=st.sampled_from(["share", "keep"]),
)
def test_reset_blocks_never_leaves_a_cached_block_without_its_parent(lineage, held, named, duplicates):
    pool = BlockPool(num_blocks=16, block_size=4, duplicates=duplicates)
    parents = {h: parent for h, parent in enumerate(lineage) if parent < h}
    handles = [pool.register_blocks(pool.allocate_blocks(1), [h], parent=parents.get(h)) for h in range(10)]
    for h in range(10):
        if h not in held:
            handles[h].release()
    active = set(np.flatnonzero(pool.block_states() == BlockState.ACTIVE.value).tolist())
    result = pool.reset_blocks(named)
    pool.check_invariants()
    present = pool.contains(range(10)).tolist()
    assert all(present[parent] for h, parent in parents.items() if present[h])
    assert set(result.not_found.tolist()) == {h for h in named if h > 9}
    assert set(result.not_reset.tolist()) == {h for h in named if h in active}
    assert set(result.reset.sequence_hashes.tolist()) == {h for h in range(10) if not present[h]}
    assert not active & set(result.reset.sequence_hashes.tolist())
