"""What a pool tells while other threads use it."""

import contextlib
import itertools
import os
import signal
import warnings

import numpy as np
import pytest

from kvpool import BlockPool, BlockPoolError, NotEnoughBlocksAvailable, PoolEventKind, StorageInUse
from kvpool.storage import FullyContiguous, HostStorage, LayoutConfig


def store_some(pool, seed, rounds, **options):
    """Allocate, register and drop, so that everything in the pool moves."""
    for i in range(rounds):
        with contextlib.suppress(NotEnoughBlocksAvailable):
            first = 1000 if "namespace" in options else 0  # hashes that no other namespace has
            hashes = [first + (seed * 7 + i * 3 + k) % 97 for k in range(1 + i % 5)]
            held = pool.match_sequence_hashes(hashes, **options)
            fresh = pool.allocate_blocks(len(hashes) - len(held), **options)
            filled = pool.register_blocks(fresh, hashes[len(held) :], parent=held)
            del held, fresh, filled


def test_every_report_is_of_one_moment(run_beside):
    pool = BlockPool(32, 4, event_capacity=256, reuse_sampling=1.0, max_namespaces=4, name="busy")
    pool.namespace("tenant", floor=2)
    pool.time_calls(3)
    before = [pool.status()]

    def read_counts():
        status = pool.status()
        assert status.total == 32 == status.empty + status.cached + status.active
        assert all(now >= then for now, then in zip(status[7:18], before[0][7:18], strict=True))
        before[0] = status
        blocks = pool.blocks()
        states = np.bincount(blocks.states, minlength=9)
        assert blocks.status.empty == states[1]
        assert blocks.status.cached == states[8]
        assert blocks.status.active == states[2] + states[4]

    def read_others():
        assert 0 <= pool.usage_rate <= 1
        assert 0 <= pool.cache_hit_rate <= 1
        assert pool.allocation_failures >= 0
        assert repr(pool).startswith("<BlockPool 'busy' of 32 blocks")
        assert pool.latencies()["match"].period in (2, 3)
        assert pool.reuse_statistics().evictions >= 0
        assert set(pool.namespaces) == {"", "tenant"}
        assert pool.namespaces["tenant"].floor == 2
        assert {hold.owner for hold in pool.outstanding()} <= {"a", "b", None}
        assert len(pool.snapshot()) <= 32
        pool.check_invariants()

    def restart():
        pool.time_calls(2)
        pool.time_calls(3)

    run_beside(
        [
            lambda: store_some(pool, 1, 1500, owner="a"),
            lambda: store_some(pool, 2, 1500, owner="b", namespace="tenant"),
        ],
        [read_counts, read_others, restart],
    )
    pool.check_invariants()
    assert pool.outstanding() == []


def test_names_of_owners_that_die_while_they_are_told_are_whole(run_beside):
    pool = BlockPool(64)
    numbers = itertools.count()

    def hold():
        for _ in range(4000):
            pool.allocate_blocks(1, owner=f"request-{next(numbers)}")

    def look():
        for hold in pool.outstanding():
            assert hold.owner is None or hold.owner.startswith("request-")  # None: its handle is about to go
        with pytest.raises(NotEnoughBlocksAvailable) as caught:
            pool.allocate_blocks(65)
        assert all((hold.owner or "request-").startswith("request-") for hold in caught.value.holders)

    run_beside([hold, hold, hold], [look])
    assert pool.outstanding() == []


def test_an_index_saved_while_threads_use_the_pool_is_one_of_a_moment(run_beside, tmp_path):
    pool = BlockPool(48, 4, max_namespaces=2)
    pool.namespace("tenant")
    path = tmp_path / "index"

    def save():
        for _ in range(60):
            count = pool.save_index(path)
            other = BlockPool(48, 4, max_namespaces=2)
            assert other.load_index(path) == count
            other.check_invariants()

    run_beside([save], [lambda: store_some(pool, 1, 40), lambda: store_some(pool, 2, 40, namespace="tenant")])
    pool.check_invariants()


