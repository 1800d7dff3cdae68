"""Who follows a pool's events gets them all, in order, or sees what is missing."""

import random
import threading

import numpy as np
import pytest

from kvpool import BlockPool, BlockPoolError, EvictionMode, EvictionReason, PoolEventKind
from kvpool.events import CallbackEventManager, EventManager, ListEventManager, NullEventManager

PATIENCE = 30.0  # seconds that a test waits at most


class Follower(EventManager):
    """Replays the stream into a set, from snapshots too, and waits for what a test wants to see."""

    def __init__(self, wants_snapshots=False):
        self.wants_snapshots = wants_snapshots
        self.registry = set()
        self.next = None
        self.snapshots = 0
        self.batches = []
        self.is_closed = False
        self.changed = threading.Condition()

    def publish(self, batch):
        with self.changed:
            if batch.is_snapshot:
                self.registry.clear()
                self.snapshots += 1
            for event in batch:
                apply(self.registry, event)
            self.next = batch.next
            self.batches.append(batch)
            self.changed.notify_all()

    def close(self):
        with self.changed:
            self.is_closed = True
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self), PATIENCE)


def apply(registry, event):
    if event.kind == PoolEventKind.STORED:
        assert event.sequence_hash not in registry
        assert event.parent_hash is None or event.parent_hash in registry
        registry.add(event.sequence_hash)
    elif event.kind == PoolEventKind.REMOVED:
        registry.remove(event.sequence_hash)
    else:
        registry.clear()


def registered(pool):
    table = pool.blocks()
    return set(table.sequence_hashes[(table.states & 12) > 0].tolist())


def make_history(pool, steps, seed):
    """Store, match, evict, reset at random; yields after each step."""
    dice = random.Random(seed)
    held = []
    for _ in range(steps):
        path = dice.randrange(20)
        hashes = [100 * path + i for i in range(1, dice.randrange(2, 8))]
        act = dice.random()
        if act < 0.5:
            cached = pool.match_sequence_hashes(hashes)
            missing = hashes[len(cached) :]
            if len(missing) <= pool.available_blocks:
                held.append((cached, pool.register_blocks(pool.allocate_blocks(len(missing)), missing)))
            cached = None
        elif act < 0.85 and held:
            held.pop(dice.randrange(len(held)))
        elif act < 0.9:
            pool.trigger_eviction(dice.choice(list(EvictionMode)))
        elif act < 0.95:
            pool.reset_blocks(hashes)
        elif act < 0.97:
            held.clear()
            pool.reset()
        yield


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("duplicates", ["share", "keep"])
def test_the_stream_is_the_registry_at_every_number(seed, duplicates):
    pool = BlockPool(40, 4, event_capacity=10_000, duplicates=duplicates)
    registry, number = set(), 0
    for _ in make_history(pool, 400, seed):
        batch = pool.read_events(number)
        assert (batch.first, batch.missed) == (number, 0)
        for event in batch:
            apply(registry, event)
        number = batch.next
        assert registry == registered(pool), f"seed {seed}"
        snapshot = pool.snapshot()
        assert (snapshot.first, snapshot.next) == (number, number)
        assert set(snapshot.hashes.tolist()) == registry
        assert len(snapshot) == len(registry)


def test_a_batch_says_what_events_say():
    pool = BlockPool(4, 4, event_capacity=16, max_namespaces=1)
    pool.namespace("acme")
    pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
    pool.register_blocks(pool.allocate_blocks(1, namespace="acme"), [3]).release()
    pool.reset_blocks([3])
    pool.reset()
    batch = pool.read_events()
    assert batch.kinds.tolist() == [1, 1, 1, 2, 3]
    assert batch.hashes[:4].tolist() == [1, 2, 3, 3]
    assert batch.has_parent.tolist() == [False, True, False, False, False]
    assert batch.parents[1] == 1
    assert [event.namespace for event in batch] == ["", "", "acme", "acme", ""]
    assert [event.reason for event in batch] == [None, None, None, EvictionReason.RESET, EvictionReason.RESET]
    assert (batch.block_size, batch.tokens) == (4, None)
    assert pool.events() == list(batch)
    assert [len(pool.read_events(since)) for since in (0, 3, 5, 99)] == [5, 2, 0, 0]
    assert (pool.read_events(1, limit=2).first, pool.read_events(1, limit=2).next) == (1, 3)
    assert repr(batch) == "<EventBatch: 5 events from 0>"
    with pytest.raises(ValueError, match=r"limit = 0 is not in"):
        pool.read_events(limit=0)


def test_a_ring_that_overflowed_says_how_much_is_missing():
    pool = BlockPool(4, 4, event_capacity=3)
    for number in range(10):
        pool.register_blocks(pool.allocate_blocks(1), [number]).release()
    recorded = pool.event_statistics().recorded
    batch = pool.read_events(2)
    assert (batch.first, batch.missed, len(batch)) == (recorded - 3, recorded - 5, 3)
    assert repr(batch).endswith(f"{recorded - 5} missed before>")


