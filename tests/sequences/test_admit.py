"""Waiting prompts, many in one call."""

import numpy as np
import pytest

from kvpool import BlockPool, SequenceBatch


def tokens(n, first=0):
    return np.arange(first, first + n, dtype=np.int32)


def test_prompts_are_opened_as_far_as_blocks_go_round():
    pool = BlockPool(8, 4)
    first, second, third = pool.admit([tokens(12), tokens(16, 100), tokens(8, 200)])
    assert (first.num_cached_blocks, first.num_new_blocks) == (0, 3)
    assert (second.num_cached_blocks, second.num_new_blocks) == (0, 4)
    assert first.sequence.num_blocks == 3
    assert second.sequence.num_blocks == 4
    assert (third.sequence, third.waits_for, third.num_new_blocks) == (None, None, 2)
    assert pool.available_blocks == 1
    pool.check_invariants()


def test_after_one_that_does_not_fit_none_is_opened():
    pool = BlockPool(8, 4)
    big, small = pool.admit([tokens(40), tokens(4, 100)])
    assert big.sequence is None
    assert small.sequence is None
    assert pool.available_blocks == 8


def test_what_is_opened_is_promised_to_nobody_else():
    pool = BlockPool(8, 4)
    (first,) = pool.admit([tokens(24)])
    (second,) = pool.admit([tokens(12, 100)])
    assert second.sequence is None
    del first
    (second,) = pool.admit([tokens(12, 100)])
    assert second.sequence is not None


def test_a_cached_prefix_counts_as_cached():
    pool = BlockPool(8, 4)
    with pool.open_sequence(tokens(9)) as sequence:
        sequence.commit(9)
    (admission,) = pool.admit([tokens(14)], lookahead=4)
    assert (admission.num_cached_blocks, admission.num_new_blocks) == (2, 3)
    assert admission.sequence.num_cached_tokens == 8


def test_a_prompt_waits_for_who_computes_its_next_block():
    pool = BlockPool(32, 4)
    first, second, other = pool.admit([tokens(12), tokens(13), tokens(12, 100)], owners=["a", "b", "c"])
    assert second.sequence is None
    assert second.waits_for is first.sequence
    assert other.sequence.owner == "c"
    first.sequence.commit(4)
    (second,) = pool.admit([tokens(13)])
    assert (second.num_cached_blocks, second.waits_for) == (1, first.sequence)
    first.sequence.commit(12)
    (second,) = pool.admit([tokens(13)])
    assert second.waits_for is None
    assert second.sequence.num_cached_tokens == 12


def test_it_need_not_wait():
    pool = BlockPool(32, 4)
    first, second = pool.admit([tokens(12), tokens(12)], wait_for_running=False)
    assert first.sequence.num_cached_tokens == second.sequence.num_cached_tokens == 0


@pytest.mark.parametrize("end", ["drop", "release", "preempt", "truncate", "batch"])
def test_nobody_waits_for_who_has_stopped(end):
    pool = BlockPool(32, 4)
    running = pool.open_sequence(tokens(12))
    assert pool.admit([tokens(12)])[0].waits_for is running
    batch = SequenceBatch(pool, 1, 8)
    if end == "drop":
        del running
    elif end == "release":
        running.release()
    elif end == "preempt":
        running.preempt()
    elif end == "truncate":
        running.truncate(3)
    else:
        running.commit(12)
        batch.add(running)
    (admission,) = pool.admit([tokens(12)])
    assert admission.waits_for is None
    assert admission.sequence is not None


def test_who_was_dropped_leaves_nothing_behind():
    pool = BlockPool(32, 4)
    for i in range(1000):
        pool.open_sequence(tokens(8, 10 * i))
    assert pool.available_blocks == 32
    pool.check_invariants()


def test_prompts_may_be_iterators():
    pool = BlockPool(32, 4)
    (admission,) = pool.admit(iter([iter([1, 2, 3])]))
    assert admission.sequence.tokens.tolist() == [1, 2, 3]


def test_owners_are_as_many_as_prompts():
    pool = BlockPool(32, 4)
    with pytest.raises(ValueError, match="owners has 1 entries for 2 prompts"):
        pool.admit([tokens(4), tokens(5)], owners=["a"])
    assert pool.available_blocks == 32


def test_an_empty_prompt_is_named():
    pool = BlockPool(32, 4)
    with pytest.raises(ValueError, match=r"prompts\[1\] is empty"):
        pool.admit([tokens(4), []])
    assert pool.available_blocks == 32
    assert pool.admit([]) == []
