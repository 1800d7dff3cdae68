import gc
import random

import numpy as np
import pytest

from kvpool import BlockPool, BlockState, EvictionReason, PoolEventKind, PoolStatus


class Request:
    """An owner that can be told from others."""


def replayed(events):
    """The registry after the events: hash to block id."""
    registry = {}
    for event in events:
        if event.kind is PoolEventKind.STORED:
            assert event.sequence_hash not in registry
            assert event.parent_hash is None or event.parent_hash in registry
            registry[event.sequence_hash] = event.block_id
        elif event.kind is PoolEventKind.REMOVED:
            registry.pop(event.sequence_hash)
        else:
            registry.clear()
    return registry


def test_a_new_pool_is_empty(pool):
    status = pool.status()
    assert isinstance(status, PoolStatus)
    assert status._asdict() == dict.fromkeys(PoolStatus._fields, 0) | {"total": 16, "empty": 16, "available": 16}


def test_every_block_is_counted_once(pool, store):
    store(pool, [1, 2])
    held = store(pool, [3])
    fresh = pool.allocate_blocks(4)
    status = pool.status()
    assert (status.total, status.empty, status.cached, status.active) == (16, 9, 2, 5)
    assert (status.mutable, status.immutable, status.available) == (4, 1, 11)
    del held, fresh


def test_counters_count_blocks(pool, store):
    store(pool, [1, 2, 3])
    store(pool, [1])
    pool.match_sequence_hashes([1, 2, 9, 3])
    pool.match_scattered([9, 3])
    pool.touch([1, 9])
    pool.allocate_blocks(15)
    pool.reset()
    status = pool.status()
    assert (status.allocations, status.allocations_from_empty, status.evictions) == (19, 17, 2)
    assert (status.registrations, status.duplicates) == (4, 1)
    assert (status.match_hashes_requested, status.match_blocks_returned) == (4, 2)
    assert (status.scan_hashes_requested, status.scan_blocks_returned) == (2, 1)
    assert (status.touches, status.resets, status.waiting) == (1, 1, 0)


def test_properties_tell_what_the_pool_was_made_with():
    pool = BlockPool(8, 32, duplicates="keep", name="device 0")
    assert (pool.num_blocks, pool.total_blocks, pool.block_size) == (8, 8, 32)
    assert (pool.duplicates, pool.name) == ("keep", "device 0")
    assert repr(pool) == "<BlockPool 'device 0' of 8 blocks of 32 tokens: 8 empty, 0 cached, 0 active>"
    for name in ("num_blocks", "total_blocks", "block_size", "duplicates", "name", "available_blocks", "usage_rate"):
        with pytest.raises(AttributeError):
            setattr(pool, name, 1)


def test_the_defaults_are_sixteen_tokens_sharing_and_no_name():
    pool = BlockPool(8)
    assert (pool.block_size, pool.duplicates, pool.name, pool.events()) == (16, "share", "", [])


def test_the_usage_rate_is_the_share_of_blocks_held(pool, store):
    assert pool.usage_rate == 0.0
    store(pool, [1, 2])
    held = pool.allocate_blocks(4)
    assert pool.usage_rate == 0.25
    del held


def test_the_hit_rate_is_blocks_returned_for_each_hash_asked_for(pool, store):
    assert pool.cache_hit_rate == 0.0
    store(pool, [1, 2])
    pool.match_sequence_hashes([1, 2, 3, 4])
    assert pool.cache_hit_rate == 0.5
    pool.match_scattered([1, 2])
    assert pool.cache_hit_rate == 0.5


def test_a_block_goes_through_all_states(pool):
    states = [pool.block_state(0)]
    fresh = pool.allocate_blocks(1)
    states.append(pool.block_state(0))
    blocks = pool.register_blocks(fresh, [1])
    states.append(pool.block_state(0))
    blocks.release()
    states.append(pool.block_state(0))
    pool.reset_blocks([1])
    states.append(pool.block_state(0))
    assert states == [
        BlockState.AVAILABLE,
        BlockState.ALLOCATED,
        BlockState.ACTIVE,
        BlockState.RETURNED,
        BlockState.AVAILABLE,
    ]


def test_the_states_of_all_blocks_are_one_array(pool, store):
    store(pool, [1])
    held = store(pool, [2])
    fresh = pool.allocate_blocks(1)
    states = pool.block_states()
    assert (states.dtype, states.shape) == (np.uint8, (16,))
    assert states[:4].tolist() == [8, 4, 2, 1]
    assert [pool.block_state(i).value for i in range(16)] == states.tolist()
    del held, fresh


def test_outstanding_tells_who_holds_how_many_since_when_oldest_first(pool, store, clock):
    request = Request()
    a = pool.allocate_blocks(3, owner=request)
    clock.seconds = 2.0
    b = store(pool, [1, 2])
    single = b[0]
    nothing = pool.allocate_blocks(0, owner="nobody")
    missed = pool.match_sequence_hashes([77], owner="missed")
    clock.seconds = 5.0
    assert [tuple(hold) for hold in pool.outstanding()] == [
        (request, "mutable", 3, 5.0),
        (None, "immutable", 2, 3.0),
        (None, "immutable", 1, 3.0),
    ]
    del a, b, single, nothing, missed
    assert pool.outstanding() == []


def test_a_partly_released_handle_is_outstanding_with_what_it_still_holds(pool):
    blocks = pool.allocate_blocks(3)
    blocks[1].release()
    registered = pool.register_blocks(blocks[0], [1])
    assert sorted((hold.kind, hold.blocks) for hold in pool.outstanding()) == [("immutable", 1), ("mutable", 1)]
    del registered, blocks


