"""All running requests in one object."""

import numpy as np
import pytest

from kvpool import BlockPool, NotEnoughBlocksAvailable, SequenceBatch


def tokens(n, first=0):
    return np.arange(first, first + n, dtype=np.int32)


def open_all(pool, *lengths):
    """Return sequences without a common prefix, their KV written."""
    sequences = [pool.open_sequence(tokens(n, 1000 * i)) for i, n in enumerate(lengths)]
    for sequence in sequences:
        sequence.commit(sequence.num_tokens)
    return sequences


def batch_of(pool, *lengths):
    batch = SequenceBatch(pool, 4, 8)
    for sequence in open_all(pool, *lengths):
        batch.add(sequence)
    return batch


def expect_sound(pool, batch):
    pool.check_invariants()
    batch.check_invariants()
    for sequence in batch.sequences:
        sequence.check_invariants()


@pytest.fixture
def pool():
    return BlockPool(32, 4)


def test_rows_show_tables_and_lengths(pool):
    batch = batch_of(pool, 5, 4)
    assert (len(batch), batch.max_sequences, batch.max_blocks_per_sequence) == (2, 4, 8)
    assert batch.block_tables.dtype == batch.sequence_lengths.dtype == np.int32
    assert batch.block_tables.shape == (4, 8)
    assert batch.block_tables[:2, :3].tolist() == [[0, 1, -1], [2, -1, -1]]
    assert batch.sequence_lengths.tolist() == [5, 4, 0, 0]
    assert (batch.block_tables[2:] == -1).all()
    expect_sound(pool, batch)


