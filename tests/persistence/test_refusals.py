"""Files that are no index of the pool: refused with one line that says why, and the pool is as it was."""

import os
import random
import tracemalloc

import numpy as np
import pytest

from kvpool import IndexFileError

HUGE = 2**63


@pytest.fixture
def refused(path, unchanged):
    """Load bytes that must be refused; return the message."""

    def load(pool, data):
        path.write_bytes(data)
        with unchanged(pool), pytest.raises(IndexFileError) as caught:
            pool.load_index(path)
        message = str(caught.value)
        assert message.startswith(f"{str(path)!r} cannot be loaded: ")
        assert "\n" not in message
        return message.partition("cannot be loaded: ")[2]

    return load


@pytest.fixture
def rich_pool(empty):
    """Make pools of which an index has every column: the function that does it."""
    return lambda: empty(duplicates="keep", event_tokens=True, max_namespaces=2)


@pytest.fixture
def rich(rich_pool, path):
    """Bytes of an index that has every column."""
    pool = rich_pool()
    pool.namespace("tenant", floor=2)
    for hashes in ([1, 2, 3], [1]):
        blocks = pool.allocate_blocks(len(hashes), namespace="tenant")
        pool.register_blocks(blocks, hashes, token_ids=range(4 * len(hashes)), ttl=100)
    pool.register_blocks(pool.allocate_blocks(2), [8, 9])
    assert pool.save_index(path) == 6
    return path.read_bytes()


def test_a_file_cut_short_anywhere_is_refused(saved, rich, empty, rich_pool, refused):
    for data, pool in ((saved, empty()), (rich, rich_pool())):
        for size in range(len(data)):
            message = refused(pool, data[:size])
            assert message == (
                f"it has {size} bytes, fewer than the 88 of a header"
                if size < 88
                else f"it has {size} bytes, not {len(data)}"
            )
        assert refused(pool, data + b"\0") == f"it has {len(data) + 1} bytes, not {len(data)}"


def test_any_bit_that_flipped_is_found(saved, rich, empty, rich_pool, refused):
    for data, pool in ((saved, empty()), (rich, rich_pool())):
        for bit in range(0, 8 * len(data), 1 if data is saved else 7):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            message = refused(pool, bytes(flipped))
            if bit >= 8 * 88:
                assert message == "its payload is damaged: the checksum is another"
            elif bit >= 8 * 16:
                assert message == "its header is damaged: the checksum is another"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("magic", b"KVPINDEY", "it begins with b'KVPINDEY', not b'KVPINDEX': it is not an index"),
        ("version", 0, "it is of version 0, not 1"),
        ("version", 2, "it is of version 2, not 1"),
        ("header_size", 96, "its header has 96 bytes, not 88"),
        ("num_blocks", 17, "it is of a pool of 17 blocks, this one has 16"),
        ("num_blocks", HUGE, f"it is of a pool of {HUGE} blocks, this one has 16"),
        ("block_size", 8, "it is of a pool with block_size = 8, this one has 4"),
        ("block_size", HUGE, f"it is of a pool with block_size = {HUGE}, this one has 4"),
        ("flags", 8, "its flags = 0x8 are not all known"),
        ("flags", 2, "it is of a pool with duplicates = 'keep', this one has 'share'"),
        ("flags", 1, "its payload has 132 bytes, its blocks and namespaces take 180"),
        ("flags", 4, "its payload has 132 bytes, its blocks and namespaces take 234"),
        ("num_namespaces", 0, "it has 0 namespaces, which is not in [1, 256]"),
        ("num_namespaces", 257, "it has 257 namespaces, which is not in [1, 256]"),
        ("num_namespaces", 2**32 - 1, f"it has {2**32 - 1} namespaces, which is not in [1, 256]"),
        ("num_namespaces", 2, "its 2 namespaces end after 1"),
        ("num_entries", 5, "its payload has 132 bytes, its blocks and namespaces take 113"),
        ("num_entries", 16, "its payload has 132 bytes, its blocks and namespaces take 322"),
        ("num_entries", 17, "it tells of 17 blocks, the pool has 16"),
        ("num_entries", HUGE, f"it tells of {HUGE} blocks, the pool has 16"),
        ("namespaces_size", 17, "its payload has 132 bytes, its blocks and namespaces take 131"),
        ("namespaces_size", HUGE, f"its 1 namespaces take {HUGE} bytes"),
        ("payload_size", 0, "its payload has 0 bytes, its blocks and namespaces take 132"),
        ("payload_size", HUGE, f"its payload has {HUGE} bytes, its blocks and namespaces take 132"),
        ("payload_checksum", 1, "its payload is damaged: the checksum is another"),
        ("header_checksum", 1, "its header is damaged: the checksum is another"),
    ],
)
def test_a_header_that_is_wrong_is_refused_whatever_its_checksum(
    field, value, message, saved, empty, refused, take_apart
):
    pool = empty()
    data = take_apart(saved).to_bytes(**{field: value})
    tracemalloc.start()
    try:
        assert refused(pool, data) == message
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_a_time_of_the_save_that_is_nonsense_is_no_time_or_all(saved, path, empty, take_apart):
    for moment in (-(2**63), 2**63 - 1):
        path.write_bytes(take_apart(saved).to_bytes(saved_at=moment))
        assert empty().load_index(path) == 6


