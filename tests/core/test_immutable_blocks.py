import numpy as np
import pytest

from kvpool import BlockPool, BlockState, ForeignHandle, ImmutableBlock, ImmutableBlocks, StaleHandle


def test_immutable_blocks_behave_like_a_list(pool, store):
    blocks = store(pool, [5, 6, 7])
    assert len(blocks) == 3
    assert [block.sequence_hash for block in blocks] == [5, 6, 7]
    assert [block.id for block in blocks] == blocks.ids.tolist()
    assert blocks[-1].sequence_hash == 7
    assert isinstance(blocks[0], ImmutableBlock)
    assert repr(blocks) == "<ImmutableBlocks of 3 blocks>"
    assert repr(blocks[1]) == "<ImmutableBlock 1>"


@pytest.mark.parametrize("index", [3, -4, 2**40, 2**70, -(2**70)])
def test_an_index_outside_is_an_index_error(pool, store, index):
    with pytest.raises(IndexError):
        store(pool, [1, 2, 3])[index]


@pytest.mark.parametrize("index", [1.0, "0", None, (0,)])
def test_an_index_that_is_no_integer_is_a_type_error(pool, store, index):
    with pytest.raises(TypeError):
        store(pool, [1, 2, 3])[index]


@pytest.mark.parametrize(
    "part", [slice(None), slice(1, 3), slice(None, None, -1), slice(4, 0, -2), slice(2, 2), slice(9, 1)], ids=str
)
def test_a_slice_is_the_same_as_of_a_list(pool, store, part):
    hashes = [5, 6, 7, 8, 9]
    blocks = store(pool, hashes)[part]
    assert isinstance(blocks, ImmutableBlocks)
    assert blocks.sequence_hashes.tolist() == hashes[part]
    assert blocks.ids.tolist() == list(range(5))[part]


def test_items_and_slices_have_references_of_their_own(pool, store):
    blocks = store(pool, [1, 2, 3])
    item, part = blocks[0], blocks[1:2]
    blocks.release()
    assert pool.status().active == 2
    item.release()
    assert (pool.status().active, part.sequence_hashes.tolist()) == (2, [2])
    part.release()
    assert pool.status().active == 0


def test_releasing_an_item_leaves_the_others(pool, store):
    blocks = store(pool, [1, 2])
    blocks[1].release()
    blocks[1:].release()
    assert pool.status().active == 2
    assert not blocks.released
    del blocks


def test_iteration_leaves_no_references_behind(pool, store):
    blocks = store(pool, [1, 2, 3])
    for _ in range(100):
        assert [block.state for block in blocks] == [BlockState.ACTIVE] * 3
    assert len(pool.outstanding()) == 1
    blocks.release()
    assert pool.status().active == 0


def test_a_sum_is_a_further_hold_on_the_blocks_of_both(pool, store):
    a, b = store(pool, [1, 2]), store(pool, [3])
    both = a + b
    assert both.sequence_hashes.tolist() == [1, 2, 3]
    assert (a + a).ids.tolist() == [0, 1, 0, 1]
    del a, b
    assert pool.status().active == 3
    del both
    assert pool.status().active == 0


def test_a_sum_with_nothing_is_a_copy(pool, store):
    nothing = pool.match_sequence_hashes([99])
    blocks = store(pool, [1])
    both = nothing + blocks + nothing
    assert both.sequence_hashes.tolist() == [1]
    assert len(nothing + nothing) == 0
    assert not blocks.released


def test_a_sum_across_pools_is_refused(pool, store, unchanged):
    other = BlockPool(num_blocks=4, block_size=4)
    a, b = store(pool, [1]), store(other, [1])
    with unchanged(pool), unchanged(other), pytest.raises(ForeignHandle):
        a + b


@pytest.mark.parametrize("other", [[], None, 1])
def test_only_immutable_blocks_can_be_added_to_immutable_blocks(pool, store, other):
    blocks = store(pool, [1])
    with pytest.raises(TypeError):
        blocks + other
    with pytest.raises(TypeError):
        other + blocks


