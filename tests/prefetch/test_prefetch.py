"""What is predicted is held for a time, loaded or reserved; and it is known whether that was of use."""

import asyncio
import gc
import random
import threading
import weakref

import numpy as np
import pytest

from kvpool import AsyncBlockPool, BlockPool, BlockPoolError, ForeignHandle, TokenBlockSequence

PATIENCE = 30.0  # seconds that a test waits at most


def cache(pool, hashes):
    pool.register_blocks(pool.allocate_blocks(len(hashes)), hashes).release()


def test_what_is_cached_is_held_and_the_rest_is_reserved(pool):
    cache(pool, [1, 2, 3])
    prefetch = pool.prefetch([1, 2, 3, 4, 5], hold=PATIENCE)
    assert (prefetch.num_cached, prefetch.num_reserved, prefetch.num_loaded) == (3, 2, 0)
    assert prefetch.wait(0)
    assert pool.available_blocks == 27
    assert {(hold.owner, hold.kind, hold.blocks) for hold in pool.outstanding()} == {
        ("prefetch", "immutable", 3),
        ("prefetch", "mutable", 2),
    }
    pool.allocate_blocks(27).release()  # evicts what it can
    assert pool.contains([1, 2, 3]).all()
    assert pool.prefetcher.live == (prefetch,)
    assert "3 cached, 2 reserved, 0 loaded, held" in repr(prefetch)


def test_holding_ahead_is_no_hit_and_no_request(pool):
    cache(pool, [1, 2])
    pool.prefetch([1, 2, 3]).cancel()
    assert pool.status().match_hashes_requested == 0
    assert pool.cache_hit_rate == 0


def test_a_request_takes_what_was_prefetched_for_it(pool):
    cache(pool, [1, 2, 3])
    prefetch = pool.prefetch([1, 2, 3, 4, 5])
    cached, reserved = prefetch.take()
    assert (cached.sequence_hashes.tolist(), len(reserved)) == ([1, 2, 3], 2)
    assert prefetch.is_over
    assert (pool.prefetcher.statistics().useful, pool.prefetcher.statistics().wasted) == (5, 0)
    again, none = prefetch.take()
    assert (len(again), len(none)) == (3, 0)
    for handle in (cached, reserved, again):
        handle.release()


def test_blocks_that_a_match_asks_for_were_useful_and_the_others_wasted(pool):
    cache(pool, [1, 2, 3, 4])
    prefetch = pool.prefetch([1, 2, 3, 4])
    pool.match_sequence_hashes([1, 2, 9]).release()
    pool.match_sequence_hashes([1]).release()
    prefetch.cancel()
    statistics = pool.prefetcher.statistics()
    assert (statistics.useful, statistics.wasted, statistics.accuracy) == (2, 2, 0.5)


def test_what_nobody_asks_for_goes_when_its_time_is_over(pool, until):
    cache(pool, [1, 2])
    prefetch = pool.prefetch([1, 2, 3], hold=0.01)
    until(lambda: prefetch.is_over and pool.available_blocks == 32)
    statistics = pool.prefetcher.statistics()
    assert (statistics.useful, statistics.wasted, statistics.held_blocks) == (0, 3, 0)
    assert pool.prefetcher.live == ()


def test_a_prefetch_that_is_dropped_is_held_all_the_same(pool):
    cache(pool, [1, 2])
    pool.prefetch([1, 2], hold=PATIENCE)
    gc.collect()
    assert pool.status().active == 2


def test_all_prefetches_together_hold_no_more_than_the_limit(pool):
    cache(pool, range(1, 13))
    one = pool.prefetch(range(1, 11))
    other = pool.prefetch(range(100, 120))
    third = pool.prefetch([1, 2])
    assert (one.num_cached, other.num_reserved, third.num_cached) == (10, 6, 0)
    statistics = pool.prefetcher.statistics()
    assert (statistics.held_blocks, statistics.limited) == (16, 14 + 2)
    one.cancel()
    assert pool.prefetch([1, 2]).num_cached == 2


def test_no_more_is_reserved_than_there_is(pool):
    held = pool.allocate_blocks(30)
    assert pool.prefetch(range(1, 9)).num_reserved == 2
    held.release()


