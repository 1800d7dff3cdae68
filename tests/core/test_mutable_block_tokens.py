from types import SimpleNamespace

import numpy as np
import pytest

from kvpool import BlockNotComplete, BlockState, InvalidMutableBlock, StaleHandle, TokenBlockSequence, sequence_hashes


@pytest.fixture
def block(pool):
    return pool.allocate_blocks(1)[0]


def state_of(block):
    return block.tokens.tolist(), block.num_tokens, block.remaining, block.is_complete


def test_a_fresh_block_has_no_tokens(pool, block):
    assert state_of(block) == ([], 0, 4, False)
    assert block.tokens.dtype == np.uint32
    assert (block.id, block.state, block.released) == (0, BlockState.ALLOCATED, False)
    assert repr(block) == "<MutableBlock 0 with 0 tokens>"


def test_a_block_is_filled_token_by_token_and_committed(pool, block):
    block.init_sequence()
    for token in (7, 8, 9, 10):
        block.add_token(token)
    assert state_of(block) == ([7, 8, 9, 10], 4, 0, False)
    block.commit()
    assert block.is_complete
    assert [block.sequence_hash] == sequence_hashes([7, 8, 9, 10], 4).tolist()


def test_tokens_can_be_taken_back(block):
    block.init_sequence()
    block.add_tokens([1, 2, 3, 4])
    assert block.pop_token() == 4
    assert block.pop_tokens(2) == [2, 3]
    assert block.pop_tokens(0) == []
    assert state_of(block) == ([1], 1, 3, False)
    block.add_tokens([5, 6, 7])
    block.commit()
    assert [block.sequence_hash] == sequence_hashes([1, 5, 6, 7], 4).tolist()


def test_salt_and_parent_are_part_of_the_hash(pool, store):
    parent = store(pool, [77])
    expected = sequence_hashes([1, 2, 3, 4], 4, salt_hash=5, parent=77).tolist()
    for given in (77, parent, parent[0]):
        block = pool.allocate_blocks(1)[0]
        block.init_sequence(salt_hash=5, parent=given)
        block.add_tokens([1, 2, 3, 4])
        block.commit()
        assert [block.sequence_hash] == expected


def test_the_largest_token_is_kept(block):
    block.init_sequence()
    block.add_tokens([2**32 - 1, 0])
    assert block.tokens.tolist() == [2**32 - 1, 0]
    assert block.pop_tokens(2) == [2**32 - 1, 0]


@pytest.mark.parametrize("act", [lambda b: b.add_token(1), lambda b: b.add_tokens([1]), lambda b: b.add_tokens([])])
def test_tokens_need_a_sequence(block, act):
    with pytest.raises(InvalidMutableBlock, match="has no sequence: call init_sequence first"):
        act(block)
    assert state_of(block) == ([], 0, 4, False)


def test_a_sequence_begins_once(block):
    block.init_sequence()
    with pytest.raises(InvalidMutableBlock, match="has a sequence already"):
        block.init_sequence()
    block.reset()
    block.init_sequence(salt_hash=3)


@pytest.mark.parametrize("tokens", [[1, 2], [1, 2, 3], list(range(1000))])
def test_tokens_that_do_not_all_fit_are_refused(block, tokens):
    block.init_sequence()
    block.add_tokens([1, 2, 3])
    with pytest.raises(ValueError, match=f"{len(tokens)} tokens do not fit into block 0, which has 3 of 4"):
        block.add_tokens(tokens)
    assert block.tokens.tolist() == [1, 2, 3]


@pytest.mark.parametrize("n", [-1, 3, 2**31, 2**70, -(2**70)])
def test_no_more_tokens_can_be_taken_than_there_are(block, n):
    block.init_sequence()
    block.add_tokens([1, 2])
    with pytest.raises(ValueError, match="block 0"):
        block.pop_tokens(n)
    assert block.tokens.tolist() == [1, 2]


