"""A request in one object."""

import gc

import numpy as np
import pytest

from kvpool import BlockPool, NotEnoughBlocksAvailable, StaleHandle, sequence_hashes


def tokens(n, first=0):
    return np.arange(first, first + n, dtype=np.int32)


@pytest.fixture
def pool():
    return BlockPool(16, 4)


def computed(pool, token_ids, **options):
    """Return an opened sequence whose KV is written."""
    sequence = pool.open_sequence(token_ids, **options)
    sequence.commit(sequence.num_tokens)
    return sequence


def expect_sound(pool, *sequences):
    pool.check_invariants()
    for sequence in sequences:
        sequence.check_invariants()


def test_opening_allocates_what_is_not_cached(pool):
    sequence = pool.open_sequence(tokens(10))
    assert (sequence.num_tokens, sequence.num_blocks, sequence.num_cached_tokens) == (10, 3, 0)
    assert sequence.num_computed_tokens == 0
    assert sequence.block_table.tolist() == [0, 1, 2]
    assert (sequence.sequence_hashes == sequence_hashes(tokens(10), 4)).all()
    assert sequence.tokens.tolist() == list(range(10))
    assert len(sequence) == 10
    assert pool.available_blocks == 13
    expect_sound(pool, sequence)


def test_lookahead_has_blocks_for_further_tokens(pool):
    assert pool.open_sequence(tokens(8), lookahead=1).num_blocks == 3
    assert pool.open_sequence(tokens(7), lookahead=1).num_blocks == 2


def test_a_block_is_matchable_when_it_is_full_and_computed(pool):
    sequence = pool.open_sequence(tokens(10))
    assert not pool.contains(sequence.sequence_hashes).any()
    sequence.commit(7)
    assert pool.contains(sequence.sequence_hashes).tolist() == [True, False]
    sequence.commit(10)
    assert pool.contains(sequence.sequence_hashes).tolist() == [True, True]
    expect_sound(pool, sequence)


def test_one_token_is_left_to_compute(pool):
    computed(pool, tokens(8)).release()
    again = pool.open_sequence(tokens(8))
    assert again.num_cached_tokens == 4
    longer = pool.open_sequence(tokens(9))
    assert longer.num_cached_tokens == 8
    assert longer.num_computed_tokens == 8
    expect_sound(pool, again, longer)


def test_another_salt_is_another_prompt(pool):
    computed(pool, tokens(9)).release()
    assert pool.open_sequence(tokens(9), salt_hash=1).num_cached_tokens == 0
    assert pool.open_sequence(tokens(9), salt_hash=1).salt_hash == 1


def test_appending_takes_a_block_when_the_last_is_full(pool):
    sequence = pool.open_sequence(tokens(3))
    blocks = []
    for token in range(3, 9):
        sequence.append_tokens([token])
        blocks.append(sequence.num_blocks)
    assert blocks == [1, 2, 2, 2, 2, 3]
    sequence.append_tokens(tokens(8, 9))
    assert sequence.num_blocks == 5
    assert (sequence.sequence_hashes == sequence_hashes(tokens(17), 4)).all()
    expect_sound(pool, sequence)


def test_an_append_says_that_what_was_there_is_computed(pool):
    sequence = pool.open_sequence(tokens(8))
    sequence.append_tokens([8])
    assert sequence.num_computed_tokens == 8
    assert pool.contains(sequence.sequence_hashes).all()


def test_without_commit_on_append_it_does_not(pool):
    sequence = pool.open_sequence(tokens(8), commit_on_append=False)
    sequence.append_tokens([8])
    assert sequence.num_computed_tokens == 0
    assert not pool.contains(sequence.sequence_hashes).any()
    sequence.commit(9)
    assert pool.contains(sequence.sequence_hashes).all()


def test_reserved_slots_are_used_by_the_next_append(pool):
    sequence = pool.open_sequence(tokens(4))
    sequence.reserve(5)
    assert sequence.num_blocks == 3
    before = sequence.block_table.tolist()
    sequence.append_tokens(tokens(5, 4))
    assert sequence.block_table.tolist() == before
    sequence.reserve(0)
    expect_sound(pool, sequence)


def test_truncating_gives_back_the_blocks_behind(pool):
    sequence = pool.open_sequence(tokens(10))
    assert sequence.truncate(8).shape == (0, 2)
    assert sequence.num_blocks == 2
    assert sequence.truncate(5).shape == (0, 2)
    assert (sequence.num_tokens, sequence.num_blocks) == (5, 2)
    assert pool.available_blocks == 14
    expect_sound(pool, sequence)


