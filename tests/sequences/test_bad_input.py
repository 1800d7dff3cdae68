"""Arguments that cannot be: a clear error, and nothing changed."""

import copy
import pickle

import numpy as np
import pytest

from kvpool import BlockPool, BlockSequence, ForeignHandle, NotEnoughBlocksAvailable, SequenceBatch, StaleHandle


@pytest.fixture
def pool():
    return BlockPool(32, 4)


@pytest.fixture
def sequence(pool):
    return pool.open_sequence([1, 2, 3, 4, 5])


@pytest.fixture
def batch(pool):
    batch = SequenceBatch(pool, 3, 4, max_tokens_per_step=8)
    batch.add(pool.open_sequence([1, 2, 3, 4, 5]))
    batch.add(pool.open_sequence([6, 7, 8]))
    return batch


def state_of(pool, *sequences):
    return [pool.status(), *((s.tokens.tolist(), s.block_table.tolist(), s.num_computed_tokens) for s in sequences)]


OPEN = [
    ({"token_ids": []}, ValueError, "token_ids is empty"),
    ({"token_ids": [1, -1]}, ValueError, "-1"),
    ({"token_ids": [2**32]}, ValueError, str(2**32)),
    ({"token_ids": [1.5]}, TypeError, "float"),
    ({"token_ids": "abc"}, TypeError, "str"),
    ({"token_ids": None}, TypeError, "NoneType"),
    ({"token_ids": np.zeros((2, 2), np.int32)}, TypeError, "dimensions"),
    ({"token_ids": [1], "salt_hash": -1}, ValueError, "salt_hash = -1"),
    ({"token_ids": [1], "salt_hash": 2**64}, ValueError, "salt_hash"),
    ({"token_ids": [1], "lookahead": -1}, ValueError, "lookahead = -1"),
    ({"token_ids": [1], "lookahead": 2**31}, ValueError, "lookahead"),
    ({"token_ids": [1], "lookahead": True}, TypeError, "lookahead"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), OPEN)
def test_a_sequence_is_not_opened(pool, arguments, error, message):
    with pytest.raises(error, match=message):
        pool.open_sequence(**arguments)
    assert pool.available_blocks == 32


CALLS = [
    (lambda s: s.commit(6), ValueError, r"num_computed_tokens = 6 is not in \[0, 5\]"),
    (lambda s: s.commit(-1), ValueError, "num_computed_tokens = -1"),
    (lambda s: s.commit(2.0), TypeError, "num_computed_tokens"),
    (lambda s: s.commit(True), TypeError, "num_computed_tokens"),
    (lambda s: s.truncate(0), ValueError, r"num_tokens = 0 is not in \[1, 5\]"),
    (lambda s: s.truncate(6), ValueError, "num_tokens = 6"),
    (lambda s: s.reserve(-1), ValueError, "n = -1"),
    (lambda s: s.reserve(2**31), ValueError, "n = "),
    (lambda s: s.append_tokens([-3]), ValueError, "-3"),
    (lambda s: s.append_tokens(None), TypeError, "NoneType"),
    (lambda s: s.append_tokens(["x"]), TypeError, "str"),
    (lambda s: s.resume(), ValueError, "was not preempted"),
]


@pytest.mark.parametrize(("call", "error", "message"), CALLS)
def test_a_sequence_stays_as_it_is(pool, sequence, call, error, message):
    before = state_of(pool, sequence)
    with pytest.raises(error, match=message):
        call(sequence)
    assert state_of(pool, sequence) == before
    sequence.check_invariants()


def test_the_kv_of_a_token_is_not_taken_back_by_a_commit(pool, sequence):
    sequence.commit(4)
    with pytest.raises(ValueError, match=r"num_computed_tokens = 3 is not in \[4, 5\]"):
        sequence.commit(3)


def test_sequences_are_made_by_pools_alone(sequence):
    with pytest.raises(TypeError):
        BlockSequence()
    for way in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            way(sequence)
    made = BlockSequence.__new__(BlockSequence)
    assert (made.num_tokens, made.num_blocks, made.block_table.tolist(), made.tokens.tolist()) == (0, 0, [], [])
    for call in (lambda: made.append_tokens([1]), lambda: made.commit(0), made.fork, made.preempt, made.resume):
        with pytest.raises(StaleHandle):
            call()
    made.release()
    made.check_invariants()


