"""What a pool saves, another one loads: the same blocks under the same ids, to be evicted in the same order."""

import os
import random
import stat
import threading
import time

import pytest

from kvpool import (
    EVICTION_POLICIES,
    BlockPool,
    EvictionPolicy,
    PoolEventKind,
    ResetError,
    sequence_hashes,
)

DAY = 86400 * 10**9


class Odd(EvictionPolicy):
    def should_evict(self, block):
        return block.sequence_hash % 2 == 1

    def __str__(self):
        return "odd"


def chain(path, n):
    return [1000 * path + i for i in range(1, n + 1)]


class Life:
    """A random history of a pool, as long as it is asked to go on."""

    def __init__(self, pool, clock, seed, namespaces=("",)):
        self.pool, self.clock, self.rng = pool, clock, random.Random(seed)
        self.namespaces = namespaces
        self.handles = []

    def step(self):
        rng, pool = self.rng, self.pool
        number = rng.randrange(len(self.namespaces))
        hashes = chain(1 + rng.randrange(6) + 10 * number, rng.randint(1, 5))
        options = {"namespace": self.namespaces[number]} if pool.max_namespaces else {}
        kind = rng.randrange(8)
        self.clock.seconds += rng.random()
        if len(self.handles) > 4 or (kind == 0 and self.handles):
            self.handles.pop(rng.randrange(len(self.handles))).release()
        elif kind == 1:
            self.handles.append(pool.match_sequence_hashes(hashes, **options))
        elif kind == 2:
            pool.touch(hashes)
        elif kind == 3:
            pool.retain(hashes, priority=rng.randint(0, 100), ttl=rng.choice([None, 3.0]))
        elif kind == 4:
            pool.protect([hashes])
        elif kind == 5:
            self.handles.append(pool.allocate_blocks(1, **options))
        else:
            blocks = pool.allocate_blocks(len(hashes), **options)
            priority, ttl = rng.choice([None, 10, 90]), rng.choice([None, None, 2.0, 60.0])
            self.handles.append(pool.register_blocks(blocks, hashes, priority=priority, ttl=ttl))

    def end(self):
        """Drop what is held, the oldest first, and protect nothing."""
        while self.handles:
            self.handles.pop(0).release()
        self.pool.protect([])


def evicted_order(pool):
    return pool.evict_ahead(pool.num_blocks).sequence_hashes.tolist()


def test_loaded_pool_finds_every_block_under_its_id(saved, path, empty, registry, evict_all):
    pool = empty()
    assert pool.load_index(path) == 6
    found = pool.match_sequence_hashes([11, 12, 14, 15])
    assert (found.ids.tolist(), found.sequence_hashes.tolist()) == ([0, 1, 3, 4], [11, 12, 14, 15])
    found.release()
    assert {block: row[:3] for block, row in registry(pool).items()} == {
        0: (11, -1, 35),
        1: (12, 0, 35),
        2: (13, 1, 35),
        3: (14, 1, 35),
        4: (15, 3, 35),
        5: (21, -1, 50),
    }
    pool.check_invariants()
    assert pool.allocate_blocks(10).ids.tolist() == list(range(6, 16))
    pool = empty()
    pool.load_index(path)
    assert evict_all(pool) == [13, 15, 14, 12, 11, 21]


def test_index_of_an_empty_pool_is_loaded(path, empty):
    assert empty().save_index(path) == 0
    pool = empty()
    assert pool.load_index(path) == 0
    assert pool.events() == []
    pool.check_invariants()


@pytest.mark.parametrize("duplicates", ["share", "keep"])
@pytest.mark.parametrize("seed", range(40))
def test_blocks_go_in_the_order_of_the_saved_pool(seed, duplicates, path, clock, empty, registry):
    pool = empty(num_blocks=40, duplicates=duplicates)
    life = Life(pool, clock, seed)
    for _ in range(150):
        life.step()
    pool.save_index(path)
    then = clock.seconds
    life.end()
    kept = registry(pool)
    clock.seconds += 3.0  # some of the times are over then
    order = evicted_order(pool)
    loaded = empty(num_blocks=40, duplicates=duplicates)
    clock.seconds = then + 1000.0
    loaded.load_index(path, elapsed=2.0)
    assert registry(loaded) == kept
    loaded.check_invariants()
    clock.seconds += 1.0
    assert evicted_order(loaded) == order
    assert len(order) > 10


