import copy
import doctest
import random
import struct
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from kvpool import TokenBlockSequence, block_hashes, positional_lineage_hashes, sequence_hashes
from kvpool.tokens import token_block, token_block_sequence

SEQUENCE_HASHES = [14643705804678351452, 4945711292740353085, 12583592247330656132]
BLOCK_HASHES = [14643705804678351452, 16777012769546811212, 483935686894639516]


def sequence_of(count, **options):
    return TokenBlockSequence(range(1, count + 1), block_size=4, **{"salt_hash": 1337} | options)


def state_of(sequence):
    return (
        sequence.tokens.tolist(),
        sequence.partial_tokens.tolist(),
        sequence.block_hashes.tolist(),
        sequence.sequence_hashes.tolist(),
        list(sequence.blocks),
    )


def reference_hashes(tokens, block_size, salt_hash, version):
    """Block and sequence hashes by their definition: another XXH3 where there is one, else hashed from scratch."""
    try:
        from xxhash import xxh3_64_intdigest
    except ImportError:
        return (
            block_hashes(tokens, block_size, salt_hash=salt_hash).tolist(),
            sequence_hashes(tokens, block_size, salt_hash=salt_hash, version=version).tolist(),
        )
    blocks, sequence = [], []
    for start in range(0, len(tokens) // block_size * block_size, block_size):
        packed = struct.pack(f"<{block_size}I", *tokens[start : start + block_size])
        blocks.append(xxh3_64_intdigest(packed, salt_hash))
        if sequence:
            pair = struct.pack("<QQ", sequence[-1], blocks[-1])
            sequence.append(xxh3_64_intdigest(pair, salt_hash if version == 1 else 1337))
        else:
            sequence.append(blocks[-1])
    return blocks, sequence


def test_hashes_are_dynamos():
    sequence = sequence_of(12)
    assert sequence.block_hashes.tolist() == BLOCK_HASHES
    assert sequence.sequence_hashes.tolist() == SEQUENCE_HASHES


@pytest.mark.parametrize(("version", "second"), [(1, 4185132130981121146), (2, 17538018756801271241)])
def test_version_chooses_the_generation(version, second):
    sequence = sequence_of(8, salt_hash=0, version=version)
    assert sequence.sequence_hashes.tolist() == [8052976908588476977, second]
    assert sequence.version == version


def test_append_gives_the_index_of_the_block_it_completes():
    sequence = sequence_of(0)
    completed = [sequence.append(token) for token in range(1, 13)]
    assert completed == [None, None, None, 0, None, None, None, 1, None, None, None, 2]
    assert sequence.sequence_hashes.tolist() == SEQUENCE_HASHES


def test_extend_gives_the_indices_of_the_blocks_it_completes():
    sequence = sequence_of(0)
    assert sequence.extend([1, 2, 3]) is None
    assert sequence.extend([4]) == range(1)
    assert sequence.extend([]) is None
    assert sequence.extend([5, 6, 7, 8, 9, 10, 11, 12, 13]) == range(1, 3)
    assert sequence.sequence_hashes.tolist() == SEQUENCE_HASHES
    assert sequence.partial_tokens.tolist() == [13]


def test_a_block_of_one_token_is_complete_at_once():
    sequence = TokenBlockSequence(block_size=1)
    assert [sequence.append(7), sequence.append(8)] == [0, 1]


def test_length_counts_the_partial_block():
    sequence = sequence_of(10)
    assert len(sequence) == 10
    assert len(sequence.blocks) == 2
    assert sequence.tokens.tolist() == list(range(1, 11))
    assert sequence.partial_tokens.tolist() == [9, 10]


def test_an_empty_sequence_has_no_blocks():
    sequence = TokenBlockSequence()
    assert len(sequence) == 0
    assert state_of(sequence) == ([], [], [], [], [])
    assert (sequence.block_size, sequence.salt_hash, sequence.version) == (16, 0, 2)


def test_truncate_drops_the_blocks_that_are_no_longer_full():
    sequence = sequence_of(12)
    sequence.truncate(8)
    assert sequence.sequence_hashes.tolist() == SEQUENCE_HASHES[:2]
    sequence.truncate(7)
    assert state_of(sequence) == state_of(sequence_of(7))
    sequence.truncate(0)
    assert state_of(sequence) == state_of(sequence_of(0))


def test_unwind_drops_tokens_from_the_end():
    sequence = sequence_of(12)
    sequence.unwind(0)
    assert len(sequence) == 12
    sequence.unwind(5)
    assert state_of(sequence) == state_of(sequence_of(7))


def test_pop_gives_back_the_last_token():
    sequence = sequence_of(9)
    assert [sequence.pop(), sequence.pop(), sequence.pop()] == [9, 8, 7]
    assert state_of(sequence) == state_of(sequence_of(6))


def test_pop_from_an_empty_sequence_raises():
    with pytest.raises(IndexError, match="pop from an empty TokenBlockSequence"):
        TokenBlockSequence().pop()


def test_a_block_completed_again_has_the_hash_of_its_new_tokens():
    sequence = sequence_of(8)
    first = sequence.sequence_hashes
    sequence.pop()
    assert sequence.append(99) == 1
    assert sequence.sequence_hashes.tolist() == sequence_hashes([1, 2, 3, 4, 5, 6, 7, 99], 4, salt_hash=1337).tolist()
    assert first.tolist() == SEQUENCE_HASHES[:2]


@pytest.mark.parametrize("seed", range(25))
def test_any_history_ends_with_the_hashes_from_scratch(seed):
    rng = random.Random(seed)
    block_size = rng.choice([1, 2, 3, 4, 16, 64])
    salt_hash = rng.choice([0, 1337, rng.randrange(2**64)])
    version = rng.choice([1, 2])
    tokens = []
    sequence = TokenBlockSequence(block_size=block_size, salt_hash=salt_hash, version=version)
    for _ in range(150):
        action = rng.choice(["append", "append", "extend", "extend", "truncate", "unwind", "pop"])
        full = len(tokens) // block_size
        if action == "append":
            tokens.append(rng.randrange(2**32))
            completed = sequence.append(tokens[-1])
            assert completed == (full if len(tokens) // block_size > full else None)
        elif action == "extend":
            new = [rng.randrange(2**32) for _ in range(rng.randrange(4 * block_size))]
            tokens += new
            completed = sequence.extend(rng.choice([list, tuple, np.array, iter])(new) if new else new)
            assert completed == (range(full, len(tokens) // block_size) or None)
        elif action == "truncate":
            keep = rng.randrange(len(tokens) // 2, len(tokens) + 1)
            del tokens[keep:]
            sequence.truncate(keep)
        elif action == "unwind":
            drop = rng.randrange(min(len(tokens), 2 * block_size) + 1)
            del tokens[len(tokens) - drop :]
            sequence.unwind(drop)
        elif tokens:
            assert sequence.pop() == tokens.pop()
        blocks, chain = reference_hashes(tokens, block_size, salt_hash, version)
        assert len(sequence) == len(tokens)
        assert sequence.tokens.tolist() == tokens
        assert sequence.partial_tokens.tolist() == tokens[len(blocks) * block_size :]
        assert sequence.block_hashes.tolist() == blocks
        assert sequence.sequence_hashes.tolist() == chain
        assert [block.sequence_hash for block in sequence.blocks] == chain


def test_blocks_hold_tokens_hashes_and_place():
    sequence = sequence_of(12)
    for position, block in enumerate(sequence.blocks):
        assert block.tokens == tuple(range(4 * position + 1, 4 * position + 5))
        assert block.block_hash == BLOCK_HASHES[position]
        assert block.sequence_hash == SEQUENCE_HASHES[position]
        assert block.parent_sequence_hash == (SEQUENCE_HASHES[position - 1] if position else None)
        assert (block.position, block.salt_hash, block.block_size) == (position, 1337, 4)


def test_blocks_know_their_lineage_hash():
    lineage = [block.positional_lineage_hash for block in sequence_of(12).blocks]
    assert lineage == positional_lineage_hashes(SEQUENCE_HASHES)
    assert lineage[2] == 0xABA8799E9B2033E122B2379D6D3C3D


def test_blocks_are_a_sequence_that_follows():
    sequence = sequence_of(8)
    blocks = sequence.blocks
    first, second = blocks
    assert blocks[-1] == second
    assert blocks[0] == first
    assert blocks[:1] == (first,)
    assert blocks[::-1] == (second, first)
    assert second in blocks
    assert blocks.index(second) == 1
    sequence.extend([9, 10, 11, 12])
    assert len(blocks) == 3
    sequence.truncate(4)
    assert list(blocks) == [first]
    assert repr(blocks) == f"TokenBlocks([{first!r}])"
    with pytest.raises(IndexError):
        blocks[1]


def test_blocks_are_immutable_and_hashable():
    sequence = sequence_of(8)
    first = sequence.blocks[0]
    with pytest.raises(FrozenInstanceError):
        first.sequence_hash = 1
    assert len({first, sequence.blocks[0], sequence.blocks[1]}) == 2
    sequence.truncate(0)
    assert first.tokens == (1, 2, 3, 4)


def test_hash_arrays_are_read_only_and_keep_their_values():
    sequence = sequence_of(8)
    arrays = [sequence.sequence_hashes, sequence.block_hashes, sequence.tokens, sequence.partial_tokens]
    values = [array.tolist() for array in arrays]
    sequence.extend([9, 10, 11, 12, 13])
    sequence.truncate(1)
    assert [array.tolist() for array in arrays] == values
    assert [array.dtype for array in arrays] == [np.uint64, np.uint64, np.uint32, np.uint32]
    assert not any(array.flags.writeable for array in arrays)


def test_sequence_hashes_are_not_copied_while_no_block_changes():
    sequence = sequence_of(8)
    hashes = sequence.sequence_hashes
    sequence.append(9)
    sequence.pop()
    assert sequence.sequence_hashes is hashes
    sequence.extend([9, 10, 11, 12])
    assert sequence.sequence_hashes is not hashes


@pytest.mark.parametrize("copied", [TokenBlockSequence.copy, copy.copy, copy.deepcopy])
def test_a_copy_goes_its_own_way(copied):
    sequence = sequence_of(6)
    before = state_of(sequence)
    other = copied(sequence)
    assert state_of(other) == before
    assert (other.block_size, other.salt_hash, other.version) == (4, 1337, 2)
    other.extend([50, 51])
    other.truncate(7)
    sequence.extend([7, 8])
    assert state_of(sequence) == state_of(sequence_of(8))
    assert other.tokens.tolist() == [1, 2, 3, 4, 5, 6, 50]
    assert other.sequence_hashes.tolist() == SEQUENCE_HASHES[:1]


@pytest.mark.parametrize("token", [-1, 2**32, 2**70])
def test_append_names_a_token_out_of_range_and_changes_nothing(token):
    sequence = sequence_of(7)
    before = state_of(sequence)
    with pytest.raises(ValueError, match=rf"token_id = {token} is not in \[0, 4294967295\]"):
        sequence.append(token)
    assert state_of(sequence) == before


@pytest.mark.parametrize("token", [1.0, "1", None])
def test_append_names_the_type_of_what_is_no_token_and_changes_nothing(token):
    sequence = sequence_of(7)
    before = state_of(sequence)
    with pytest.raises(TypeError, match=rf"token_id must be an int, not {type(token).__name__}"):
        sequence.append(token)
    assert state_of(sequence) == before


def test_append_takes_numpy_integers():
    sequence = sequence_of(7)
    assert sequence.append(np.int64(8)) == 1
    assert sequence.sequence_hashes.tolist() == SEQUENCE_HASHES[:2]


@pytest.mark.parametrize("tokens", [[8, -1], [8, 2**32], np.array([8, -1]), [8, "9"], np.ones(9), None])
def test_extend_with_a_bad_token_changes_nothing(tokens):
    sequence = sequence_of(7)
    before = state_of(sequence)
    with pytest.raises((TypeError, ValueError), match="token_ids"):
        sequence.extend(tokens)
    assert state_of(sequence) == before


@pytest.mark.parametrize("add", [lambda s: s.append(8), lambda s: s.extend(range(8, 30))])
def test_hashing_that_fails_changes_nothing(monkeypatch, add):
    def out_of_memory(*_args, **_options):
        raise MemoryError

    sequence = sequence_of(7)
    before = state_of(sequence)
    with monkeypatch.context() as patch:
        patch.setattr(token_block_sequence, "block_and_sequence_hashes", out_of_memory)
        with pytest.raises(MemoryError):
            add(sequence)
    assert state_of(sequence) == before
    sequence.append(8)
    assert state_of(sequence) == state_of(sequence_of(8))


def test_extend_with_its_own_tokens_doubles_the_sequence():
    sequence = sequence_of(6)
    sequence.extend(sequence.tokens)
    assert sequence.tokens.tolist() == [1, 2, 3, 4, 5, 6] * 2


@pytest.mark.parametrize("count", [-1, 8, 2**70])
@pytest.mark.parametrize("name", ["truncate", "unwind"])
def test_a_length_out_of_range_is_named_and_changes_nothing(name, count):
    sequence = sequence_of(7)
    before = state_of(sequence)
    with pytest.raises(ValueError, match=rf"num_tokens = {count} is not in \[0, 7\]"):
        getattr(sequence, name)(count)
    with pytest.raises(TypeError):
        getattr(sequence, name)(1.0)
    assert state_of(sequence) == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"block_size": 0}, ValueError, r"block_size = 0 is not in \[1, 1048576\]"),
        ({"block_size": True}, TypeError, "block_size must be an int, not bool"),
        ({"salt_hash": -1}, ValueError, r"salt_hash = -1 is not in \[0, 2\*\*64\)"),
        ({"version": 3}, ValueError, "version = 3 is neither 1 nor 2"),
    ],
)
def test_bad_arguments_are_named_before_there_is_a_block(options, error, message):
    with pytest.raises(error, match=message):
        TokenBlockSequence(**options)


def test_repr_says_how_long_it_is():
    assert repr(sequence_of(9)) == (
        "TokenBlockSequence(9 tokens, 2 full blocks, block_size=4, salt_hash=1337, version=2)"
    )


def test_the_documented_examples_are_true():
    for module in (token_block, token_block_sequence):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0