def test_a_loader_fills_blocks_and_they_can_be_matched(pool):
    memory = {}

    def load(blocks, hashes):
        assert not blocks.released
        for block_id, sequence_hash in zip(blocks.ids.tolist(), hashes.tolist(), strict=True):
            memory[block_id] = sequence_hash

    cache(pool, [1, 2])
    pool.prefetcher.loader = load
    prefetch = pool.prefetch([1, 2, 3, 4, 5])
    assert prefetch.wait(PATIENCE)
    assert (prefetch.num_loaded, prefetch.num_reserved) == (3, 3)
    with pool.match_sequence_hashes([1, 2, 3, 4, 5]) as matched:
        assert [memory[block_id] for block_id in matched.ids.tolist()[2:]] == [3, 4, 5]
    prefetch.cancel()
    statistics = pool.prefetcher.statistics()
    assert (statistics.loaded, statistics.useful, statistics.wasted, statistics.failed) == (3, 5, 0, 0)
    assert pool.snapshot().has_parent.tolist() == [False, True, True, True, True]


def test_what_a_loader_did_not_fill_goes_back(pool, until):
    pool.prefetcher.loader = lambda blocks, hashes: 2
    prefetch = pool.prefetch([1, 2, 3])
    assert prefetch.wait(PATIENCE)
    assert pool.contains([1, 2, 3]).tolist() == [True, True, False]
    until(lambda: pool.available_blocks == 30)
    assert pool.prefetcher.statistics().failed == 1


def test_a_prefetch_cancelled_while_it_is_loaded_registers_nothing(pool, until):
    entered, leave = threading.Event(), threading.Event()

    def load(blocks, hashes):
        entered.set()
        assert leave.wait(PATIENCE)

    pool.prefetcher.loader = load
    prefetch = pool.prefetch([1, 2])
    assert entered.wait(PATIENCE)
    prefetch.cancel()
    assert prefetch.is_over
    assert pool.status().mutable == 2  # the loader writes to them
    leave.set()
    assert prefetch.wait(PATIENCE)
    until(lambda: pool.available_blocks == 32)
    assert not pool.contains([1, 2]).any()


def test_what_is_loaded_too_late_is_cached_and_counts_as_wasted(pool, until):
    entered, leave = threading.Event(), threading.Event()

    def load(blocks, hashes):
        entered.set()
        assert leave.wait(PATIENCE)

    pool.prefetcher.loader = load
    prefetch = pool.prefetch([1, 2], hold=0.001)
    assert entered.wait(PATIENCE)
    until(lambda: prefetch.is_over)
    leave.set()
    assert prefetch.wait(PATIENCE)
    until(lambda: pool.available_blocks == 32)
    assert pool.contains([1, 2]).all()
    assert pool.prefetcher.statistics().wasted == 2


def test_callbacks_come_when_it_is_loaded_or_at_once(pool, monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: seen.append(report.exc_type))
    leave, called = threading.Event(), threading.Event()

    def fail(prefetch):
        raise KeyError

    pool.prefetcher.loader = lambda blocks, hashes: leave.wait(PATIENCE) and None
    prefetch = pool.prefetch([1])
    prefetch.add_done_callback(fail)
    prefetch.add_done_callback(lambda done: called.set())
    assert not called.is_set()
    leave.set()
    assert called.wait(PATIENCE)
    assert seen == [KeyError]
    calls = []
    prefetch.add_done_callback(calls.append)
    assert calls == [prefetch]


def test_closing_the_pool_ends_what_is_held(pool):
    cache(pool, [1, 2])
    prefetch = pool.prefetch([1, 2, 3], hold=3600)
    pool.close()
    assert prefetch.is_over
    with pytest.raises(BlockPoolError, match="the pool was closed"):
        pool.prefetch([1])
    assert pool.available_blocks == 32


def test_the_pool_goes_when_the_time_of_its_prefetches_is_over(until):
    pool = BlockPool(8, 4)
    pool.prefetcher.loader = lambda blocks, hashes: None
    pool.prefetch([1, 2], hold=0.01).wait(PATIENCE)
    gone = weakref.ref(pool)
    del pool

    def is_gone():
        gc.collect()
        return gone() is None

    until(is_gone)


