import doctest
import random
import struct

import numpy as np
import pytest

import kvpool
from kvpool import block_hashes, router_salt_hash, sequence_hashes
from kvpool._core import hashing

TOKENS = list(range(1, 13))
BLOCK_HASHES = [14643705804678351452, 16777012769546811212, 483935686894639516]
SEQUENCE_HASHES = [14643705804678351452, 4945711292740353085, 12583592247330656132]
UNSALTED_BLOCK_HASHES = [8052976908588476977, 13852901005659965728]
UNSALTED_SEQUENCE_HASHES = {
    1: [8052976908588476977, 4185132130981121146],
    2: [8052976908588476977, 17538018756801271241],
}


def reference_hashes(tokens, block_size, salt_hash, parent, version):
    """Block and sequence hashes by their definition, over another implementation of XXH3."""
    xxhash = pytest.importorskip("xxhash", reason="the reference needs the xxhash package")
    blocks, sequence = [], []
    for start in range(0, len(tokens) // block_size * block_size, block_size):
        packed = struct.pack(f"<{block_size}I", *tokens[start : start + block_size])
        blocks.append(xxhash.xxh3_64_intdigest(packed, salt_hash))
        if parent is None:
            parent = blocks[-1]
        else:
            parent = xxhash.xxh3_64_intdigest(
                struct.pack("<QQ", parent, blocks[-1]), salt_hash if version == 1 else 1337
            )
        sequence.append(parent)
    return blocks, sequence


def test_block_hashes_are_dynamos():
    assert block_hashes(TOKENS, 4, salt_hash=1337).tolist() == BLOCK_HASHES
    assert block_hashes(TOKENS[:8], 4).tolist() == UNSALTED_BLOCK_HASHES


@pytest.mark.parametrize("version", [1, 2])
def test_sequence_hashes_are_dynamos_in_both_versions(version):
    assert sequence_hashes(TOKENS, 4, salt_hash=1337, version=version).tolist() == SEQUENCE_HASHES
    assert sequence_hashes(TOKENS[:8], 4, version=version).tolist() == UNSALTED_SEQUENCE_HASHES[version]


def test_version_two_is_the_default():
    assert sequence_hashes(TOKENS[:8], 4).tolist() == UNSALTED_SEQUENCE_HASHES[2]


def test_sixteen_is_the_default_block_size():
    tokens = list(range(40))
    assert sequence_hashes(tokens).tolist() == sequence_hashes(tokens, 16).tolist()
    assert block_hashes(tokens).tolist() == block_hashes(tokens, block_size=16).tolist()
    assert len(sequence_hashes(tokens)) == 2


def test_parent_continues_a_sequence():
    rest = sequence_hashes(TOKENS[4:], 4, salt_hash=1337, parent=SEQUENCE_HASHES[0])
    assert rest.tolist() == SEQUENCE_HASHES[1:]


def test_parent_is_taken_as_the_array_gives_it():
    first = sequence_hashes(TOKENS[:4], 4, salt_hash=1337)
    assert sequence_hashes(TOKENS[4:8], 4, salt_hash=first.dtype.type(1337), parent=first[-1]).tolist() == [
        SEQUENCE_HASHES[1]
    ]


def test_parent_zero_is_a_parent():
    assert sequence_hashes(TOKENS, 4, parent=0).tolist() != sequence_hashes(TOKENS, 4).tolist()


@pytest.mark.parametrize("seed", range(40))
def test_hashes_agree_with_another_implementation(seed):
    rng = random.Random(seed)
    block_size = rng.choice([1, 2, 3, 4, 5, 8, 16, 17, 31, 32, 33, 60, 61, 64, 128, 257])
    tokens = [rng.randrange(2**32) for _ in range(block_size * rng.randrange(5) + rng.randrange(block_size))]
    salt_hash = rng.choice([0, 1337, 2**64 - 1, rng.randrange(2**64)])
    parent = rng.choice([None, 0, rng.randrange(2**64)])
    version = rng.choice([1, 2])
    blocks, sequence = reference_hashes(tokens, block_size, salt_hash, parent, version)
    assert block_hashes(tokens, block_size, salt_hash=salt_hash).tolist() == blocks
    found = sequence_hashes(tokens, block_size, salt_hash=salt_hash, parent=parent, version=version)
    assert found.tolist() == sequence
    both = hashing.block_and_sequence_hashes(tokens, block_size, salt_hash=salt_hash, parent=parent, version=version)
    assert [np.frombuffer(hashes, np.uint64).tolist() for hashes in both] == [blocks, sequence]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_tokens_after_the_last_full_block_are_left_out(count):
    assert sequence_hashes(TOKENS[:4] + TOKENS[:count], 4, salt_hash=1337).tolist() == SEQUENCE_HASHES[:1]
    assert len(sequence_hashes(TOKENS[:count], 4)) == 0
    assert len(block_hashes(TOKENS[:count], 4)) == 0


@pytest.mark.parametrize("tokens", [TOKENS, []])
def test_results_are_read_only_uint64_arrays(tokens):
    for result in (sequence_hashes(tokens, 4), block_hashes(tokens, 4)):
        assert type(result) is np.ndarray
        assert result.dtype == np.uint64
        assert result.shape == (len(tokens) // 4,)
        assert not result.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            result.setflags(write=True)


def test_salts_keep_sequences_apart():
    ours, theirs = (set(sequence_hashes(TOKENS, 4, salt_hash=salt).tolist()) for salt in (1, 2))
    assert not ours & theirs


@pytest.mark.parametrize("block_size", [0, -1, 2**20 + 1, 2**70])
def test_block_size_out_of_range_is_named_with_its_bound(block_size):
    with pytest.raises(ValueError, match=rf"block_size = {block_size} is not in \[1, 1048576\]"):
        sequence_hashes(TOKENS, block_size)
    with pytest.raises(ValueError, match=rf"block_size = {block_size} is not in \[1, 1048576\]"):
        block_hashes(TOKENS, block_size)


def test_largest_block_size_is_accepted():
    assert len(sequence_hashes(np.zeros(2**20, dtype=np.int32), 2**20)) == 1


@pytest.mark.parametrize("value", [True, 4.0, "4", None])
@pytest.mark.parametrize("name", ["block_size", "salt_hash", "version"])
def test_an_argument_that_is_no_int_is_named(name, value):
    with pytest.raises(TypeError, match=rf"{name} must be an int, not {type(value).__name__}"):
        sequence_hashes(TOKENS, **{name: value})


@pytest.mark.parametrize("value", [-1, 2**64, -(2**64)])
@pytest.mark.parametrize("name", ["salt_hash", "parent"])
def test_a_hash_out_of_range_is_named_with_its_bound(name, value):
    with pytest.raises(ValueError, match=rf"{name} = {value} is not in \[0, 2\*\*64\)"):
        sequence_hashes(TOKENS, **{name: value})


def test_a_huge_hash_is_described_by_its_length():
    with pytest.raises(ValueError, match=r"parent = an int of 100001 bits is not in"):
        sequence_hashes(TOKENS, parent=2**100000)


@pytest.mark.parametrize("value", [False, "0", 1.0])
def test_a_parent_that_is_no_int_is_rejected(value):
    with pytest.raises(TypeError, match=rf"parent must be an int, not {type(value).__name__}"):
        sequence_hashes(TOKENS, parent=value)


@pytest.mark.parametrize("version", [0, 3, -1])
def test_an_unknown_version_is_rejected(version):
    with pytest.raises(ValueError, match=rf"version = {version} is neither 1 nor 2"):
        sequence_hashes(TOKENS, version=version)


def test_bytes_are_hashed_with_xxh3():
    assert hashing.hash_bytes(b"") == 0x2D06800538D394C2
    assert hashing.hash_bytes(struct.pack("<4I", 1, 2, 3, 4), 1337) == BLOCK_HASHES[0]
    with pytest.raises(TypeError, match="data must be bytes, not str"):
        hashing.hash_bytes("text")


def test_router_salt_without_names_is_1337():
    assert router_salt_hash() == 1337
    assert router_salt_hash("", "") == 1337
    assert router_salt_hash(None, None) == 1337


def test_router_salt_adds_the_hashes_of_both_names():
    name, salt = hashing.hash_bytes("adaptér".encode(), 0), hashing.hash_bytes(b"tenant", 1)
    assert router_salt_hash("adaptér") == (1337 + name) % 2**64
    assert router_salt_hash(salt="tenant") == (1337 + salt) % 2**64
    assert router_salt_hash("adaptér", "tenant") == (1337 + name + salt) % 2**64


def test_router_salt_wraps_at_64_bits():
    salts = [router_salt_hash(f"adapter-{i}", "tenant") for i in range(64)]
    sums = [1337 + hashing.hash_bytes(f"adapter-{i}".encode()) + hashing.hash_bytes(b"tenant", 1) for i in range(64)]
    assert any(total >= 2**64 for total in sums)
    assert salts == [total % 2**64 for total in sums]


def test_router_salt_rejects_what_is_no_text():
    with pytest.raises(TypeError, match="lora_name must be a str or None, not bytes"):
        router_salt_hash(b"adapter")
    with pytest.raises(TypeError, match="salt must be a str or None, not int"):
        router_salt_hash("adapter", 7)


def test_the_documented_examples_are_true():
    for module in (hashing, kvpool.tokens.salt):
        result = doctest.testmod(module)
        assert result.attempted > 0
        assert result.failed == 0