def test_replayed_events_are_what_the_pool_has_whatever_threads_did(run_together):
    pool = BlockPool(40, 4, event_capacity=1 << 16, event_interval=0.001)
    batches = []
    pool.subscribe(batches.append, since=0)
    run_together(*(lambda seed=seed: store_some(pool, seed, 800) for seed in range(4)))
    pool.close()
    events = [event for batch in batches for event in batch]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    registry = set()
    for event in events:
        if event.kind is PoolEventKind.STORED:
            assert event.sequence_hash not in registry
            registry.add(event.sequence_hash)
        else:
            registry.remove(event.sequence_hash)
    assert registry == {event.sequence_hash for event in pool.snapshot()}


def test_namespaces_that_threads_make_at_once_have_numbers_of_their_own(run_together):
    for _ in range(20):
        pool = BlockPool(240, max_namespaces=60)
        made = [[], [], [], []]

        def make(me, pool=pool, made=made):
            for i in range(12):
                made[me].append(pool.namespace(f"{me}-{i}", floor=i % 3, cap=20 + me))
                made[me].append(pool.namespace(f"all-{i}", floor=1))

        run_together(*(lambda me=me: make(me) for me in range(4)))
        assert sorted({space.index for own in made for space in own}) == list(range(1, 61))
        for me, own in enumerate(made):
            for i, space in enumerate(own[::2]):
                assert (space.name, space.floor, space.cap) == (f"{me}-{i}", i % 3, 20 + me)
        assert {len({own[2 * i + 1].index for own in made}) for i in range(12)} == {1}


def test_what_works_in_the_background_is_there_once(run_together):
    for _ in range(30):
        pool = BlockPool(16, event_capacity=16)
        engines, prefetchers = [], []

        def ask(pool=pool, engines=engines, prefetchers=prefetchers):
            engines.append(pool.progress_engine)
            prefetchers.append(pool.prefetcher)

        run_together(ask, ask, ask, ask)
        assert len(set(map(id, engines))) == len(set(map(id, prefetchers))) == 1
        pool.close()


def test_pressure_that_threads_bring_about_is_told_once_for_each_change(run_together):
    told = []
    pool = BlockPool(16, high_watermark=0.5, low_watermark=0.25, on_pressure=lambda _, is_high: told.append(is_high))

    def press():
        for _ in range(1500):
            with contextlib.suppress(NotEnoughBlocksAvailable), pool.allocate_blocks(4):
                pass

    run_together(press, press, press, press)
    with pool.allocate_blocks(8):
        pass
    assert told.count(True) == told.count(False) > 0
    pool.close()


def test_a_storage_that_comes_and_goes_takes_no_bytes_along(run_beside):
    config = LayoutConfig(16, num_layers=1, outer_dim=1, page_size=4, inner_dim=16, dtype="uint8")
    storage = HostStorage(FullyContiguous(config))
    pool = BlockPool(16, 4)

    def use():
        for _ in range(1500):
            with contextlib.suppress(BlockPoolError), pool.allocate_blocks(3) as blocks:
                memory = np.asarray(blocks[0].block_view())
                memory[:] = 1
                blocks[1].release()
                del memory
            assert pool.scrub in ("never", "free", "allocate")

    def swap():
        for rule in ("free", "allocate"):
            pool.attach_storage(storage, scrub=rule)
            assert pool.num_views >= 0
            while True:
                with contextlib.suppress(StorageInUse):
                    assert pool.detach_storage() is storage
                    break

    run_beside([use, use], [swap])
    pool.check_invariants()
    assert pool.status().active == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_forked_while_threads_use_the_pool_can_use_it(run_beside):
    pool = BlockPool(32, 4, event_capacity=64, max_namespaces=2)
    pool.namespace("tenant")

    def use_in_child():
        signal.alarm(60)
        store_some(pool, 5, 5)
        store_some(pool, 6, 5, namespace="tenant")
        request = pool.open_sequence([1, 2, 3])
        request.append_tokens([4, 5])
        request.release()
        pool.namespace("child")
        pool.check_invariants()
        pool.status()

    def fork():
        for _ in range(25):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                try:
                    use_in_child()
                except BaseException:
                    os._exit(1)
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    def append():
        request = pool.open_sequence([7])
        for i in range(8):
            with contextlib.suppress(NotEnoughBlocksAvailable):
                request.append_tokens([i])

    run_beside([fork], [lambda: store_some(pool, 1, 20), lambda: store_some(pool, 2, 20, namespace="tenant"), append])
    pool.check_invariants()
