"""What is scraped of a pool is what the pool says of itself."""

import itertools
import threading

import numpy as np
import pytest

from kvpool import BlockPool, EvictionMode, EvictionReason, NullEventManager
from kvpool.metrics import BlockManagerMetrics

# Series of a pool, by name and further labels, and where they are in its status.
EXPECTED = {
    ("kvbm_allocations_total",): lambda status: status.allocations,
    ("kvbm_allocations_from_reset_total",): lambda status: status.allocations_from_empty,
    ("kvbm_evictions_total",): lambda status: status.evictions,
    ("kvbm_registrations_total",): lambda status: status.registrations,
    ("kvbm_match_hashes_requested_total",): lambda status: status.match_hashes_requested,
    ("kvbm_match_blocks_returned_total",): lambda status: status.match_blocks_returned,
    ("kvbm_scan_hashes_requested_total",): lambda status: status.scan_hashes_requested,
    ("kvbm_scan_blocks_returned_total",): lambda status: status.scan_blocks_returned,
    ("kvbm_inflight_mutable",): lambda status: status.mutable,
    ("kvbm_inflight_immutable",): lambda status: status.immutable,
    ("kvbm_reset_pool_size",): lambda status: status.empty,
    ("kvbm_inactive_pool_size",): lambda status: status.cached,
    ("kvpool_blocks", ("state", "empty")): lambda status: status.empty,
    ("kvpool_blocks", ("state", "cached")): lambda status: status.cached,
    ("kvpool_blocks", ("state", "mutable")): lambda status: status.mutable,
    ("kvpool_blocks", ("state", "active")): lambda status: status.immutable,
    ("kvpool_pinned_blocks",): lambda status: status.pinned,
    ("kvpool_waiting",): lambda status: status.waiting,
    ("kvpool_prefix_hashes_requested_total",): lambda status: status.match_hashes_requested,
    ("kvpool_prefix_hits_total",): lambda status: status.match_blocks_returned,
    ("kvpool_evictions_total", ("reason", "capacity")): lambda status: status.evictions,
    ("kvpool_evictions_total", ("reason", "ahead")): lambda s: s.evictions_ahead - s.evictions_for_pressure,
    ("kvpool_evictions_total", ("reason", "pressure")): lambda status: status.evictions_for_pressure,
    ("kvpool_evictions_total", ("reason", "reset")): lambda status: status.resets,
    ("kvpool_evictions_total", ("reason", "truncated")): lambda status: status.truncations,
}