def test_release_works_once_and_any_number_of_times(pool, store):
    blocks, again = store(pool, [1]), pool.match_sequence_hashes([1])
    for _ in range(3):
        blocks.release()
    assert blocks.released
    assert pool.status().active == 1
    del blocks
    assert again.sequence_hashes.tolist() == [1]
    assert pool.status().active == 1
    del again


@pytest.mark.parametrize(
    "use",
    [
        lambda b: b.sequence_hashes,
        lambda b: b[0],
        lambda b: b[0:1],
        lambda b: list(b),
        lambda b: b + b,
    ],
)
def test_a_released_handle_is_stale(pool, store, unchanged, use):
    blocks = store(pool, [1, 2])
    blocks.release()
    with unchanged(pool), pytest.raises(StaleHandle):
        use(blocks)
    assert repr(blocks) == "<ImmutableBlocks of 2 blocks, released>"


@pytest.mark.parametrize("use", [lambda b: b.sequence_hash, lambda b: b.state, lambda b: b.downgrade()])
def test_a_released_block_is_stale(pool, store, unchanged, use):
    block = store(pool, [1])[0]
    block.release()
    with unchanged(pool), pytest.raises(StaleHandle, match="block 0 was released"):
        use(block)
    assert repr(block) == "<ImmutableBlock 0, released>"


def test_a_stale_handle_never_touches_the_next_owner_of_its_block(pool, store):
    blocks = store(pool, [1])
    block = blocks[0]
    hashes = blocks.sequence_hashes
    blocks.release()
    block.release()
    taken = pool.allocate_blocks(16)
    blocks.release()
    block.release()
    with pytest.raises(StaleHandle):
        blocks[0]
    del blocks, block
    assert pool.status().mutable == 16
    assert hashes.tolist() == [1]
    del taken


def test_ids_and_hashes_stay_readable_after_release_once_asked_for(pool, store):
    blocks = store(pool, [1, 2])
    ids, hashes = blocks.ids, blocks.sequence_hashes
    blocks.release()
    pool.reset()
    assert (blocks.ids.tolist(), blocks.sequence_hashes.tolist()) == ([0, 1], [1, 2])
    assert (ids.tolist(), hashes.tolist()) == ([0, 1], [1, 2])


def test_ids_and_hashes_are_read_only_arrays(pool, store):
    blocks = store(pool, [1, 2])
    assert (blocks.ids.dtype, blocks.sequence_hashes.dtype) == (np.int32, np.uint64)
    for array in (blocks.ids, blocks.sequence_hashes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_a_handle_is_a_parent_by_its_last_block(pool, store):
    blocks = store(pool, [1, 2])
    store(pool, [3], parent=blocks)
    assert pool.events()[-1].parent_hash == 2


def test_a_with_statement_gives_the_blocks_back(pool, store):
    with store(pool, [1, 2]) as blocks:
        assert pool.status().active == 2
        with blocks[0] as block:
            assert block.state is BlockState.ACTIVE
        assert block.released
    assert pool.status().active == 0
    assert blocks.released


@pytest.mark.parametrize("order", [["release", "drop"], ["drop"], ["release", "release", "drop"], ["with", "release"]])
def test_every_way_to_let_go_gives_each_block_back_once(pool, store, order):
    keep = store(pool, [1])
    handle = pool.match_sequence_hashes([1])
    for step in order:
        if step == "release":
            handle.release()
        elif step == "with":
            with handle:
                pass
        else:
            del handle
    assert pool.status().active == 1
    pool.check_invariants()
    del keep
    assert pool.status().active == 0


def test_items_have_the_owner_of_the_whole(pool, store):
    store(pool, [1, 2])
    owner = object()
    blocks = pool.match_sequence_hashes([1, 2], owner=owner)
    assert blocks[0].owner is blocks[1:].owner is (blocks + blocks).owner is owner
