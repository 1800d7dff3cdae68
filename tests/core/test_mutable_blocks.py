import numpy as np
import pytest

from kvpool import BlockPool, ForeignHandle, InvalidMutableBlock, MutableBlock, MutableBlocks, sequence_hashes


def test_mutable_blocks_behave_like_a_list(pool):
    blocks = pool.allocate_blocks(4)
    assert isinstance(blocks, MutableBlocks)
    assert len(blocks) == 4
    assert [block.id for block in blocks] == blocks.ids.tolist() == [blocks[i].id for i in range(4)]
    assert blocks[-1].id == 3
    assert isinstance(blocks[0], MutableBlock)
    assert repr(blocks) == "<MutableBlocks of 4 blocks>"


@pytest.mark.parametrize("index", [4, -5, 2**40, -(2**40), 2**70, -(2**70)])
def test_an_index_outside_is_an_index_error(pool, index):
    with pytest.raises(IndexError):
        pool.allocate_blocks(4)[index]


@pytest.mark.parametrize("index", [1.0, "0", None, (0,)])
def test_an_index_that_is_no_integer_is_a_type_error(pool, index):
    with pytest.raises(TypeError):
        pool.allocate_blocks(4)[index]


SLICES = [
    slice(None),
    slice(1, 3),
    slice(None, None, -1),
    slice(None, None, 2),
    slice(5, 1, -2),
    slice(-2, None),
    slice(3, 3),
    slice(10, 20),
    slice(-(2**70), 2**70),
    slice(0, None, -1),
    slice(None, None, 2**70),
]


@pytest.mark.parametrize("part", SLICES, ids=str)
@pytest.mark.parametrize("then", SLICES, ids=str)
def test_a_slice_of_a_slice_is_the_same_as_of_a_list(pool, part, then):
    blocks = pool.allocate_blocks(7)
    ids = list(range(7))
    view = blocks[part][then]
    assert view.ids.tolist() == ids[part][then]
    assert [block.id for block in view] == ids[part][then]
    assert len(view) == len(ids[part][then])


def test_a_slice_without_step_is_refused(pool):
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        pool.allocate_blocks(2)[::0]


def test_a_view_keeps_the_blocks_held(pool):
    blocks = pool.allocate_blocks(4)
    for view in (blocks[1:2], blocks[0], blocks[2:2], iter(blocks)):
        keep = [view]
    assert keep
    del blocks, view
    assert pool.available_blocks == 12
    keep.clear()
    assert pool.available_blocks == 16


def test_dropping_a_view_gives_nothing_back(pool):
    blocks = pool.allocate_blocks(4)
    for _ in range(3):
        blocks[1:3]
        blocks[0]
        blocks[::-1][1:]
    assert pool.available_blocks == 12
    del blocks


def test_releasing_a_view_gives_its_blocks_back_and_no_others(pool):
    blocks = pool.allocate_blocks(4)
    blocks[1:3].release()
    assert pool.available_blocks == 14
    assert [block.released for block in blocks] == [False, True, True, False]
    assert not blocks.released
    blocks[2].release()
    blocks.release()
    assert pool.available_blocks == 16
    assert blocks.released


def test_release_works_once_and_any_number_of_times(pool):
    blocks = pool.allocate_blocks(4)
    for _ in range(3):
        blocks.release()
        blocks[0].release()
        blocks[1:].release()
    other = pool.allocate_blocks(16)
    blocks.release()
    blocks[0].release()
    del blocks
    assert pool.available_blocks == 0
    del other


def test_a_with_statement_gives_the_blocks_back_even_after_an_error(pool):
    with pytest.raises(KeyError), pool.allocate_blocks(4) as blocks:
        assert pool.available_blocks == 12
        raise KeyError
    assert pool.available_blocks == 16
    assert blocks.released


def test_a_with_statement_may_end_after_the_blocks_were_registered(pool):
    with pool.allocate_blocks(2) as fresh:
        blocks = pool.register_blocks(fresh, [1, 2])
    assert pool.status().active == 2
    del blocks


def test_a_sum_moves_the_blocks_of_both(pool):
    a, b = pool.allocate_blocks(2, owner="a"), pool.allocate_blocks(3, owner="b")
    both = a + b
    assert both.ids.tolist() == [0, 1, 2, 3, 4]
    assert both.owner == "a"
    assert a.released
    assert b.released
    del a, b
    assert pool.available_blocks == 11
    del both
    assert pool.available_blocks == 16


def test_a_sum_of_views_takes_only_what_they_show(pool):
    blocks = pool.allocate_blocks(4)
    ends = blocks[:1] + blocks[3:]
    assert ends.ids.tolist() == [0, 3]
    assert [block.released for block in blocks] == [True, False, False, True]
    blocks.release()
    assert pool.available_blocks == 14
    del ends


def test_a_sum_with_nothing_is_a_move(pool):
    blocks, nothing = pool.allocate_blocks(2), pool.allocate_blocks(0)
    moved = nothing + blocks + nothing
    assert moved.ids.tolist() == [0, 1]
    assert blocks.released
    assert len(nothing + nothing) == 0


def test_a_sum_of_overlapping_handles_is_refused(pool, unchanged):
    blocks = pool.allocate_blocks(4)
    for other in (blocks, blocks[1:2]):
        with unchanged(pool), pytest.raises(InvalidMutableBlock, match="or is in both"):
            blocks + other
    assert not blocks.released


