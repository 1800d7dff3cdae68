"""Namespaces of an index: made by name where the pool has them not, and refused where they do not fit."""

import pytest

from kvpool import BlockPoolError, IndexFileError


@pytest.fixture
def shared(path, empty, store):
    """Path of the index of a pool with two tenants and a quota for the others."""
    pool = empty(max_namespaces=2)
    for name, hashes, quotas in [("a", [1, 2], {"floor": 4, "cap": 8}), ("b", [3], {"salt_hash": 7})]:
        pool.namespace(name, **quotas)
        pool.register_blocks(pool.allocate_blocks(len(hashes), namespace=name), hashes)
    store(pool, [9])
    pool.namespace("", floor=1, cap=15)
    pool.save_index(path)
    return path


def quotas_of(pool):
    return {name: (space.index, space.floor, space.cap) for name, space in pool.namespaces.items()}


def test_blocks_are_found_in_their_own_namespace_only(shared, empty):
    pool = empty(max_namespaces=2)
    assert pool.load_index(shared) == 4
    assert len(pool.match_sequence_hashes([1, 2], namespace="a")) == 2
    assert len(pool.match_sequence_hashes([1, 2])) == len(pool.match_sequence_hashes([1, 2], namespace="b")) == 0
    assert len(pool.match_sequence_hashes([9])) == 1
    assert {event.sequence_hash: event.namespace for event in pool.events()} == {1: "a", 2: "a", 3: "b", 9: ""}
    pool.check_invariants()


def test_namespaces_have_the_numbers_of_the_pool_that_loads_them(shared, empty):
    pool = empty(max_namespaces=3)
    pool.namespace("c")
    pool.namespace("b", salt_hash=7)
    pool.load_index(shared)
    assert quotas_of(pool) == {"": (0, 1, 15), "c": (1, 0, 16), "b": (2, 0, 16), "a": (3, 4, 8)}
    assert pool.namespaces["b"].cached_blocks == 1
    assert pool.namespaces["a"].cached_blocks == 2
    pool.check_invariants()


def test_quotas_that_the_pool_has_are_kept(shared, empty):
    pool = empty(max_namespaces=2)
    pool.namespace("", cap=12)
    pool.namespace("a", floor=0, cap=1)
    assert pool.load_index(shared) == 3  # one of a's two blocks is beyond its cap
    assert quotas_of(pool) == {"": (0, 0, 12), "a": (1, 0, 1), "b": (2, 0, 16)}
    assert pool.contains([1, 2]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("options", "spaces", "message"),
    [
        ({"max_namespaces": 1}, {}, "namespace 'b' would be number 2, but max_namespaces = 1"),
        ({}, {}, "namespace 'a' would be number 1, but max_namespaces = 0"),
        ({"max_namespaces": 2}, {"c": {}}, "namespace 'b' would be number 3, but max_namespaces = 2"),
        ({"max_namespaces": 2}, {"b": {"salt_hash": 8}}, "namespace 'b' has salt_hash = 7, that of the pool 8"),
        ({"max_namespaces": 3}, {"c": {"floor": 12}}, "the pool's are 17 blocks in all, the pool has 16"),
    ],
)
def test_namespaces_that_do_not_fit_are_refused(options, spaces, message, shared, empty, unchanged):
    pool = empty(**options)
    for name, quotas in spaces.items():
        pool.namespace(name, **quotas)
    before = quotas_of(pool)
    with unchanged(pool), pytest.raises(IndexFileError, match=message):
        pool.load_index(shared)
    assert quotas_of(pool) == before


def test_quota_of_the_default_namespace_needs_a_pool_that_can_have_one(path, empty, unchanged):
    pool = empty(max_namespaces=1)
    pool.namespace("", cap=15)
    pool.save_index(path)
    pool = empty()
    with unchanged(pool), pytest.raises(IndexFileError, match="floor = 0 and cap = 15, but the pool was made without"):
        pool.load_index(path)


@pytest.mark.parametrize("name", ["tenant", "\u00e9\u4e16", "\ud800", "a" * 65535])
def test_any_name_comes_back(name, path, empty):
    pool = empty(max_namespaces=1)
    pool.namespace(name, salt_hash=2**64 - 1)
    pool.save_index(path)
    loaded = empty(max_namespaces=1)
    loaded.load_index(path)
    assert {name: space.salt_hash for name, space in loaded.namespaces.items()} == {"": 0, name: 2**64 - 1}
    with pytest.raises(BlockPoolError):
        loaded.namespace("one more")


def test_name_that_is_too_long_for_a_file_is_refused(saved, path, empty):
    pool = empty(max_namespaces=1)
    pool.namespace("a" * 65536)
    with pytest.raises(IndexFileError, match="has 65536 bytes, more than 65535"):
        pool.save_index(path)
    assert path.read_bytes() == saved


def test_blocks_held_beyond_a_cap_that_was_lowered_are_loaded_up_to_it(path, empty):
    pool = empty(max_namespaces=1)
    pool.namespace("a")
    held = pool.register_blocks(pool.allocate_blocks(5, namespace="a"), [1, 2, 3, 4, 5])
    pool.namespace("a", cap=3)
    assert pool.save_index(path) == len(held) == 5
    loaded = empty(max_namespaces=1)
    assert loaded.load_index(path) == 3
    assert len(loaded.match_sequence_hashes([1, 2, 3, 4, 5], namespace="a")) == 3
    loaded.check_invariants()