def test_a_step_appends_one_token_to_each_row(pool):
    batch = batch_of(pool, 5, 4, 3)
    assert batch.append(np.array([7, 8, 9])).tolist() == []
    assert batch.sequence_lengths.tolist() == [6, 5, 4, 0]
    expected = [s.block_table[(n - 1) // 4] * 4 + (n - 1) % 4 for s, n in zip(batch.sequences, [6, 5, 4], strict=True)]
    assert batch.slot_mapping.dtype == np.int64
    assert batch.slot_mapping.tolist() == expected
    assert [s.tokens[-1] for s in batch.sequences] == [7, 8, 9]
    expect_sound(pool, batch)


@pytest.mark.parametrize("form", [list, tuple, np.int64, np.int32, np.uint32, np.uint8])
def test_tokens_come_in_any_form(pool, form):
    batch = batch_of(pool, 5, 4)
    given = form([1, 2]) if form in (list, tuple) else np.array([1, 2], form)
    batch.append(given)
    assert [s.tokens[-1] for s in batch.sequences] == [1, 2]


def test_each_row_may_get_several(pool):
    batch = batch_of(pool, 5, 4)
    batch.append([[1, 2, 3], [4, 5, 6]])
    assert batch.sequence_lengths[:2].tolist() == [8, 7]
    batch.append(np.arange(10).reshape(2, 5)[:, ::2])
    assert batch.sequences[1].tokens[-3:].tolist() == [5, 7, 9]
    assert len(batch.slot_mapping) == 6
    expect_sound(pool, batch)


def test_rows_may_get_different_numbers(pool):
    batch = batch_of(pool, 5, 4, 3)
    batch.append([1, 2, 3, 4, 5], offsets=[0, 3, 3, 5])
    assert batch.sequence_lengths.tolist() == [8, 4, 5, 0]
    assert len(batch.slot_mapping) == 5
    assert batch.sequences[2].tokens[-2:].tolist() == [4, 5]
    expect_sound(pool, batch)


def test_a_full_block_can_be_matched_one_step_later(pool):
    batch = batch_of(pool, 7)
    batch.append([1])
    assert not pool.contains(batch.sequences[0].sequence_hashes)[1]
    batch.append([2])
    assert pool.contains(batch.sequences[0].sequence_hashes)[1]


def test_without_enough_blocks_nothing_is_appended():
    pool = BlockPool(4, 4)
    batch = batch_of(pool, 4, 4, 3)
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        batch.append([1, 1, 1])
    assert caught.value.rows == (1,)
    assert (caught.value.requested, caught.value.available) == (2, 1)
    assert batch.sequence_lengths.tolist() == [4, 4, 3, 0]
    expect_sound(pool, batch)


def test_or_the_rows_that_go_without_are_reported():
    pool = BlockPool(4, 4)
    batch = batch_of(pool, 4, 4, 3)
    assert batch.append([1, 2, 3], on_exhausted="report").tolist() == [1]
    assert batch.sequence_lengths.tolist() == [5, 4, 4, 0]
    assert batch.slot_mapping[1] == -1
    assert (batch.slot_mapping[[0, 2]] >= 0).all()
    expect_sound(pool, batch)
    batch.remove(0).preempt()
    assert batch.append([9, 9], on_exhausted="report").tolist() == []
    expect_sound(pool, batch)


def test_the_last_row_moves_into_the_place_of_a_removed_one(pool):
    batch = batch_of(pool, 9, 4, 5)
    first, second, third = batch.sequences
    assert batch.remove(0) is first
    assert batch.sequences == (third, second)
    assert batch.sequence_lengths.tolist() == [5, 4, 0, 0]
    assert (batch.block_tables[2:] == -1).all()
    assert first.num_blocks == 3
    expect_sound(pool, batch)
    assert batch.remove(1) is second
    assert batch.remove(0) is third
    assert (batch.block_tables == -1).all()
    batch.add(second)
    expect_sound(pool, batch)


def test_the_arrays_never_move(pool):
    batch = SequenceBatch(pool, 4, 8)
    before = [a.ctypes.data for a in (batch.block_tables, batch.sequence_lengths)]
    for sequence in open_all(pool, 5, 4):
        batch.add(sequence)
    batch.append([1, 2])
    slots = batch.slot_mapping.ctypes.data
    batch.append([[1, 2], [2, 3]])
    assert [a.ctypes.data for a in (batch.block_tables, batch.sequence_lengths)] == before
    assert batch.slot_mapping.ctypes.data == slots
    assert batch.block_tables is batch.block_tables


def test_they_go_through_dlpack_without_a_copy(pool):
    batch = batch_of(pool, 5)
    for array in (batch.block_tables, batch.sequence_lengths):
        assert np.shares_memory(np.from_dlpack(array), array)
    batch.append([1])
    assert np.shares_memory(np.from_dlpack(batch.slot_mapping), batch.slot_mapping)


def test_they_outlive_the_batch(pool):
    tables = batch_of(pool, 5).block_tables
    np.ones(100_000)
    assert tables[0, :2].tolist() == [0, 1]


def test_what_others_write_into_them_changes_no_sequence(pool):
    batch = batch_of(pool, 5)
    batch.block_tables[:] = 99
    assert batch.sequences[0].block_table.tolist() == [0, 1]
    expect = batch.sequences[0]
    batch.append([3])
    assert expect.num_tokens == 6


def test_refresh_shows_what_sequences_did_by_themselves(pool):
    first, second = pool.open_sequence(tokens(9)), pool.open_sequence(tokens(9))
    batch = SequenceBatch(pool, 2, 8)
    batch.add(first)
    batch.add(second)
    first.commit(9)
    second.commit(9)
    second.append_tokens([1, 2, 3, 4])
    batch.refresh()
    expect_sound(pool, batch)
    assert batch.block_tables[1, 0] == batch.block_tables[0, 0]
    second.truncate(6)
    batch.refresh()
    expect_sound(pool, batch)


def test_a_sequence_is_free_again_when_its_batch_goes(pool):
    batch = batch_of(pool, 5)
    (sequence,) = batch.sequences
    with pytest.raises(ValueError, match="is a row of a batch: remove it there first"):
        sequence.release()
    with pytest.raises(ValueError, match="is a row of a batch"):
        sequence.preempt()
    del batch
    SequenceBatch(pool, 1, 8).add(sequence)
    sequence.release()
    assert pool.available_blocks == 32


def test_an_empty_batch_steps_too(pool):
    batch = SequenceBatch(pool, 4, 8)
    assert batch.append([]).tolist() == []
    assert batch.slot_mapping.tolist() == []
    assert repr(batch) == "<SequenceBatch of 0 of 4 rows>"