def test_a_large_file_with_holes_takes_no_memory(saved, path, empty, unchanged, take_apart):
    pool = empty()
    path.write_bytes(take_apart(saved).to_bytes(num_entries=2**40, payload_size=19 * 2**40 + 18))
    os.truncate(path, 88 + 2**40)
    with unchanged(pool), pytest.raises(IndexFileError, match="it tells of 1099511627776 blocks"):
        pool.load_index(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_blocks": 15}, "it is of a pool of 16 blocks, this one has 15"),
        ({"block_size": 16}, "it is of a pool with block_size = 4, this one has 16"),
        ({"duplicates": "keep"}, "it is of a pool with duplicates = 'share', this one has 'keep'"),
    ],
)
def test_an_index_of_another_pool_is_refused(options, message, saved, empty, refused):
    assert refused(empty(**options), saved) == message


# The blocks of `saved` are, in its order: 13, 15, 14, 12, 11, 21, with ids 2, 4, 3, 1, 0, 5.
@pytest.mark.parametrize(
    ("column", "entry", "value", "message"),
    [
        ("ids", 3, 16, "block 3 of the 6 in it: its id is not one of the pool's"),
        ("ids", 3, -1, "block 3 of the 6 in it: its id is not one of the pool's"),
        ("ids", 3, 2**31 - 1, "block 3 of the 6 in it: its id is not one of the pool's"),
        ("ids", 3, 4, "block 3 of the 6 in it: its id is another block's as well"),
        ("parents", 4, 0, "block 4 of the 6 in it: it is its own ancestor"),
        ("parents", 4, 1, "block 3 of the 6 in it: it is its own ancestor"),
        ("parents", 4, 4, "block 1 of the 6 in it: it is its own ancestor"),
        ("parents", 4, 15, "block 4 of the 6 in it: its parent is not in the index"),
        ("parents", 4, -(2**31), "block 4 of the 6 in it: its parent is not in the index"),
        ("parents", 4, 2**31 - 1, "block 4 of the 6 in it: its parent is not in the index"),
        ("hashes", 0, 21, "block 5 of the 6 in it: its hash is another block's as well"),
        ("levels", 5, 101, "block 5 of the 6 in it: its priority is above the highest"),
        ("levels", 5, 255, "block 5 of the 6 in it: its priority is above the highest"),
        ("spaces", 5, 1, "block 5 of the 6 in it: its namespace is not one of the index's"),
        ("spaces", 5, 255, "block 5 of the 6 in it: its namespace is not one of the index's"),
        ("is_parked", 4, 2, "block 4 of the 6 in it: whether it is set aside is neither yes nor no"),
        ("is_parked", 5, 1, "block 5 of the 6 in it: it is set aside, but nothing continues it"),
    ],
)
def test_a_column_that_contradicts_itself_is_refused(column, entry, value, message, saved, empty, refused, take_apart):
    index = take_apart(saved)
    assert index.columns["hashes"].tolist() == [13, 15, 14, 12, 11, 21]
    assert index.columns["ids"].tolist() == [2, 4, 3, 1, 0, 5]
    index.columns[column][entry] = value
    assert refused(empty(), index.to_bytes()) == message


def test_copies_and_lineages_across_namespaces_are_refused(rich, rich_pool, refused, take_apart):
    index = take_apart(rich)
    entries = {(hash_, elder < 0): entry for entry, (hash_, elder) in enumerate(copies_of(index))}
    first, copy, child = entries[1, True], entries[1, False], entries[2, True]
    for column, entry, value, message in [
        ("elders", copy, 15, f"block {copy} of the 6 in it: its older copy is not one of its hash"),
        ("elders", copy, index.columns["ids"][child], f"block {copy} of the 6 in it: its older copy is not one"),
        ("elders", copy, index.columns["ids"][copy], f"block {copy} of the 6 in it: it is older than itself"),
        ("elders", copy, -1, "its hash is another block's as well"),
        ("elders", first, index.columns["ids"][copy], "it is older than itself"),
        ("spaces", copy, 0, f"block {copy} of the 6 in it: its older copy is of another namespace"),
        ("spaces", child, 0, "its parent is of another namespace"),
        ("has_tokens", first, 2, f"block {first} of the 6 in it: whether its tokens are known is neither yes nor no"),
    ]:
        index = take_apart(rich)
        index.columns[column][entry] = value
        assert message in refused(rich_pool(), index.to_bytes())