def test_truncating_into_a_registered_block_of_ones_own_takes_its_identity(pool):
    sequence = computed(pool, tokens(8))
    lost = sequence.sequence_hashes[1:]
    table = sequence.block_table.tolist()
    assert sequence.truncate(6).shape == (0, 2)
    assert sequence.block_table.tolist() == table
    assert sequence.num_computed_tokens == 6
    assert not pool.contains(lost).any()
    expect_sound(pool, sequence)


def test_truncating_into_a_shared_block_goes_on_in_a_copy(pool):
    first = computed(pool, tokens(9))
    second = pool.open_sequence(tokens(9))
    copies = second.truncate(6)
    assert copies.tolist() == [[first.block_table[1], second.block_table[1]]]
    assert first.block_table[1] != second.block_table[1]
    assert first.block_table[0] == second.block_table[0]
    assert pool.contains(first.sequence_hashes).all()
    expect_sound(pool, first, second)


def test_truncating_below_what_continues_a_block_goes_on_in_a_copy(pool):
    sequence = computed(pool, tokens(12))
    hashes = sequence.sequence_hashes
    assert sequence.truncate(3).shape == (1, 2)
    assert pool.contains(hashes).all()
    expect_sound(pool, sequence)


def test_without_a_block_for_the_copy_nothing_is_truncated():
    pool = BlockPool(2, 4)
    sequence = computed(pool, tokens(8))
    with pytest.raises(NotEnoughBlocksAvailable):
        sequence.truncate(3)
    assert sequence.num_tokens == 8
    expect_sound(pool, sequence)


def test_a_fork_shares_registered_blocks_and_copies_the_others(pool):
    sequence = computed(pool, tokens(10))
    child, copies = sequence.fork(owner="child")
    assert copies.tolist() == [[sequence.block_table[2], child.block_table[2]]]
    assert child.block_table[:2].tolist() == sequence.block_table[:2].tolist()
    assert (child.num_tokens, child.num_computed_tokens, child.owner) == (10, 10, "child")
    child.append_tokens([77])
    sequence.append_tokens([78])
    assert child.tokens.tolist() != sequence.tokens.tolist()
    expect_sound(pool, sequence, child)
    sequence.release()
    expect_sound(pool, child)


def test_a_fork_copies_full_blocks_that_are_not_computed(pool):
    sequence = pool.open_sequence(tokens(8))
    child, copies = sequence.fork()
    assert copies.tolist() == [[0, 2], [1, 3]]
    expect_sound(pool, sequence, child)


def test_what_is_preempted_is_found_again(pool):
    sequence = computed(pool, tokens(10))
    sequence.preempt()
    assert (sequence.is_preempted, sequence.num_blocks, sequence.block_table.tolist()) == (True, 0, [])
    assert pool.available_blocks == 16
    sequence.resume()
    assert (sequence.is_preempted, sequence.num_cached_tokens, sequence.num_blocks) == (False, 8, 3)
    expect_sound(pool, sequence)


def test_without_room_it_stays_preempted(pool):
    sequence = computed(pool, tokens(10))
    sequence.preempt()
    with pool.allocate_blocks(16), pytest.raises(NotEnoughBlocksAvailable):
        sequence.resume()
    assert sequence.is_preempted
    sequence.resume()
    expect_sound(pool, sequence)


@pytest.mark.parametrize("way", ["release", "drop", "with"])
def test_blocks_come_back_however_it_ends(pool, way):
    sequence = pool.open_sequence(tokens(10))
    if way == "release":
        sequence.release()
        assert sequence.released
        sequence.release()
    elif way == "drop":
        del sequence
    else:
        with sequence:
            pass
    assert pool.available_blocks == 16
    expect_sound(pool)


def test_a_pool_that_is_full_changes_nothing(pool):
    computed(pool, tokens(40)).release()
    order = BlockPool(16, 4)
    computed(order, tokens(40)).release()
    held = pool.allocate_blocks(3)
    order_held = order.allocate_blocks(3)
    before = pool.status()
    with pytest.raises(NotEnoughBlocksAvailable, match=r"requested 14 blocks, but 13 are available of 16"):
        pool.open_sequence(tokens(56, 100))
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.open_sequence(tokens(60))  # ten are found, and they are no room for the other five
    assert pool.status() == before
    assert pool.allocate_blocks(13).evicted.ids.tolist() == order.allocate_blocks(13).evicted.ids.tolist()
    assert len(held) == len(order_held)


