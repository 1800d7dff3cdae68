"""Sequences as long as the pool, or longer: what a call takes or hits is never what the same call evicts."""

import pytest

from kvpool import BlockPool, NotEnoughBlocksAvailable

BLOCK = 16
NUM_BLOCKS = 256


@pytest.fixture
def full_pool():
    """A pool all of whose blocks are cached, none of them of the tests' tokens."""
    pool = BlockPool(NUM_BLOCKS, BLOCK, event_capacity=4096)
    for number in range(0, NUM_BLOCKS, 8):
        pool.register_blocks(pool.allocate_blocks(8), range(10**6 + number, 10**6 + number + 8)).release()
    assert pool.status().cached == NUM_BLOCKS
    yield pool
    pool.check_invariants()


def stored(pool):
    """How many hashes are registered."""
    return sum(event.kind.name == "STORED" for event in pool.snapshot().events)


def test_a_sequence_that_grows_to_the_size_of_the_pool_evicts_all_others_and_nothing_of_its_own(full_pool):
    sequence = full_pool.open_sequence(range(10))
    length = 10
    while length + BLOCK <= NUM_BLOCKS * BLOCK:
        sequence.append_tokens(range(length, length + BLOCK))
        length += BLOCK
        sequence.commit(length)
        table = sequence.block_table.tolist()
        assert len(set(table)) == len(table) == -(-length // BLOCK)
        found = full_pool.match_sequence_hashes(sequence.sequence_hashes)
        assert found.ids.tolist() == table[: length // BLOCK]
        del found
    assert full_pool.contains(range(10**6, 10**6 + NUM_BLOCKS)).sum() == 0
    full_pool.check_invariants()
    with pytest.raises(NotEnoughBlocksAvailable):
        sequence.append_tokens(range(BLOCK))
    assert (sequence.num_tokens, sequence.block_table.tolist()) == (length, table)


def test_one_call_takes_and_one_commits_as_many_blocks_as_the_pool_has(full_pool):
    sequence = full_pool.open_sequence(range(NUM_BLOCKS * BLOCK))
    sequence.commit(NUM_BLOCKS * BLOCK)
    assert full_pool.match_sequence_hashes(sequence.sequence_hashes).ids.tolist() == sequence.block_table.tolist()
    assert sorted(sequence.block_table.tolist()) == list(range(NUM_BLOCKS))


def test_what_is_much_longer_than_the_pool_is_refused_and_evicts_nothing(full_pool, unchanged):
    tokens = range(20 * NUM_BLOCKS * BLOCK)
    with unchanged(full_pool):
        with pytest.raises(NotEnoughBlocksAvailable):
            full_pool.open_sequence(tokens)
        with pytest.raises(NotEnoughBlocksAvailable):
            full_pool.allocate_blocks(20 * NUM_BLOCKS)
        assert full_pool.match_lengths([tokens]).tolist() == [0]


@pytest.mark.parametrize("cached", [1, 100, NUM_BLOCKS - 1])
def test_hits_of_a_call_are_not_what_the_same_call_evicts(full_pool, cached):
    tokens = range(NUM_BLOCKS * BLOCK)
    with full_pool.open_sequence(tokens[: cached * BLOCK]) as prefix:
        prefix.commit(cached * BLOCK)
    for number in range(NUM_BLOCKS - cached):  # all others are used later: the prefix is the first to go
        full_pool.touch([10**6 + number])
    rest = full_pool.status().cached - cached
    assert rest == NUM_BLOCKS - cached
    sequence = full_pool.open_sequence(tokens)
    assert sequence.num_cached_tokens == cached * BLOCK
    assert len(set(sequence.block_table.tolist())) == NUM_BLOCKS


def test_hits_of_a_call_that_does_not_fit_stay_cached(full_pool, unchanged):
    tokens = range((NUM_BLOCKS + 1) * BLOCK)
    with full_pool.open_sequence(tokens[: 100 * BLOCK]) as prefix:
        prefix.commit(100 * BLOCK)
        hashes = prefix.sequence_hashes
    with pytest.raises(NotEnoughBlocksAvailable):
        full_pool.open_sequence(tokens)
    assert full_pool.contains(hashes).all()
    assert full_pool.status().cached == NUM_BLOCKS