def test_a_sum_with_a_released_handle_is_refused(pool, unchanged):
    a, b = pool.allocate_blocks(1), pool.allocate_blocks(1)
    b.release()
    with unchanged(pool), pytest.raises(InvalidMutableBlock):
        a + b
    with unchanged(pool), pytest.raises(InvalidMutableBlock):
        b + a
    assert not a.released


def test_a_sum_across_pools_is_refused(pool, unchanged):
    other = BlockPool(num_blocks=4, block_size=4)
    a, b = pool.allocate_blocks(1), other.allocate_blocks(1)
    with unchanged(pool), unchanged(other), pytest.raises(ForeignHandle):
        a + b


@pytest.mark.parametrize("other", [[], None, 1, (1,)])
def test_only_mutable_blocks_can_be_added_to_mutable_blocks(pool, other):
    blocks = pool.allocate_blocks(1)
    with pytest.raises(TypeError):
        blocks + other
    with pytest.raises(TypeError):
        other + blocks
    with pytest.raises(TypeError):
        blocks + pool.match_sequence_hashes([1])


def test_tokens_move_with_the_blocks_of_a_sum(pool):
    a, b = pool.allocate_blocks(2).fill(range(8)), pool.allocate_blocks(2)
    b[::-1].fill(range(8, 14), parent=a[1].sequence_hash)
    both = a[::-1] + b
    assert [block.tokens.tolist() for block in both] == [[4, 5, 6, 7], [0, 1, 2, 3], [12, 13], [8, 9, 10, 11]]
    assert [block.is_complete for block in both] == [True, True, False, True]
    assert both[3].sequence_hash == sequence_hashes(range(12), 4)[2]


def test_ids_are_a_read_only_array_of_int32(pool):
    ids = pool.allocate_blocks(3).ids
    assert (ids.dtype, ids.shape) == (np.int32, (3,))
    with pytest.raises(ValueError, match="read-only"):
        ids[0] = 5
    with pytest.raises(ValueError, match="WRITEABLE"):
        ids.flags.writeable = True


def test_handles_of_no_blocks_share_no_array_of_ids(pool):
    ids = pool.allocate_blocks(0).ids
    assert ids is not pool.allocate_blocks(0).ids
    assert (ids.shape, ids.dtype, ids.flags.writeable) == ((0,), "int32", False)


def test_fill_completes_the_blocks_that_become_full(pool):
    blocks = pool.allocate_blocks(3)
    assert blocks.fill(range(10)) is blocks
    assert [block.is_complete for block in blocks] == [True, True, False]
    assert [block.sequence_hash for block in blocks[:2]] == sequence_hashes(range(10), 4).tolist()
    assert (blocks[2].num_tokens, blocks[2].remaining) == (2, 2)


def test_a_partial_block_left_by_fill_can_be_finished(pool):
    blocks = pool.allocate_blocks(2).fill(range(6))
    blocks[1].add_tokens([6, 7])
    blocks[1].commit()
    assert [block.sequence_hash for block in blocks] == sequence_hashes(range(8), 4).tolist()


def test_fill_goes_on_after_a_parent_and_uses_the_salt(pool, store):
    expected = sequence_hashes(range(8), 4, salt_hash=9, parent=7).tolist()
    parent = store(pool, [7])
    for given in (7, parent, parent[0]):
        blocks = pool.allocate_blocks(2).fill(range(8), parent=given, salt_hash=9)
        assert [block.sequence_hash for block in blocks] == expected


@pytest.mark.parametrize("count", [9, 100])
def test_tokens_that_do_not_fit_are_refused(pool, count):
    blocks = pool.allocate_blocks(2)
    with pytest.raises(ValueError, match=f"{count} tokens do not fit into 2 blocks of 4"):
        blocks.fill(range(count))
    assert [block.num_tokens for block in blocks] == [0, 0]


def test_fill_with_nothing_changes_nothing(pool):
    blocks = pool.allocate_blocks(2).fill([])
    assert [block.num_tokens for block in blocks] == [0, 0]
    assert len(pool.allocate_blocks(0).fill([])) == 0


def test_blocks_with_tokens_cannot_be_filled_over(pool):
    blocks = pool.allocate_blocks(2)
    blocks[1].init_sequence()
    with pytest.raises(InvalidMutableBlock, match="block 1 has a sequence already"):
        blocks.fill(range(8))
    assert blocks[0].num_tokens == 0
    assert blocks.fill(range(4))[0].is_complete


def test_released_blocks_cannot_be_filled(pool):
    blocks = pool.allocate_blocks(2)
    blocks[1].release()
    with pytest.raises(InvalidMutableBlock, match="block 1 was registered or released already"):
        blocks.fill(range(4))
    blocks[:1].fill(range(4))
    assert blocks[0].is_complete


@pytest.mark.parametrize("salt", [-1, 2**64, True, 1.0, "x", None])
def test_a_bad_salt_is_refused(pool, salt):
    blocks = pool.allocate_blocks(1)
    with pytest.raises((TypeError, ValueError), match="salt_hash"):
        blocks.fill(range(4), salt_hash=salt)
    assert blocks[0].num_tokens == 0


def test_tokens_that_release_the_blocks_while_they_are_read_are_refused(pool):
    blocks = pool.allocate_blocks(1)

    class Releasing:
        def __index__(self):
            blocks.release()
            return 1

    with pytest.raises(InvalidMutableBlock):
        blocks.fill([Releasing()])
    assert pool.available_blocks == 16
