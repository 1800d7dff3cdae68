"""The model's rules of what is kept beside handles, and of namespaces, one by one."""

import pytest

from kvpool.errors import CorruptionError, NotEnoughBlocksAvailable, PinLimitExceeded
from kvpool.testing import ModelPool, check_model
from kvpool.types import EvictionMode, EvictionReason

SECOND = 1_000_000_000


def cached(pool, *hashes, space=0, parent=None):
    """Allocate, register and let go."""
    pool.release(pool.register(pool.allocate(len(hashes), 0, space)[0], hashes, parent=parent))


def evicted(pool, n=None, now=0, space=0):
    """Hashes in the order in which they go for so many blocks, or for all that there is room for."""
    ids, gone = pool.allocate(pool.room(space) if n is None else n, now, space)
    pool.release_mutable(ids)
    check_model(pool)
    return [sequence_hash for sequence_hash, _ in gone]


def test_retention_moves_a_block_to_its_new_level():
    pool = ModelPool(5)
    for sequence_hash in (1, 2, 3, 4):
        cached(pool, sequence_hash)
    assert pool.retain([1, 9], 36, None, 0) == 1
    assert pool.retain([4], 0, None, 0) == 1
    assert pool.retain([2], 35, None, 0) == 1  # it has that level: it keeps its place
    assert evicted(pool) == [4, 2, 3, 1]


def test_retention_for_a_time_ends_at_the_default_level():
    pool = ModelPool(3)
    for sequence_hash in (1, 2, 3):
        cached(pool, sequence_hash)
    pool.retain([1], None, 2.0, SECOND)
    assert pool.levels[100] == [0]
    assert evicted(pool, now=3 * SECOND) == [2, 3, 1]


def test_a_pin_keeps_a_block_and_what_it_continues():
    pool = ModelPool(6)
    cached(pool, 1, 2, 3)
    assert pool.pin([2, 9]) == [1, -1]
    assert (pool.pinned, pool.available) == (2, 4)
    assert pool.snapshot()[1].pinned == 2
    assert pool.pin([1]) == [0]
    pool.unpin([1])
    assert (pool.pinned, pool.available) == (1, 5)
    with pytest.raises(PinLimitExceeded) as error:
        cached(pool, 4, 5, 6)
        pool.pin([6])
    assert (error.value.wanted, error.value.limit, error.value.pinned) == (4, 3, 1)


def test_what_is_protected_goes_after_all_others_once_its_turn_has_come():
    pool = ModelPool(4)
    for sequence_hash in (1, 2, 3):
        cached(pool, sequence_hash)
    pool.retain([3], 100, None, 0)
    pool.protect([[1, 9], [2]])
    assert evicted(pool, 2) == [3]
    assert pool.levels[101] == [0, 1]
    pool.protect([[2]])
    assert pool.levels[35] == [0]
    pool.match([2])
    assert (pool.protected, pool.levels[101]) == (set(), [])


def test_evicting_ahead_makes_blocks_empty():
    pool = ModelPool(4)
    cached(pool, 1, 2, 3)
    assert pool.evict_ahead(1, 0) == []
    assert pool.evict_ahead(3, 0) == [(3, 2), (2, 1)]
    assert [event.reason for event in pool.events[3:]] == [EvictionReason.AHEAD] * 2
    assert pool.snapshot()[1].evictions_ahead == 2


def test_pressure_spares_what_is_protected_or_has_a_priority():
    pool = ModelPool(10)
    for sequence_hash in range(10):
        cached(pool, sequence_hash)
    pool.retain([0, 1, 2, 3], 60, None, 0)
    pool.protect([[4]])
    assert [h for h, _ in pool.trigger_eviction(EvictionMode.NORMAL, 0.7, 0)] == [5, 6, 7]
    assert [h for h, _ in pool.trigger_eviction(EvictionMode.AGGRESSIVE, 0.7, 0)] == [8, 9]
    assert [h for h, _ in pool.trigger_eviction(EvictionMode.NORMAL, 0.1, 0)] == [0, 1, 2, 3]
    assert pool.snapshot()[1].evictions_for_pressure == 9