def test_nothing_can_be_popped_from_a_fresh_block(block):
    with pytest.raises(ValueError, match="cannot pop 1 tokens from block 0, which has 0"):
        block.pop_token()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_block_that_is_not_full_cannot_be_committed(block, count):
    block.init_sequence()
    block.add_tokens(range(count))
    with pytest.raises(BlockNotComplete, match=f"block 0 has {count} of 4 tokens"):
        block.commit()
    assert not block.is_complete


def test_a_block_without_sequence_cannot_be_committed(block):
    with pytest.raises(BlockNotComplete):
        block.commit()


def test_an_incomplete_block_has_no_sequence_hash(block):
    with pytest.raises(BlockNotComplete, match="block 0 is not complete"):
        block.sequence_hash  # noqa: B018
    block.init_sequence()
    block.add_tokens([1, 2, 3, 4])
    with pytest.raises(BlockNotComplete):
        block.sequence_hash  # noqa: B018


@pytest.mark.parametrize(
    "act",
    [
        lambda b: b.add_token(1),
        lambda b: b.add_tokens([]),
        lambda b: b.pop_token(),
        lambda b: b.pop_tokens(0),
        lambda b: b.commit(),
        lambda b: b.init_sequence(),
    ],
)
def test_a_complete_block_stays_as_it_is(block, act):
    block.init_sequence()
    block.add_tokens([1, 2, 3, 4])
    block.commit()
    before = block.sequence_hash
    with pytest.raises(InvalidMutableBlock):
        act(block)
    assert (block.tokens.tolist(), block.sequence_hash) == ([1, 2, 3, 4], before)


def test_reset_makes_a_block_fresh_again(pool, block):
    block.reset()
    block.init_sequence(salt_hash=5, parent=77)
    block.add_tokens([1, 2, 3, 4])
    block.commit()
    block.reset()
    assert state_of(block) == ([], 0, 4, False)
    block.init_sequence()
    block.add_tokens([1, 2, 3, 4])
    block.commit()
    assert [block.sequence_hash] == sequence_hashes([1, 2, 3, 4], 4).tolist()


@pytest.mark.parametrize(
    "act",
    [
        lambda b: b.add_token(1),
        lambda b: b.add_tokens([1]),
        lambda b: b.pop_token(),
        lambda b: b.pop_tokens(1),
        lambda b: b.commit(),
        lambda b: b.init_sequence(),
        lambda b: b.reset(),
        lambda b: b.state,
        lambda b: b.apply_token_block(TokenBlockSequence(range(4), 4).blocks[0]),
    ],
)
@pytest.mark.parametrize("end", ["release", "register"])
def test_a_block_that_is_gone_cannot_be_used(pool, block, act, end):
    block.init_sequence()
    block.add_tokens([1, 2, 3])
    if end == "release":
        block.release()
    else:
        block.add_token(4)
        block.commit()
        pool.register_blocks(block)
    with pytest.raises(InvalidMutableBlock, match="block 0 was registered or released already"):
        act(block)
    assert block.released
    assert block.id == 0


def test_tokens_of_one_block_are_apart_from_its_neighbours(pool):
    blocks = pool.allocate_blocks(3)
    for i in (2, 0, 1):
        blocks[i].init_sequence()
        blocks[i].add_tokens([i] * (i + 1))
    blocks[1].reset()
    assert [block.tokens.tolist() for block in blocks] == [[0], [], [2, 2, 2]]


def test_the_tokens_array_is_a_copy(block):
    block.init_sequence()
    block.add_tokens([1, 2])
    tokens = block.tokens
    block.pop_token()
    block.add_tokens([9, 9])
    assert tokens.tolist() == [1, 2]


@pytest.mark.parametrize("version", [1, 2])
def test_a_token_block_gives_tokens_salt_parent_and_hash(pool, version):
    sequence = TokenBlockSequence(range(12), block_size=4, salt_hash=21, version=version)
    blocks = pool.allocate_blocks(3)
    for block, token_block in zip(blocks, sequence.blocks, strict=True):
        block.apply_token_block(token_block)
    assert [block.tokens.tolist() for block in blocks] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    registered = pool.register_blocks(blocks)
    assert registered.sequence_hashes.tolist() == sequence.sequence_hashes.tolist()
    assert [event.parent_hash for event in pool.events()] == [None, *sequence.sequence_hashes.tolist()[:2]]