BATCHES = [
    ((0, 4), {}, ValueError, r"max_sequences = 0 is not in \[1"),
    ((4, 0), {}, ValueError, "max_blocks_per_sequence = 0"),
    ((2**16, 2**16), {}, ValueError, "is more than 2147483647"),
    ((2**40, 1), {}, ValueError, "max_sequences"),
    ((4, 4), {"max_tokens_per_step": 0}, ValueError, "max_tokens_per_step = 0"),
    (("4", 4), {}, TypeError, "max_sequences"),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), BATCHES)
def test_a_batch_is_not_made(pool, arguments, options, error, message):
    with pytest.raises(error, match=message):
        SequenceBatch(pool, *arguments, **options)


def test_a_batch_is_of_a_pool():
    with pytest.raises(TypeError, match="pool must be a BlockPool, not int"):
        SequenceBatch(3, 4, 4)


def test_what_cannot_be_a_row_is_refused(pool, batch):
    row = batch.sequences[0]
    cases = [
        (3, TypeError, "must be a BlockSequence, not int"),
        (row, ValueError, "is a row of a batch already"),
        (BlockPool(8, 4).open_sequence([1]), ForeignHandle, "of another pool"),
        (pool.open_sequence(range(17)), ValueError, "5 blocks, more than max_blocks_per_sequence = 4"),
    ]
    released = pool.open_sequence([1])
    released.release()
    preempted = pool.open_sequence([1])
    preempted.preempt()
    cases += [(released, StaleHandle, "released"), (preempted, StaleHandle, "resume it first")]
    for sequence, error, message in cases:
        with pytest.raises(error, match=message):
            batch.add(sequence)
    batch.add(pool.open_sequence([9]))
    with pytest.raises(ValueError, match="has max_sequences = 3 rows already"):
        batch.add(pool.open_sequence([9]))
    assert len(batch) == 3
    batch.check_invariants()


@pytest.mark.parametrize("row", [-1, 2, 2**40, None, "0", 1.0, True])
def test_what_is_no_row_is_not_removed(batch, row):
    with pytest.raises((ValueError, TypeError), match="row"):
        batch.remove(row)
    assert len(batch) == 2


def test_an_empty_batch_has_no_row_to_remove(pool):
    with pytest.raises(IndexError, match="no rows"):
        SequenceBatch(pool, 1, 1).remove(0)


STEPS = [
    (([1],), {}, ValueError, r"tokens has shape \(1,\), but the batch has 2 rows"),
    (([1, 2, 3],), {}, ValueError, "but the batch has 2 rows"),
    (([],), {}, ValueError, "but the batch has 2 rows"),
    ((5,), {}, ValueError, r"shape \(\), but"),
    ((np.zeros((2, 1, 1), np.int32),), {}, ValueError, "but the batch has 2 rows"),
    ((np.zeros((3, 1), np.int32),), {}, ValueError, "but the batch has 2 rows"),
    ((np.zeros((2, 5), np.int32),), {}, ValueError, "10 new tokens are more than max_tokens_per_step = 8"),
    (([[1, 2], [3]],), {}, ValueError, "inhomogeneous"),
    (([1.5, 2],), {}, TypeError, "float"),
    (([1, -2],), {}, ValueError, "-2"),
    (([1, 2**32],), {}, ValueError, str(2**32)),
    ((["a", "b"],), {}, TypeError, "dtype"),
    (([1, 2, 3],), {"offsets": [0, 1]}, ValueError, "offsets must be 3 numbers from 0 to 3"),
    (([1, 2, 3],), {"offsets": [0, 1, 2]}, ValueError, "offsets must be 3 numbers from 0 to 3"),
    (([1, 2, 3],), {"offsets": [1, 1, 3]}, ValueError, "offsets must be 3 numbers from 0 to 3"),
    (([1, 2, 3],), {"offsets": [0, 4, 3]}, ValueError, r"offsets\[2\] = 3 is less than offsets\[1\] = 4"),
    (([1, 2, 3],), {"offsets": []}, ValueError, "offsets must be 3 numbers"),
    (([[1], [2]],), {"offsets": [0, 1, 2]}, ValueError, "with offsets, tokens must have 1 dimension"),
    (([1, 2],), {"on_exhausted": "ignore"}, ValueError, "on_exhausted = 'ignore'"),
]