def of_pool(name, labels=(), pool="my_pool"):
    """Key of a pool's series in what was scraped."""
    return (name, *sorted([("pool", pool), *labels]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("duplicates", ["share", "keep"])
def test_values_are_those_of_the_status_after_any_history(metrics, new_pool, use, scrape, seed, duplicates):
    pool = new_pool(metrics.pool("my_pool"), duplicates=duplicates)
    held = use(pool, seed)
    pin = pool.pin(held[1].sequence_hashes)
    found, status = scrape(metrics), pool.status()
    assert {key: found[of_pool(key[0], key[1:])] for key in EXPECTED} == {
        key: value(status) for key, value in EXPECTED.items()
    }
    assert found[of_pool("kvpool_allocation_failures_total")] == pool.allocation_failures == 1
    assert found[of_pool("kvpool_block_size_tokens")] == pool.block_size == 4
    # The history was one that had something to tell of each.
    still = {("kvpool_waiting",)}
    assert [key for key, value in EXPECTED.items() if value(status) == 0 and key not in still] == []
    pin.release()


@pytest.mark.parametrize(("duplicates", "expected"), [("share", (0, 2)), ("keep", (2, 0))], ids=["share", "keep"])
def test_duplicates_count_as_kept_or_as_shared(metrics, store, scrape, duplicates, expected):
    pool = BlockPool(8, duplicates=duplicates, pool_metrics=metrics.pool("my_pool"))
    first = store(pool, [1, 2, 3])
    second = store(pool, [1, 2, 4])
    found = scrape(metrics)
    names = ("kvbm_duplicate_blocks_total", "kvbm_registration_dedup_total")
    assert tuple(found[of_pool(name)] for name in names) == expected
    assert found[of_pool("kvbm_registrations_total")] == len(first) + len(second) == 6


def evict_by_reason(pool, reason):
    """Make a pool of four cached blocks lose one or more; return how many."""
    if reason == EvictionReason.CAPACITY:
        return pool.allocate_blocks(1).evicted.num_blocks
    if reason == EvictionReason.AHEAD:
        return pool.evict_ahead(2).num_blocks
    if reason == EvictionReason.PRESSURE:
        return pool.trigger_eviction(EvictionMode.AGGRESSIVE).num_blocks
    if reason == EvictionReason.RESET:
        pool.reset_blocks([1, 2, 3])
        return 3
    request = pool.open_sequence(np.arange(8, dtype=np.int32))  # evicts two
    request.commit(8)
    request.truncate(6)
    return 1


@pytest.mark.parametrize("reason", list(EvictionReason), ids=lambda reason: reason.name.lower())
def test_each_reason_is_counted_by_itself(metrics, store, scrape, reason):
    pool = BlockPool(4, 4, pool_metrics=metrics.pool("my_pool"))
    for one in (1, 2, 3, 4):
        store(pool, [one]).release()
    lost = evict_by_reason(pool, reason)
    found = scrape(metrics)
    counts = {
        each: found[of_pool("kvpool_evictions_total", [("reason", each.name.lower())])] for each in EvictionReason
    }
    made_room = {EvictionReason.CAPACITY: 2} if reason == EvictionReason.TRUNCATED else {}
    assert lost > 0
    assert {each: count for each, count in counts.items() if count} == {reason: lost, **made_room}


def test_waiting_calls_are_shown_while_they_wait(metrics, scrape):
    pool = BlockPool(2, pool_metrics=metrics.pool("my_pool"))
    held = pool.allocate_blocks(2)
    waiter = threading.Thread(target=pool.allocate_blocks, args=(1,), kwargs={"timeout": 60})
    waiter.start()
    while pool.status().waiting == 0:
        assert waiter.is_alive()
    assert scrape(metrics)[of_pool("kvpool_waiting")] == 1
    held.release()
    waiter.join()
    assert scrape(metrics)[of_pool("kvpool_waiting")] == 0


def test_events_are_told_with_what_became_of_them(metrics, store, scrape):
    pool = BlockPool(8, event_capacity=4, pool_metrics=metrics.pool("my_pool"))
    store(pool, [1, 2, 3, 4, 5, 6])
    took = []
    pool.subscribe(took.append, since=0)
    assert scrape(metrics)[of_pool("kvpool_event_subscribers")] == 1
    assert pool.close(60).undelivered_events == 0
    found = scrape(metrics)
    names = ("events_total", "events_delivered_total", "events_missed_total", "event_errors_total", "event_subscribers")
    assert [found[of_pool(f"kvpool_{name}")] for name in names] == [6, 4, 2, 0, 0]
    assert sum(map(len, took)) == 4


def test_batches_with_which_a_subscriber_raised_are_counted(metrics, store, scrape, monkeypatch):
    def refuse(batch):
        raise RuntimeError("this subscriber always raises")

    monkeypatch.setattr("sys.unraisablehook", lambda _: None)  # it is told, too
    pool = BlockPool(8, event_capacity=4, pool_metrics=metrics.pool("my_pool"))
    pool.subscribe(refuse)
    store(pool, [1, 2])
    pool.close(60)
    found = scrape(metrics)
    assert found[of_pool("kvpool_event_errors_total")] > 0
    assert found[of_pool("kvpool_events_delivered_total")] == 0


def test_what_a_manager_sent_on_is_told(metrics, store, scrape):
    class Sender(NullEventManager):
        def publish(self, batch):
            self.published += 1
            self.dropped += batch.first == 0

    pool = BlockPool(8, event_manager=Sender(), event_interval=0, pool_metrics=metrics.pool("my_pool"))
    store(pool, [1, 2])
    pool.close(60)
    found = scrape(metrics)
    assert found[of_pool("kvpool_event_batches_published_total")] >= 1
    assert found[of_pool("kvpool_event_batches_dropped_total")] == 1


def test_namespaces_are_told_with_their_limits(metrics, store, scrape):
    pool = BlockPool(16, max_namespaces=2, pool_metrics=metrics.pool("my_pool"))
    pool.namespace("acme", floor=2, cap=6)
    held = pool.allocate_blocks(3, namespace="acme")
    pool.register_blocks(pool.allocate_blocks(2, namespace="acme"), [1, 2]).release()
    other = pool.allocate_blocks(1)
    found = scrape(metrics)

    def read(name, namespace, *labels):
        return found[of_pool(f"kvpool_namespace_{name}", [("namespace", namespace), *labels])]

    assert read("blocks", "acme", ("state", "held")) == len(held)
    assert read("blocks", "acme", ("state", "cached")) == 2
    assert (read("floor_blocks", "acme"), read("cap_blocks", "acme")) == (2, 6)
    assert read("blocks", "", ("state", "held")) == len(other)
    assert (read("floor_blocks", ""), read("cap_blocks", "")) == (0, 16)


def test_each_pool_has_series_of_its_own(metrics, scrape):
    pools = {name: BlockPool(blocks, pool_metrics=metrics.pool(name)) for name, blocks in (("G1", 8), ("G2", 16))}
    held = [pool.allocate_blocks(number) for number, pool in enumerate(pools.values(), 1)]
    found = scrape(metrics)
    for name, blocks in zip(pools, held, strict=True):
        assert found[of_pool("kvbm_inflight_mutable", pool=name)] == len(blocks)
        empty = found[of_pool("kvpool_blocks", [("state", "empty")], pool=name)]
        assert empty == pools[name].total_blocks - len(blocks)


def test_a_scrape_is_of_one_moment_while_the_pool_works(scrape):
    metrics = BlockManagerMetrics()
    pool = BlockPool(32, pool_metrics=metrics.pool("my_pool"))
    is_over = threading.Event()

    def work():
        for number in itertools.count(1):
            pool.register_blocks(pool.allocate_blocks(number % 7 + 1), range(10 * number, 10 * number + number % 7 + 1))
            if is_over.is_set():
                return

    worker = threading.Thread(target=work)
    worker.start()
    while pool.status().allocations == 0:
        assert worker.is_alive()
    try:
        last = 1
        for _ in range(50):
            found = scrape(metrics)
            assert sum(value for (name, *_), value in found.items() if name == "kvpool_blocks") == 32
            taken = found[of_pool("kvbm_allocations_total")]
            parts = ("kvbm_allocations_from_reset_total", "kvbm_evictions_total")
            assert sum(found[of_pool(part)] for part in parts) == taken >= last
            last = taken
    finally:
        is_over.set()
        worker.join()