def copies_of(index):
    return zip(index.columns["hashes"].tolist(), index.columns["elders"].tolist(), strict=True)


@pytest.mark.parametrize(
    ("namespaces", "count", "message"),
    [
        (b"", 1, "its 1 namespaces end after 0"),
        (bytes(17), 1, "its 1 namespaces end after 0"),
        (bytes(19), 1, "its 1 namespaces take 18 bytes, not 19"),
        (bytes(16) + b"\1\0", 1, "its namespace 0 is cut short, has the name of another, or is not the default"),
        (b"\1" + bytes(17), 1, "its namespace 0 is cut short, has the name of another, or is not the default"),
        (bytes(16) + b"\1\0a", 1, "its namespace 0 is cut short, has the name of another, or is not the default"),
        (bytes(36), 2, "its namespace 1 is cut short, has the name of another, or is not the default"),
        (bytes(18) + 2 * (bytes(16) + b"\1\0a"), 3, "its namespace 2 is cut short, has the name of another"),
        (bytes(18) + bytes(16) + b"\1\0\xff", 2, "the name of its namespace 1 is not UTF-8"),
        (bytes(8) + b"\2\0\0\0\1\0\0\0\0\0", 1, "its namespace 0 has floor = 2 and cap = 1 of 16 blocks"),
        (bytes(12) + b"\x11\0\0\0\0\0", 1, "its namespace 0 has floor = 0 and cap = 17 of 16 blocks"),
        (bytes(12) + b"\xff\xff\xff\xff\0\0", 1, f"its namespace 0 has floor = 0 and cap = {2**32 - 1} of 16 blocks"),
    ],
)
def test_namespaces_that_are_none_are_refused(namespaces, count, message, saved, empty, refused, take_apart):
    index = take_apart(saved)
    index.namespaces = namespaces
    assert message in refused(empty(max_namespaces=3), index.to_bytes(num_namespaces=count))


def forge(index, rng):
    """Change some values of an index at random, mostly to such as are elsewhere in it."""
    for _ in range(rng.randint(1, 4)):
        column = index.columns[rng.choice(list(index.columns))]
        entry = rng.randrange(len(column))
        limits = np.iinfo(column.dtype)
        column[entry] = rng.choice([column[rng.randrange(len(column))], limits.min, limits.max, rng.randint(0, 16)])


@pytest.mark.parametrize("seed", range(4))
def test_forged_columns_are_refused_or_make_a_sound_pool(seed, rich, path, rich_pool, refused, take_apart):
    rng = random.Random(seed)
    loaded = 0
    for _ in range(250):
        index = take_apart(rich)
        forge(index, rng)
        data = index.to_bytes()
        pool = rich_pool()
        path.write_bytes(data)
        try:
            pool.load_index(path)
        except IndexFileError:
            refused(pool, data)
            continue
        loaded += 1
        pool.check_invariants()
        pool.match_sequence_hashes([1, 2, 3], namespace="tenant").release()
        pool.evict_ahead(16)
        pool.check_invariants()
        assert pool.status().cached <= 2  # the tenant's floor
    assert 10 < loaded < 240


def test_a_block_may_have_any_number_of_children_that_a_pool_can_have(saved, path, empty, take_apart):
    index = take_apart(saved)
    index.columns["parents"][:] = [5, 5, 5, 5, 5, -1]
    path.write_bytes(index.to_bytes())
    pool = empty()
    assert pool.load_index(path) == 6
    assert pool.evict_ahead(16).sequence_hashes.tolist() == [13, 15, 14, 12, 11, 21]


def test_what_is_no_regular_file_is_refused_at_once(tmp_path, empty, unchanged):
    pool = empty()
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", "/dev/zero"):
        with unchanged(pool), pytest.raises(IndexFileError, match="it is not a regular file"):
            pool.load_index(place)
    with unchanged(pool), pytest.raises(IsADirectoryError):
        pool.load_index(tmp_path)
    with unchanged(pool), pytest.raises(FileNotFoundError):
        pool.load_index(tmp_path / "nothing")


def test_a_name_with_a_line_end_does_not_break_the_line(tmp_path, empty):
    path = tmp_path / "two\nlines"
    path.write_bytes(b"")
    with pytest.raises(IndexFileError) as caught:
        empty().load_index(path)
    assert str(caught.value).count("\n") == 0