@pytest.mark.parametrize("seed", range(20))
def test_blocks_of_namespaces_go_in_the_order_of_the_saved_pool(seed, path, clock, empty, registry):
    pools = []
    for _ in range(2):
        pools.append(empty(num_blocks=40, max_namespaces=3))
    pool, loaded = pools
    pool.namespace("a", floor=4, cap=20)
    pool.namespace("b", salt_hash=7)
    pool.namespace("", cap=30)
    life = Life(pool, clock, seed, ("", "a", "b"))
    for _ in range(150):
        life.step()
    pool.save_index(path)
    life.end()
    kept = registry(pool)
    loaded.load_index(path, elapsed=0)
    assert registry(loaded) == kept
    loaded.check_invariants()
    assert evicted_order(loaded) == evicted_order(pool)
    tell = {name: (space.index, space.salt_hash, space.floor, space.cap) for name, space in loaded.namespaces.items()}
    salt = pool.namespaces["a"].salt_hash
    assert tell == {"": (0, 0, 0, 30), "a": (1, salt, 4, 20), "b": (2, 7, 0, 40)}


@pytest.mark.parametrize("eviction", [*EVICTION_POLICIES, Odd()], ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_under_every_policy_the_same_blocks_are_registered(eviction, seed, path, clock, empty, registry):
    pool = empty(num_blocks=40, eviction=eviction, max_namespaces=0)
    life = Life(pool, clock, seed)
    for _ in range(150):
        life.step()
    pool.save_index(path)
    life.end()
    for other in (eviction, "lru"):
        loaded = empty(num_blocks=40, eviction=other)
        loaded.load_index(path, elapsed=0)
        assert registry(loaded) == registry(pool)
        loaded.check_invariants()
        life = Life(loaded, clock, seed + 1)
        for _ in range(50):
            life.step()
        loaded.check_invariants()


@pytest.mark.parametrize("eviction", ["fifo", "lfu", "multi_lru", "s3fifo", "sieve", "slru"])
def test_blocks_that_were_never_asked_for_go_in_the_same_order_under_other_policies(eviction, path, empty, store):
    # Multi-LRU counts by a sketch with a counter for each block, under a secret of each pool: in 16 of them hashes met.
    pool, loaded = (empty(num_blocks=4096, eviction=eviction) for _ in range(2))
    for first in range(1, 16, 3):
        store(pool, range(first, first + 3))
    pool.save_index(path)
    loaded.load_index(path)
    assert evicted_order(loaded) == evicted_order(pool)


def test_held_blocks_are_in_the_index_and_mutable_ones_are_not(path, empty, store, evict_all):
    pool = empty()
    held = store(pool, [1, 2])
    sequence = pool.open_sequence(range(9))
    sequence.commit(9)
    pin = pool.pin([1])
    mutable = pool.allocate_blocks(3)
    assert pool.save_index(path) == 4
    assert (len(held), len(mutable), sequence.num_tokens, len(pin)) == (2, 3, 9, 1)
    loaded = empty()
    assert loaded.load_index(path) == 4
    status = loaded.status()
    assert (status.cached, status.active, status.pinned, loaded.outstanding()) == (4, 0, 0, [])
    first, second = sequence_hashes(range(8), 4).tolist()
    assert evict_all(loaded) == [2, second, first, 1]  # as if dropped now, the oldest first


def test_saving_changes_nothing(path, empty, store, unchanged):
    pool = empty()
    held, mutable = store(pool, [1, 2], ttl=5), pool.allocate_blocks(1)
    store(pool, [3])
    with unchanged(pool):
        pool.save_index(path)
    assert len(held) + len(mutable) == 3


@pytest.mark.parametrize(
    ("passed", "elapsed", "order"),
    [
        (8, None, [2, 1]),  # 1 has its high priority for two more seconds
        (11, None, [1, 2]),
        (-DAY, None, [2, 1]),  # a clock that was set back counts as no time
        (10**6, 8.5, [2, 1]),
        (0, 10, [1, 2]),
        (0, float("inf"), [1, 2]),
    ],
)
def test_time_that_has_passed_since_the_save_counts(passed, elapsed, order, path, empty, store, clock, monkeypatch):
    pool = empty()
    clock.seconds = 100.0
    store(pool, [1], ttl=10)
    store(pool, [2], priority=50)
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    pool.save_index(path)
    monkeypatch.setattr(time, "time_ns", lambda: now + passed * 10**9)
    loaded = empty()
    clock.seconds = 7.0  # another process, another clock
    loaded.load_index(path, elapsed=elapsed)
    assert evicted_order(loaded) == order


def test_a_pool_that_was_saved_twice_counts_the_time_twice(path, empty, store, clock, evict_all):
    pool = empty()
    store(pool, [1], ttl=10)
    store(pool, [2], priority=50)
    for _ in range(3):
        pool.save_index(path)
        pool = empty()
        pool.load_index(path, elapsed=3)
    pool.save_index(path)
    late = empty()
    late.load_index(path, elapsed=2)
    assert (evict_all(pool), evict_all(late)) == ([2, 1], [1, 2])


@pytest.mark.parametrize("wrong", [-1, float("nan"), "1", True])
def test_time_that_is_none_is_refused(wrong, saved, path, empty, unchanged):
    pool = empty()
    with unchanged(pool), pytest.raises((TypeError, ValueError), match="elapsed"):
        pool.load_index(path, elapsed=wrong)


def test_copies_of_a_hash_are_matched_in_their_order(path, empty, store):
    pool = empty(duplicates="keep")
    handles = [store(pool, [1, 2]), store(pool, [1]), store(pool, [1])]
    copies = [handle.ids[0] for handle in handles]
    handles.clear()
    pool.save_index(path)
    loaded = empty(duplicates="keep")
    assert loaded.load_index(path) == 4
    assert loaded.match_sequence_hashes([1]).ids.tolist() == copies[:1]
    loaded.evict_ahead(14)  # the youngest copies, which nothing continues, came back first or last
    loaded.check_invariants()
    assert loaded.contains([1]).all()


def test_events_tell_of_all_blocks_after_a_clear(saved, path, empty, store):
    pool = empty()
    store(pool, [1, 2])
    pool.reset()
    before = len(pool.events())
    pool.load_index(path)
    events = pool.events(before)
    assert [event.kind for event in events] == [PoolEventKind.CLEARED] + [PoolEventKind.STORED] * 6
    known = set()
    for event in events[1:]:
        assert event.parent_hash is None or event.parent_hash in known
        known.add(event.sequence_hash)
    assert known == {11, 12, 13, 14, 15, 21}
    assert {event.sequence_hash: event.parent_hash for event in events[1:]} == {
        event.sequence_hash: event.parent_hash for event in pool.snapshot()
    }


def test_tokens_come_back_where_both_pools_keep_them(path, empty):
    pool = empty(event_tokens=True)
    pool.open_sequence(range(1, 10)).commit(9)
    pool.save_index(path)
    known = {event.sequence_hash: event.token_ids for event in pool.snapshot()}
    assert [len(tokens) for tokens in known.values()] == [4, 4]
    loaded = empty(event_tokens=True)
    loaded.load_index(path)
    assert {event.sequence_hash: event.token_ids for event in loaded.events()} == known
    assert {event.sequence_hash: event.token_ids for event in loaded.snapshot()} == known
    without = empty()
    without.load_index(path)
    without.save_index(path)
    loaded = empty(event_tokens=True)
    assert loaded.load_index(path) == 2
    assert [event.token_ids for event in loaded.snapshot()] == [None, None]


def test_pool_with_blocks_is_left_as_it_is(saved, path, empty, store, unchanged):
    pool = empty()
    held = pool.allocate_blocks(2)
    with unchanged(pool), pytest.raises(ResetError, match="while 2 of 16 blocks are held and 0 are cached"):
        pool.load_index(path)
    pool.register_blocks(held, [1, 2]).release()
    with unchanged(pool), pytest.raises(ResetError, match="while 0 of 16 blocks are held and 2 are cached"):
        pool.load_index(path)
    pool.reset()
    assert pool.load_index(path) == 6
    with unchanged(pool), pytest.raises(ResetError, match="6 are cached"):
        pool.load_index(path)


def test_block_remembered_from_before_is_not_the_loaded_one(path, empty, store):
    pool = empty()
    weak = store(pool, [1])[0].downgrade()
    pool.save_index(path)
    pool.reset()
    pool.load_index(path)
    assert weak.upgrade() is None
    assert pool.match_sequence_hashes([1]).ids.tolist() == [0]


def test_file_is_its_owners_alone_and_may_be_named_in_every_way(tmp_path, empty, store):
    pool = empty()
    store(pool, [1])
    strange = tmp_path / ("\u00e4" * 120)  # 240 bytes of the 255 that a name may have
    for path in (tmp_path / "a", str(tmp_path / "b"), os.fsencode(tmp_path / "c"), strange):
        assert pool.save_index(path) == 1
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert empty().load_index(path) == 1
    for wrong in (3, None, 1.5):
        with pytest.raises(TypeError):
            pool.save_index(wrong)
        with pytest.raises(TypeError):
            pool.load_index(wrong)


def test_index_saved_while_threads_work_is_whole(path, empty):
    pool = BlockPool(256, 4)
    is_over = threading.Event()

    def work(number):
        rng = random.Random(number)
        while not is_over.is_set():
            hashes = chain(number * 10 + rng.randrange(8), rng.randint(1, 12))
            cached = pool.match_sequence_hashes(hashes)
            fresh = pool.allocate_blocks(len(hashes) - len(cached))
            pool.register_blocks(
                fresh, hashes[len(cached) :], priority=rng.choice([None, 60]), ttl=rng.choice([None, 1])
            )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(60):
            pool.save_index(path)
            loaded = BlockPool(256, 4)
            assert loaded.load_index(path) <= 256
            loaded.check_invariants()
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    pool.check_invariants()