def test_a_token_block_needs_a_fresh_block(block):
    token_block = TokenBlockSequence(range(4), block_size=4).blocks[0]
    block.init_sequence()
    with pytest.raises(InvalidMutableBlock, match="has a sequence already"):
        block.apply_token_block(token_block)
    assert state_of(block) == ([], 0, 4, False)


def test_a_token_block_of_another_size_is_refused(block):
    with pytest.raises(ValueError, match="the token block has 8 tokens, the pool's blocks have 4"):
        block.apply_token_block(TokenBlockSequence(range(8), block_size=8).blocks[0])


@pytest.mark.parametrize("other", [None, 5, [1, 2, 3, 4], "abcd", object()])
def test_only_a_token_block_is_a_token_block(block, other):
    with pytest.raises(TypeError, match="token_block must be a TokenBlock"):
        block.apply_token_block(other)


FORGED = {"block_size": 4, "tokens": [1, 2, 3, 4], "salt_hash": 0, "parent_sequence_hash": None, "sequence_hash": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": [1, 2, 3]},
        {"tokens": [1, 2, 3, 4, 5]},
        {"tokens": [-1, 2, 3, 4]},
        {"tokens": None},
        {"salt_hash": -1},
        {"parent_sequence_hash": 2**64},
        {"sequence_hash": None},
        {"sequence_hash": 2**64},
    ],
    ids=str,
)
def test_a_forged_token_block_changes_nothing(block, change):
    with pytest.raises((TypeError, ValueError, BlockNotComplete)):
        block.apply_token_block(SimpleNamespace(**{**FORGED, **change}))
    assert state_of(block) == ([], 0, 4, False)
    block.init_sequence()


def test_a_token_block_that_releases_the_block_is_refused(pool, block):
    class Releasing(SimpleNamespace):
        @property
        def sequence_hash(self):
            block.release()
            return 5

    forged = {name: value for name, value in FORGED.items() if name != "sequence_hash"}
    with pytest.raises(InvalidMutableBlock):
        block.apply_token_block(Releasing(**forged))
    assert not block.is_complete


@pytest.mark.parametrize(
    "tokens",
    [[-1], [2**32], [1.5], ["a"], [None], None, 5, "abc", b"abc", {1: 2}, np.array([1.0]), np.array([[1]])],
    ids=repr,
)
def test_what_are_no_tokens_is_refused(block, tokens):
    block.init_sequence()
    with pytest.raises((TypeError, ValueError), match="token_ids"):
        block.add_tokens(tokens)
    assert block.num_tokens == 0


def test_tokens_come_in_many_forms(pool):
    forms = [
        (1, 2, 3),
        np.array([1, 2, 3], dtype=np.int64),
        np.array([3, 2, 1], dtype=np.uint8)[::-1],
        memoryview(np.array([1, 2, 3], dtype=np.uint32)),
        (i for i in (1, 2, 3)),
    ]
    for tokens in forms:
        block = pool.allocate_blocks(1)[0]
        block.init_sequence()
        block.add_tokens(tokens)
        assert block.tokens.tolist() == [1, 2, 3]


def test_a_released_parent_is_refused(pool, store, block):
    parent = store(pool, [1])
    parent.release()
    with pytest.raises(StaleHandle):
        block.init_sequence(parent=parent)
    block.init_sequence()


def test_tokens_may_come_in_a_buffer_that_has_no_strides(run_python):
    program = """
        import ctypes
        from kvpool import BlockPool
        blocks = BlockPool(num_blocks=4, block_size=4).allocate_blocks(1)
        print(blocks.fill((ctypes.c_uint32 * 4)(1, 2, 3, 4))[0].tokens.tolist())
        """
    assert run_python(program) == "[1, 2, 3, 4]\n"