def test_tokens_are_in_events_and_snapshots_where_they_are_known():
    pool = BlockPool(8, 4, event_capacity=64, event_tokens=True)
    with pool.open_sequence(range(10)) as request:
        request.commit(10)
    pool.register_blocks(pool.allocate_blocks(1).fill([21, 22, 23, 24])).release()
    pool.register_blocks(pool.allocate_blocks(2), [8, 9], token_ids=np.arange(30, 38)).release()
    pool.register_blocks(pool.allocate_blocks(1), [7]).release()
    expected = [(0, 1, 2, 3), (4, 5, 6, 7), (21, 22, 23, 24), (30, 31, 32, 33), (34, 35, 36, 37), None]
    assert [event.token_ids for event in pool.events()] == expected
    assert sorted(event.token_ids or () for event in pool.snapshot()) == sorted(each or () for each in expected)
    assert pool.read_events().tokens.shape == (6, 4)
    pool.allocate_blocks(8).release()
    assert {event.token_ids for event in pool.events(6)} == {None}


def test_token_ids_must_be_those_of_all_blocks(unchanged):
    pool = BlockPool(8, 4, event_capacity=64, event_tokens=True)
    fresh = pool.allocate_blocks(2)
    for tokens in ([], range(7), range(9)):
        with unchanged(pool), pytest.raises(ValueError, match=rf"{len(tokens)} token_ids were given for 2 blocks of 4"):
            pool.register_blocks(fresh, [1, 2], token_ids=tokens)
    with unchanged(pool), pytest.raises(ValueError, match="token"):
        pool.register_blocks(fresh, [1, 2], token_ids=[-1] * 8)
    assert len(pool.register_blocks(fresh[:0], [], token_ids=[])) == 0


def test_a_manager_gets_everything_from_the_first_event_on():
    manager = ListEventManager()
    pool = BlockPool(16, 4, event_manager=manager)
    assert pool.event_capacity == 262144
    for _ in make_history(pool, 300, seed=1):
        pass
    assert pool.close().undelivered_events == 0
    assert manager.events == pool.events()
    assert [event.sequence_number for event in manager.events] == list(range(pool.event_statistics().recorded))
    assert manager.missed == 0


def test_an_event_after_a_pause_is_delivered_without_waiting_for_the_interval():
    follower = Follower()
    pool = BlockPool(4, 4, event_manager=follower, event_interval=3600)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    follower.wait_for(lambda seen: seen.registry == {1})
    pool.close()


def test_events_are_gathered_unless_the_ring_fills_up():
    follower = Follower()
    pool = BlockPool(8, 4, event_manager=follower, event_interval=3600, event_capacity=1024)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    follower.wait_for(lambda seen: seen.batches)
    for number in range(2, 300):
        pool.register_blocks(pool.allocate_blocks(1), [number]).release()
    follower.wait_for(lambda seen: seen.next > 512)  # more than half of the ring: no hour was waited for them
    assert len(follower.batches) <= 4
    pool.close()
    assert follower.registry == registered(pool)


def test_what_a_subscriber_raises_is_counted_and_the_stream_goes_on(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: seen.append(error.exc_type))
    good = Follower()
    pool = BlockPool(8, 4, event_capacity=64)

    def fail(batch):
        raise KeyError(batch.first)

    bad, fine = pool.subscribe(fail), pool.subscribe(good)
    for number in range(1, 6):
        pool.register_blocks(pool.allocate_blocks(1), [number]).release()
        good.wait_for(lambda seen, number=number: number in seen.registry)
    assert pool.close().undelivered_events == 0
    assert bad.errors >= 1
    assert isinstance(bad.last_error, KeyError)
    assert seen == [KeyError]
    assert (fine.errors, fine.delivered, good.registry) == (0, 5, {1, 2, 3, 4, 5})
    statistics = pool.event_statistics()
    assert (statistics.recorded, statistics.errors, statistics.delivered) == (5, bad.errors, 5)


def test_a_slow_subscriber_never_slows_the_pool_and_sees_the_gap():
    entered, leave = threading.Event(), threading.Event()
    batches = []

    def block(batch):
        batches.append(batch)
        entered.set()
        assert leave.wait(PATIENCE)

    pool = BlockPool(4, 4, event_capacity=8)
    subscription = pool.subscribe(block)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    assert entered.wait(PATIENCE)
    for number in range(2, 100):  # would stop here, were it waited for
        pool.register_blocks(pool.allocate_blocks(1), [number]).release()
    leave.set()
    pool.close()
    recorded = pool.event_statistics().recorded
    assert subscription.missed == recorded - 1 - 8
    assert [batch.missed for batch in batches] == [0, recorded - 9]
    assert batches[1].first == recorded - 8
    assert subscription.delivered + subscription.missed == recorded


def test_who_wants_snapshots_is_made_good_what_was_lost():
    entered, leave = threading.Event(), threading.Event()

    class Slow(Follower):
        def publish(self, batch):
            super().publish(batch)
            entered.set()
            assert leave.wait(PATIENCE)

    slow = Slow(wants_snapshots=True)
    pool = BlockPool(16, 4, event_manager=slow, event_capacity=8)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    assert entered.wait(PATIENCE)
    for _ in make_history(pool, 200, seed=3):
        pass
    leave.set()
    pool.close()
    assert slow.snapshots >= 1
    assert slow.next == pool.event_statistics().recorded
    assert slow.registry == registered(pool)
    assert pool.event_statistics().missed > 0