def test_owners_are_told_correctly_even_when_garbage_is_collected_meanwhile(run_python):
    run_python("""
        import gc
        from kvpool import BlockPool

        class Request:
            pass

        def make_garbage(pool):
            for _ in range(200):
                cycle = [pool.allocate_blocks(1, owner=Request())]
                cycle.append(cycle)

        for allocations in range(1, 60):
            gc.disable()
            gc.set_threshold(1_000_000)
            pool = BlockPool(num_blocks=1000)
            keep = [pool.allocate_blocks(1, owner=Request()) for _ in range(20)]
            make_garbage(pool)
            gc.set_threshold(gc.get_count()[0] + allocations)
            gc.enable()
            holds = pool.outstanding()
            gc.disable()
            assert all(type(hold.owner) is Request for hold in holds)
        """)


def test_owners_with_hostile_methods_are_only_passed_on(pool):
    class Hostile:
        def __eq__(self, other):
            raise RuntimeError("compared")

        def __hash__(self):
            raise RuntimeError("hashed")

        def __repr__(self):
            raise RuntimeError("shown")

    owner = Hostile()
    held = pool.allocate_blocks(1, owner=owner)
    assert pool.outstanding()[0].owner is owner
    del held


def test_the_pool_does_not_keep_an_owner_alive_after_its_handle(pool):
    died = []

    class Mortal:
        def __del__(self):
            died.append(True)

    held = pool.allocate_blocks(1, owner=Mortal())
    assert pool.outstanding()[0].blocks == 1
    assert not died
    del held
    assert died


def test_registrations_and_removals_are_numbered_events(pool, store):
    store(pool, [1, 2])
    pool.allocate_blocks(15).release()
    pool.reset_blocks([1])
    assert [event[:6] for event in pool.events()] == [
        (0, PoolEventKind.STORED, 1, None, 0, None),
        (1, PoolEventKind.STORED, 2, 1, 1, None),
        (2, PoolEventKind.REMOVED, 2, None, 1, EvictionReason.CAPACITY),
        (3, PoolEventKind.REMOVED, 1, None, 0, EvictionReason.RESET),
    ]
    assert [event.sequence_number for event in pool.events(since=2)] == [2, 3]
    assert pool.events(since=4) == pool.events(since=2**64 - 1) == []


def test_a_duplicate_is_no_event(pool, store):
    store(pool, [1])
    store(pool, [1])
    pool.match_sequence_hashes([1])
    assert len(pool.events()) == 1


@pytest.mark.parametrize("duplicates", ["share", "keep"])
def test_replaying_the_events_gives_the_registry_at_every_number(duplicates):
    chance = random.Random(5)
    pool = BlockPool(num_blocks=12, block_size=4, duplicates=duplicates, event_capacity=100_000)
    held, registries = [], {}
    for _ in range(1500):
        action = chance.randrange(6)
        if action < 3 and pool.available_blocks >= 3:
            start = chance.randrange(40)
            hashes = range(start, start + chance.randint(1, 3))
            held.append(pool.register_blocks(pool.allocate_blocks(len(hashes)), hashes))
        elif action == 3 and held:
            held.pop(chance.randrange(len(held)))
        elif action == 4:
            pool.reset_blocks([chance.randrange(40)])
        elif chance.randrange(20) == 0:
            held.clear()
            pool.reset()
        events = pool.events()
        registries[len(events)] = {h for h in range(45) if pool.contains([h])[0]}
    events = pool.events()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert len(registries) > 300
    for number, registry in registries.items():
        assert set(replayed(events[:number])) == registry
    if duplicates == "share":  # the block of a hash that has copies changes without an event
        ids = replayed(events)
        found = pool.match_scattered(sorted(ids))
        assert found.ids.tolist() == [ids[h] for h in sorted(ids)]


def test_a_removal_names_the_block_that_was_stored(pool, store):
    for start in range(0, 60, 3):
        store(pool, range(start, start + 3))
    stored = {}
    for event in pool.events():
        if event.kind is PoolEventKind.STORED:
            stored[event.sequence_hash] = event.block_id
        else:
            assert stored.pop(event.sequence_hash) == event.block_id
    assert len(stored) == 16


@pytest.mark.parametrize("capacity", [1, 2, 7, 64])
def test_a_full_ring_drops_the_oldest_and_the_gap_shows(store, capacity):
    pool = BlockPool(num_blocks=4, event_capacity=capacity)
    for h in range(100):
        store(pool, [h])
    total = 100 + 96
    events = pool.events(since=5)
    assert [event.sequence_number for event in events] == list(range(total - capacity, total))
    assert events == pool.events()
    assert pool.events(since=total - 1)[0].sequence_number == total - 1


def test_a_pool_records_no_events_unless_asked(store):
    pool = BlockPool(num_blocks=4)
    store(pool, [1])
    assert pool.events() == []


def test_a_snapshot_of_the_status_does_not_change_afterwards(pool):
    before = pool.status()
    held = pool.allocate_blocks(3)
    assert before.empty == 16
    del held


def test_reports_change_nothing(pool, store, unchanged):
    held = store(pool, [1, 2])
    with unchanged(pool):
        pool.status()
        pool.outstanding()
        pool.block_states()
        pool.events()
        repr(pool)
        gc.collect()
    del held