def test_tenants_prefetch_their_own_blocks():
    pool = BlockPool(16, 4, max_namespaces=1)
    space = pool.namespace("acme", cap=6)
    pool.register_blocks(pool.allocate_blocks(2, namespace="acme"), [1, 2]).release()
    assert pool.prefetch([1, 2]).num_cached == 0
    mine = pool.prefetch([1, 2, 3], namespace=space)
    assert (mine.num_cached, mine.num_reserved) == (2, 0)  # the limit: four of sixteen, two of which are reserved
    pool.prefetcher.cancel_all()
    cached, reserved = pool.prefetch([1, 2, 3], namespace="acme").take()
    assert (len(cached), len(reserved), space.held_blocks) == (2, 1, 3)
    pool.close()


def test_predictions_are_named_as_hashes_are_everywhere(pool):
    sequence = TokenBlockSequence(range(12), block_size=4)
    cache(pool, sequence.sequence_hashes)
    for hashes in (sequence, sequence.sequence_hashes, sequence.sequence_hashes.tolist()):
        with pool.prefetch(hashes) as prefetch:
            assert prefetch.num_cached == 3
    for bad, error in (([-1], ValueError), ([1.5], TypeError), (np.array([1.0]), TypeError), (3, TypeError)):
        with pytest.raises(error):
            pool.prefetch(bad)
    assert pool.prefetch([]).wait(0)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("max_blocks", 33, ValueError, r"max_blocks = 33 is not in \[0, 32\]"),
        ("max_blocks", True, TypeError, "max_blocks must be an int, not bool"),
        ("hold", -1, ValueError, "hold = -1 is not at least 0 seconds"),
        ("hold", "1", TypeError, "hold must be a number of seconds, not str"),
        ("loader", 3, TypeError, "loader must be callable, not int"),
    ],
)
def test_bad_settings_are_refused(pool, name, value, error, message):
    before = getattr(pool.prefetcher, name)
    with pytest.raises(error, match=message):
        setattr(pool.prefetcher, name, value)
    assert getattr(pool.prefetcher, name) == before


def test_coroutines_can_wait_for_the_loader(pool):
    pool.prefetcher.loader = lambda blocks, hashes: None

    async def use():
        shared = AsyncBlockPool(pool)
        prefetch = await shared.prefetch([1, 2], wait=True)
        assert prefetch.num_loaded == 2
        assert (await shared.prefetch([1, 2])).num_cached == 2

    asyncio.run(use())


def test_a_wait_for_the_loader_that_is_cancelled_cancels_the_prefetch(pool, until):
    leave = threading.Event()
    pool.prefetcher.loader = lambda blocks, hashes: leave.wait(PATIENCE) and None

    async def use():
        task = asyncio.create_task(AsyncBlockPool(pool).prefetch([1, 2], wait=True))
        while not pool.prefetcher.live:
            await asyncio.sleep(0)
        (prefetch,) = pool.prefetcher.live
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert prefetch.is_over
        leave.set()
        assert prefetch.wait(PATIENCE)

    asyncio.run(use())
    until(lambda: pool.available_blocks == 32)