def test_a_router_can_join_a_running_pool():
    pool = BlockPool(40, 4, event_capacity=100_000)
    history = make_history(pool, 400, seed=9)
    for _, _ in zip(range(200), history, strict=False):
        pass
    follower = Follower()
    with pool.subscribe(follower, snapshot=True) as subscription:
        follower.wait_for(lambda seen: seen.snapshots == 1)
        for _ in history:
            pass
        follower.wait_for(lambda seen: seen.next == pool.event_statistics().recorded)
        assert follower.registry == registered(pool)
        assert subscription.missed == 0
    assert follower.is_closed
    assert pool.event_statistics().subscribers == 0


def test_a_subscriber_may_begin_where_it_wants():
    pool = BlockPool(8, 4, event_capacity=64)
    for number in range(1, 4):
        pool.register_blocks(pool.allocate_blocks(1), [number]).release()
    early, late = ListEventManager(), ListEventManager()
    pool.subscribe(early, since=1)
    pool.subscribe(late)
    pool.register_blocks(pool.allocate_blocks(1), [4]).release()
    pool.close()
    assert [event.sequence_hash for event in early.events] == [2, 3, 4]
    assert [event.sequence_hash for event in late.events] == [4]
    with pytest.raises(BlockPoolError, match="the pool was closed"):
        pool.subscribe(late)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ([None], {}, TypeError, "callback must be callable, not NoneType"),
        ([print], {"since": -1}, ValueError, "since = -1 is not in"),
        ([print], {"since": 1}, ValueError, r"since = 1 is not in \[0, 0\]"),
        ([print], {"since": 0, "snapshot": True}, ValueError, "since = 0 was given along with snapshot"),
    ],
)
def test_bad_subscriptions_are_refused(arguments, options, error, message):
    pool = BlockPool(8, 4, event_capacity=64)
    with pytest.raises(error, match=message):
        pool.subscribe(*arguments, **options)
    assert pool.event_statistics().subscribers == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"event_manager": print}, TypeError, "event_manager must be an EventManager, not builtin_function"),
        ({"event_manager": NullEventManager(), "event_capacity": 0}, ValueError, r"event_capacity = 0 is not in \[1,"),
        ({"event_tokens": 1}, TypeError, "event_tokens must be a bool, not int"),
        ({"event_tokens": True}, ValueError, "event_tokens = True, but event_capacity = 0"),
        ({"event_interval": -1}, ValueError, "event_interval = -1 is not at least 0 seconds"),
        ({"pool_metrics": 3}, TypeError, "pool_metrics must be a PoolMetrics, not int"),
    ],
)
def test_bad_options_of_events_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        BlockPool(8, 4, **options)


def test_a_pool_without_a_ring_has_nothing_to_subscribe_to():
    with pytest.raises(BlockPoolError, match="make it with event_capacity="):
        BlockPool(8).subscribe(print)


def test_a_subscriber_may_call_everything_and_close_the_pool():
    done = threading.Event()

    def use(batch):
        if done.is_set():
            return  # what was stored here
        pool.check_invariants()
        blocks = pool.allocate_blocks(2)
        pool.register_blocks(blocks, [77, 78]).release()
        pool.match_sequence_hashes([1, 2]).release()
        pool.events(), pool.snapshot(), pool.outstanding(), pool.touch([1])
        pool.subscribe(print).close()
        done.set()
        pool.close()

    pool = BlockPool(8, 4, event_manager=CallbackEventManager(use))
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    assert done.wait(PATIENCE)
    pool.close()
    assert pool.closed
    pool.check_invariants()


def test_a_subscriber_that_hangs_is_left_behind_when_the_pool_is_closed():
    entered, leave = threading.Event(), threading.Event()

    def hang(batch):
        entered.set()
        assert leave.wait(PATIENCE)

    pool = BlockPool(8, 4, event_capacity=64)
    pool.subscribe(hang)
    held = pool.allocate_blocks(1, owner="me")
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    assert entered.wait(PATIENCE)
    pool.register_blocks(pool.allocate_blocks(2), [2, 3]).release()
    report = pool.close(timeout=0.01)
    assert report.undelivered_events == 2
    assert [(hold.owner, hold.blocks) for hold in report.holds] == [("me", 1)]
    leave.set()
    assert pool.close().undelivered_events == 0
    held.release()


@pytest.mark.own_memory
def test_ten_million_unread_events_take_no_more_memory():
    resource = pytest.importorskip("resource")
    pool = BlockPool(1024, 4, event_capacity=4096)
    hashes = np.arange(256, dtype=np.uint64)

    def store(rounds):
        for _ in range(rounds):
            hashes[:] += np.uint64(256)
            pool.register_blocks(pool.allocate_blocks(256), hashes).release()

    store(100)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    store(19_600)  # each stores 256 and evicts 256
    assert pool.event_statistics().recorded > 10_000_000
    assert len(pool.events()) == 4096
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1024  # KB