def test_a_failure_leaves_the_order_of_eviction_also_where_blocks_are_not_linked():
    def pool_with_cache():
        pool = BlockPool(8, 4)
        hashes = sequence_hashes(tokens(12), 4)
        for one in (hashes[2:], hashes[:1], hashes[1:2]):  # each by itself, so that none is known to continue another
            pool.register_blocks(pool.allocate_blocks(1), one).release()
        pool.register_blocks(pool.allocate_blocks(1), [99]).release()
        return pool, pool.allocate_blocks(3)

    pool, _held = pool_with_cache()
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.open_sequence(tokens(22))
    other, _also_held = pool_with_cache()
    assert pool.allocate_blocks(5).evicted.ids.tolist() == other.allocate_blocks(5).evicted.ids.tolist()


def test_a_fork_that_fails_says_how_many_blocks_it_needs():
    pool = BlockPool(4, 4)
    sequence = pool.open_sequence(tokens(5), lookahead=4)
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        sequence.fork()
    assert (caught.value.requested, caught.value.available) == (2, 1)


def test_a_failed_append_changes_nothing():
    pool = BlockPool(2, 4)
    sequence = pool.open_sequence(tokens(8))
    with pytest.raises(NotEnoughBlocksAvailable):
        sequence.append_tokens([8])
    assert (sequence.num_tokens, sequence.num_computed_tokens) == (8, 0)
    with pytest.raises(NotEnoughBlocksAvailable):
        sequence.reserve(1)
    expect_sound(pool, sequence)


def test_who_holds_what_is_told(pool):
    sequence = pool.open_sequence(tokens(10), owner="request 7")
    (hold,) = pool.outstanding()
    assert (hold.owner, hold.kind, hold.blocks) == ("request 7", "sequence", 3)
    with pytest.raises(NotEnoughBlocksAvailable, match=r"request 7.* 3 sequence"):
        pool.allocate_blocks(14)
    sequence.release()
    assert pool.outstanding() == []


def test_the_first_to_register_a_block_keeps_it(pool):
    first, second = pool.open_sequence(tokens(9)), pool.open_sequence(tokens(9))
    table = second.block_table
    first.commit(9)
    second.commit(9)
    assert table[:2].tolist() == first.block_table[:2].tolist()  # the array shows the table as it is
    assert pool.status().active == 4
    expect_sound(pool, first, second)


def test_a_pool_that_keeps_duplicates_keeps_both():
    pool = BlockPool(16, 4, duplicates="keep")
    first, second = pool.open_sequence(tokens(9)), pool.open_sequence(tokens(9))
    table = second.block_table.tolist()
    first.commit(9)
    second.commit(9)
    assert second.block_table.tolist() == table
    expect_sound(pool, first, second)


def test_a_table_shows_itself_and_outlives_the_sequence(pool):
    sequence = pool.open_sequence(tokens(4))
    shown = sequence.block_table
    assert sequence.block_table is shown
    with pytest.raises(ValueError, match="read-only"):
        shown[0] = 1
    sequence.append_tokens(tokens(40, 4))
    assert len(sequence.block_table) == 11
    assert shown.tolist() == [0]
    del sequence
    gc.collect()
    assert shown.tolist() == [0]


def test_an_opened_sequence_evicts_as_any_allocation_does():
    pool = BlockPool(4, 4, event_capacity=64)
    computed(pool, tokens(12)).release()
    sequence = computed(pool, tokens(13, 50))
    removed = [event for event in pool.events() if event.reason is not None]
    assert [event.reason.name for event in removed] == ["CAPACITY"] * 3
    sequence.truncate(10)
    assert pool.events()[-1].reason.name == "TRUNCATED"
    expect_sound(pool, sequence)


def test_after_its_end_it_says_so(pool):
    sequence = pool.open_sequence(tokens(5))
    sequence.release()
    for call in (
        lambda: sequence.append_tokens([1]),
        lambda: sequence.commit(5),
        lambda: sequence.truncate(1),
        lambda: sequence.reserve(1),
        sequence.fork,
        sequence.preempt,
        sequence.resume,
    ):
        with pytest.raises(StaleHandle, match="released"):
            call()
    preempted = pool.open_sequence(tokens(5))
    preempted.preempt()
    with pytest.raises(StaleHandle, match="resume it first"):
        preempted.append_tokens([1])
    assert "preempted" in repr(preempted)
    assert "released" in repr(sequence)