@pytest.mark.parametrize("seed", range(4))
def test_random_prefetches_beside_requests_lose_no_block(seed, until):
    dice = random.Random(seed)
    pool = BlockPool(64, 4)
    pool.prefetcher.max_blocks = 24
    pool.prefetcher.loader = lambda blocks, hashes: dice.choice([None, 0, len(blocks) // 2])
    held = []
    for _ in range(400):
        path = dice.randrange(8)
        hashes = [100 * path + i for i in range(1, dice.randrange(2, 9))]
        act = dice.random()
        if act < 0.4:
            pool.prefetch(hashes, hold=dice.choice([0, 0.002, 5]))
        elif act < 0.5 and pool.prefetcher.live:
            dice.choice(pool.prefetcher.live).cancel()
        elif act < 0.6 and pool.prefetcher.live:
            held.append(dice.choice(pool.prefetcher.live).take())
        elif act < 0.9:
            held.append(pool.match_sequence_hashes(hashes))
        elif held:
            held.pop(dice.randrange(len(held)))
        pool.check_invariants()
    held.clear()
    pool.prefetcher.cancel_all()
    until(lambda: pool.available_blocks == 64)
    pool.check_invariants()
    statistics = pool.prefetcher.statistics()
    assert statistics.held_blocks == 0, f"seed {seed}"
    assert 0 <= statistics.useful + statistics.wasted <= statistics.cached + statistics.reserved, f"seed {seed}"
    pool.close()


def test_what_follows_each_other_on_the_same_blocks_is_told_apart(pool):
    cache(pool, [1, 2])
    first = pool.prefetch([1, 2])
    pool.match_sequence_hashes([1, 2]).release()
    second = pool.prefetch([1, 2])
    first.cancel()
    pool.match_sequence_hashes([1, 2]).release()
    second.cancel()
    statistics = pool.prefetcher.statistics()
    assert (statistics.useful, statistics.wasted) == (4, 0)


def test_what_is_asked_for_while_the_rest_is_loaded_is_counted_once(pool):
    entered, leave = threading.Event(), threading.Event()

    def load(blocks, hashes):
        entered.set()
        assert leave.wait(PATIENCE)

    cache(pool, [1, 2])
    pool.prefetcher.loader = load
    prefetch = pool.prefetch([1, 2, 3, 4])
    assert entered.wait(PATIENCE)
    pool.match_sequence_hashes([1, 2]).release()
    leave.set()
    assert prefetch.wait(PATIENCE)
    prefetch.cancel()
    statistics = pool.prefetcher.statistics()
    assert (statistics.useful, statistics.wasted) == (2, 2)


def test_a_limit_that_is_lowered_below_what_is_held_lets_nothing_in(pool):
    cache(pool, range(1, 11))
    pool.prefetch(range(1, 11))
    pool.prefetcher.max_blocks = 4
    assert pool.prefetch(range(1, 11)).num_cached == 0
    assert pool.prefetcher.statistics().held_blocks == 10


def test_in_a_forked_child_prefetches_are_over(run_python):
    out = run_python(
        """
        import os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from kvpool import BlockPool
        pool = BlockPool(16, 4)
        leave, entered = threading.Event(), threading.Event()
        pool.prefetcher.loader = lambda blocks, hashes: entered.set() or leave.wait(30) and None
        one = pool.prefetch([1, 2])
        entered.wait(30)
        if os.fork() == 0:
            assert one.is_over and one.wait(0)
            pool.prefetcher.loader = lambda blocks, hashes: None
            assert pool.prefetch([5]).wait(30)
            pool.close()
            os._exit(7)
        assert os.waitpid(-1, 0)[1] == 7 << 8
        leave.set()
        assert one.wait(30)
        pool.close()
        print(pool.contains([1, 2]).tolist())
        """
    )
    assert out == "[True, True]\n"


def test_pressure_may_be_met_by_cancelling_prefetches_from_another_thread():
    def relieve(pool, is_high):
        if is_high:
            helper = threading.Thread(target=pool.prefetcher.cancel_all)
            helper.start()
            helper.join(PATIENCE)
            assert not helper.is_alive()

    pool = BlockPool(10, 4, high_watermark=0.5, low_watermark=0.4, on_pressure=relieve)
    pool.prefetcher.max_blocks = 10
    pool.prefetch(range(1, 5))
    pool.prefetch(range(11, 15))  # five are held, and more: the listener is called in the middle of it
    assert pool.prefetcher.statistics().prefetches == 2
    pool.close()
    assert pool.available_blocks == 10


def test_there_is_nothing_to_load_when_there_is_no_block(pool):
    calls = []
    pool.prefetcher.loader = lambda blocks, hashes: calls.append(len(blocks))
    with pool.allocate_blocks(32):
        assert pool.prefetch([1, 2]).wait(PATIENCE)
    assert calls == []


def test_a_namespace_of_another_pool_is_refused(pool):
    other = BlockPool(16, 4, max_namespaces=1)
    with pytest.raises(ForeignHandle):
        pool.prefetch([1], namespace=other.namespace("acme"))
    assert pool.prefetcher.statistics().held_blocks == 0


def test_a_prefetcher_whose_pool_is_gone_says_so():
    pool = BlockPool(16, 4)
    prefetcher = pool.prefetcher
    del pool
    gc.collect()
    with pytest.raises(BlockPoolError, match="the pool is gone"):
        prefetcher.prefetch([1])