@pytest.mark.parametrize(("arguments", "options", "error", "message"), STEPS)
def test_a_step_that_does_not_fit_changes_nothing(pool, batch, arguments, options, error, message):
    before = state_of(pool, *batch.sequences)
    lengths = batch.sequence_lengths.tolist()
    with pytest.raises(error, match=message):
        batch.append(*arguments, **options)
    assert state_of(pool, *batch.sequences) == before
    assert batch.sequence_lengths.tolist() == lengths
    batch.check_invariants()


def test_a_row_that_would_be_too_long_is_named(pool, batch):
    for _ in range(11):
        batch.append([1, 2])
    before = state_of(pool, *batch.sequences)
    with pytest.raises(ValueError, match=r"row 0 would have 17 tokens, more than .* = 16"):
        batch.append([1, 2])
    assert state_of(pool, *batch.sequences) == before
    batch.sequences[0].append_tokens([9])
    with pytest.raises(ValueError, match="row 0 has 5 blocks"):
        batch.refresh()


def test_a_row_whose_sequence_reserved_more_than_it_shows_is_named(pool, batch):
    batch.sequences[1].reserve(20)
    for call in (lambda: batch.append([1, 2]), batch.refresh):
        with pytest.raises(ValueError, match=r"row 1 has 6 blocks, more than max_blocks_per_sequence = 4"):
            call()
    assert batch.sequence_lengths[:2].tolist() == [5, 3]
    batch.sequences[1].truncate(3)
    batch.append([1, 2])
    batch.check_invariants()


class Meddler:
    """A token that does something when it is read."""

    def __init__(self, do):
        self.do = do

    def __index__(self):
        self.do()
        return 7


def test_a_token_may_release_the_sequence_it_is_for(pool, sequence):
    with pytest.raises(StaleHandle):
        sequence.append_tokens([Meddler(sequence.release)])
    assert pool.available_blocks == 32
    pool.check_invariants()


@pytest.mark.parametrize("call", ["commit", "reserve", "truncate"])
@pytest.mark.parametrize("end", ["release", "preempt"])
def test_a_number_may_end_the_sequence_it_is_for(pool, sequence, call, end):
    with pytest.raises(StaleHandle):
        getattr(sequence, call)(Meddler(getattr(sequence, end)))
    assert pool.available_blocks == 32
    pool.check_invariants()


def test_a_number_may_shorten_the_sequence_it_is_for(pool):
    sequence = pool.open_sequence(range(20))
    with pytest.raises(ValueError, match=r"num_tokens = 7 is not in \[1, 2\]"):
        sequence.truncate(Meddler(lambda: sequence.truncate(2)))
    sequence.check_invariants()
    pool.check_invariants()


def test_a_row_may_change_the_batch_it_is_of(pool, batch):
    with pytest.raises(ValueError, match=r"row = 7 is not in \[0, 0\]"):
        batch.remove(Meddler(lambda: batch.remove(1)))
    assert len(batch) == 1
    batch.check_invariants()


def test_more_than_the_pool_has_is_refused_before_memory_is_taken(pool, sequence):
    for call in (lambda: sequence.reserve(2**31 - 10), lambda: pool.open_sequence([1], lookahead=2**31 - 1)):
        with pytest.raises(NotEnoughBlocksAvailable, match="but 30 are available of 32"):
            call()


@pytest.mark.parametrize("offsets", [[0, 1.0, 2], [0, 1.7, 2], ["0", "1", "2"]])
def test_offsets_are_integers(batch, offsets):
    with pytest.raises(TypeError, match="offsets must be integers"):
        batch.append([1, 2], offsets=offsets)


def test_offsets_may_not_change_the_batch_they_are_for(pool, batch):
    with pytest.raises(TypeError, match="offsets must be integers, not of dtype object"):
        batch.append([1, 2], offsets=[0, 1, Meddler(lambda: batch.remove(1))])
    assert len(batch) == 2
    batch.check_invariants()
    pool.check_invariants()