def test_a_namespace_has_room_for_what_its_cap_and_the_floors_of_others_leave():
    pool = ModelPool(10, namespaces=[(4, 10), (0, 3)])
    assert [pool.room(space) for space in range(3)] == [6, 10, 3]
    pool.allocate(5, 0)
    assert [pool.room(space) for space in range(3)] == [1, 5, 1]
    with pytest.raises(NotEnoughBlocksAvailable) as error:
        pool.allocate(2, 0, 2)
    assert error.value.available == 1


def test_who_is_furthest_beyond_its_floor_loses_a_block_and_nobody_within_it():
    pool = ModelPool(8, namespaces=[(3, 8), (0, 8)])
    cached(pool, 1, 2, 3, 4, space=1)
    cached(pool, 5, 6, space=2)
    assert evicted(pool, 5) == [6, 4, 5]  # of equals, the first
    assert pool.cached(1) == 3


def test_who_is_at_its_cap_loses_its_own():
    pool = ModelPool(8, namespaces=[(0, 2)])
    cached(pool, 1, 2, space=1)
    assert evicted(pool, 1, space=1) == [2]
    assert len(pool.empty) == 7


def test_a_lower_cap_evicts_what_is_beyond_it():
    pool = ModelPool(8, namespaces=[(0, 8)])
    cached(pool, 1, 2, 3, space=1)
    pool.set_quota(1, 0, 1, 0)
    assert (pool.cached(1), [event.reason for event in pool.events[3:]]) == (1, [EvictionReason.PRESSURE] * 2)
    pool.allocate(6, 0)
    with pytest.raises(ValueError, match="a floor of 3 is more than the others leave"):
        pool.set_quota(1, 3, 8, 0)
    assert (pool.quotas[1].floor, pool.quotas[1].cap) == (0, 1)


def test_nothing_of_another_namespace_is_found_continued_or_registered_again():
    pool = ModelPool(8, namespaces=[(0, 8)])
    cached(pool, 1, 2, space=1)
    assert (pool.match([1, 2]), pool.match_scattered([2]), pool.pin([1])) == ([], [-1], [-1])
    ids = pool.allocate(1, 0)[0]
    assert pool.is_foreign(ids, [2])
    pool.register(ids, [3], parent=2)
    assert pool.blocks[ids[0]].parent is None
    check_model(pool)


def test_a_block_gets_or_keeps_no_parent_that_its_namespace_cannot_hold():
    pool = ModelPool(10, namespaces=[(0, 10), (0, 10)])
    cached(pool, 1, 2, 3, 4, space=1)
    first, second = pool.allocate(2, 0, 1)[0]
    pool.set_quota(2, 6, 10, 0)
    assert pool.room(1) == 2
    pool.register([first], [5], parent=4)
    assert (pool.blocks[first].parent, pool.held(1)) == (None, 2)
    pool.register([second], [4])
    assert (pool.blocks[3].parent, pool.held(1)) == (None, 2)
    check_model(pool)


@pytest.mark.parametrize(
    ("spoil", "fact"),
    [
        (lambda pool: setattr(pool.blocks[pool.match([1])[0]], "is_spared", True), "what is spared is protected"),
        (lambda pool: pool.protected.add(3), "what is protected is registered"),
        (lambda pool: setattr(pool.blocks[0], "space", 1), "a list has the blocks of its level and namespace"),
        (lambda pool: setattr(pool.quotas[1], "floor", 9), "floors can be held"),
    ],
)
def test_a_contradiction_is_noticed(spoil, fact):
    pool = ModelPool(4, namespaces=[(0, 4)])
    cached(pool, 1, 2)
    check_model(pool)
    spoil(pool)
    with pytest.raises(CorruptionError, match=fact):
        check_model(pool)
