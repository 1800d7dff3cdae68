"""Coroutines that wait for blocks: in turn, with deadlines, cancelled at any moment, in any loop."""

import asyncio
import copy
import gc
import pickle
import random
import select
import threading

import numpy as np
import pytest

from kvpool import (
    AllocationTimeout,
    AsyncBlockPool,
    Backoff,
    BlockPool,
    NotEnoughBlocksAvailable,
    ResetError,
)
from kvpool._core.bell import Bell
from kvpool._core.block_request import BlockRequest, collect_requests

PATIENCE = 30.0  # seconds that a test waits at most


def loops():
    """Make an event loop: asyncio's, and uvloop's where it is installed."""
    try:
        import uvloop
    except ImportError:
        return [pytest.param(asyncio.new_event_loop, id="asyncio")]
    return [
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(uvloop.new_event_loop, id="uvloop"),
    ]


@pytest.fixture(params=loops())
def run(request):
    """Run a coroutine in a fresh loop, which is closed afterwards: the function that does it."""

    def run_in(coroutine):
        loop = request.param()
        try:
            return loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    return run_in


@pytest.fixture
def pool():
    pool = BlockPool(8, 4)
    yield pool
    gc.collect()
    assert pool.status().waiting == 0
    assert pool.available_blocks == 8
    pool.check_invariants()


async def until_waiting(pool, n):
    """Give the loop turns until so many calls wait."""
    while pool.status().waiting < n:
        await asyncio.sleep(0)


def test_calls_are_those_of_the_pool_as_coroutines(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        fresh = await shared.allocate_blocks(3, owner="me")
        assert fresh.owner == "me"
        blocks = await shared.register_blocks(fresh, [1, 2, 3], priority=50)
        matched = await shared.match_sequence_hashes([1, 2, 9])
        scattered = await shared.match_scattered(np.array([9, 3], np.uint64))
        assert (len(blocks), len(matched), len(scattered)) == (3, 2, 2)
        assert await shared.touch([1, 2, 3]) == 3
        with pytest.raises(ResetError):
            await shared.reset()
        assert (await shared.reset_blocks([1])).not_reset.tolist() == [1]
        for handle in (blocks, matched, scattered):
            handle.release()
        assert (await shared.reset()).num_blocks == 3
        assert (await shared.status()) == pool.status()
        assert (shared.total_blocks, shared.available_blocks, shared.usage_rate) == (8, 8, 0.0)
        assert shared.cache_hit_rate == pool.cache_hit_rate
        assert shared.pool is pool

    run(use())


def test_what_can_be_served_at_once_gives_no_turn_to_others(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        turns = []
        asyncio.get_running_loop().call_soon(turns.append, 1)
        for timeout in (None, 0, 5, float("inf")):
            (await shared.allocate_blocks(8, timeout=timeout)).release()
        assert turns == []

    run(use())


def test_waiters_are_served_first_come_first_served(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        served = []

        async def take(name, n):
            blocks = await shared.allocate_blocks(n, timeout=PATIENCE)
            served.append(name)
            return blocks

        singles = [await shared.allocate_blocks(1) for _ in range(8)]
        tasks = [asyncio.create_task(take(name, n)) for name, n in (("a", 3), ("b", 1), ("c", 4))]
        await until_waiting(pool, 3)
        with pytest.raises(AllocationTimeout):
            await shared.allocate_blocks(1, timeout=0)
        for single in singles:
            single.release()
            await asyncio.sleep(0.001)
        for task in tasks:
            (await task).release()
        assert served == ["a", "b", "c"]

    run(use())


def test_threads_and_coroutines_stand_in_one_queue(pool, run):
    order = []

    def take_in_thread():
        with pool.allocate_blocks(8, timeout=PATIENCE):
            order.append("thread")

    async def use():
        shared = AsyncBlockPool(pool)
        held = await shared.allocate_blocks(8)

        async def take():
            with await shared.allocate_blocks(8, timeout=PATIENCE):
                order.append("coroutine")

        first = asyncio.create_task(take())
        await until_waiting(pool, 1)
        thread = threading.Thread(target=take_in_thread)
        thread.start()
        await until_waiting(pool, 2)
        last = asyncio.create_task(take())
        await until_waiting(pool, 3)
        held.release()
        await first
        await last
        thread.join(PATIENCE)

    run(use())
    assert order == ["coroutine", "thread", "coroutine"]


def test_a_drop_in_another_thread_wakes_the_waiter(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        kept = [await shared.allocate_blocks(8)]
        task = asyncio.create_task(shared.allocate_blocks(8, timeout=float("inf")))
        await until_waiting(pool, 1)
        threading.Thread(target=kept.clear).start()
        (await task).release()

    run(use())


def test_a_wait_ends_at_its_deadline_and_says_who_holds_the_blocks(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        held = await shared.allocate_blocks(6, owner="greedy")
        with pytest.raises(AllocationTimeout, match="requested 3 blocks, but 2 are available of 8; held by 'greedy' 6"):
            await shared.allocate_blocks(3, timeout=0.01)
        before = pool.allocation_failures
        with pytest.raises(NotEnoughBlocksAvailable, match="requested 9 blocks"):
            await shared.allocate_blocks(9, timeout=PATIENCE)  # more than there are: at once
        assert pool.allocation_failures == before + 1
        held.release()

    run(use())


def test_what_was_evicted_for_a_waiter_is_told(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        blocks = await shared.register_blocks(await shared.allocate_blocks(8), range(1, 9))
        task = asyncio.create_task(shared.allocate_blocks(2, timeout=PATIENCE))
        await until_waiting(pool, 1)
        blocks.release()
        with await task as fresh:
            assert fresh.evicted.sequence_hashes.tolist() == [8, 7]

    run(use())


def test_a_cancelled_wait_lets_the_next_one_pass(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        held = await shared.allocate_blocks(7)
        greedy = asyncio.create_task(shared.allocate_blocks(8, timeout=PATIENCE))
        modest = asyncio.create_task(shared.allocate_blocks(1, timeout=PATIENCE))
        await until_waiting(pool, 2)
        greedy.cancel()
        (await modest).release()
        assert greedy.cancelled()
        held.release()

    run(use())


@pytest.mark.parametrize("cancels_first", [True, False])
def test_a_grant_that_races_a_cancellation_goes_to_the_next(pool, run, cancels_first):
    async def use():
        shared = AsyncBlockPool(pool)
        held = await shared.allocate_blocks(8)
        first = asyncio.create_task(shared.allocate_blocks(8, timeout=PATIENCE))
        second = asyncio.create_task(shared.allocate_blocks(8, timeout=PATIENCE))
        await until_waiting(pool, 2)
        if cancels_first:
            first.cancel()
        held.release()
        if not cancels_first:
            first.cancel()
        (await second).release()
        assert first.cancelled()

    run(use())


def test_a_grant_that_was_collected_before_the_cancellation_goes_to_the_next(pool, run):
    async def use():
        shared = AsyncBlockPool(pool)
        loop = asyncio.get_running_loop()
        held = await shared.allocate_blocks(8)
        first = asyncio.create_task(shared.allocate_blocks(8, timeout=PATIENCE))
        second = asyncio.create_task(shared.allocate_blocks(8, timeout=PATIENCE))
        await until_waiting(pool, 2)
        waits = shared._waits[loop]
        held.release()
        waits._collect(waits._pending())  # the future has its result now; the task has not run yet
        first.cancel()
        (await second).release()
        assert first.cancelled()

    run(use())


def test_a_thousand_waiters_cancelled_at_random_leak_nothing(pool, run):
    async def use(seed):
        dice = random.Random(seed)
        shared = AsyncBlockPool(pool)
        served = cancelled = late = 0

        async def take():
            # `with`: the traceback of a cancellation keeps the frame, and a handle in it, as long as the task.
            with await shared.allocate_blocks(dice.randrange(1, 9), timeout=dice.choice([0.001, PATIENCE])):
                for _ in range(dice.randrange(3)):
                    await asyncio.sleep(0)

        tasks = [asyncio.create_task(take()) for _ in range(1000)]
        for task in dice.sample(tasks, 400):
            await asyncio.sleep(0)
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            served += result is None
            cancelled += isinstance(result, asyncio.CancelledError)
            late += isinstance(result, AllocationTimeout)
            assert result is None or isinstance(result, (asyncio.CancelledError, AllocationTimeout)), f"seed {seed}"
        assert served > 0
        assert cancelled > 0
        assert served + cancelled + late == 1000

    for seed in range(3):
        run(use(seed))
        gc.collect()
        assert (pool.status().waiting, pool.available_blocks) == (0, 8), f"seed {seed}"


def test_several_loops_and_threads_share_a_pool(pool):
    shared = AsyncBlockPool(pool)  # where no loop runs
    errors = []

    def serve_requests(seed):
        dice = random.Random(seed)

        async def request():
            try:
                blocks = await asyncio.wait_for(
                    shared.allocate_blocks(dice.randrange(1, 5), timeout=PATIENCE), dice.choice([0.0005, PATIENCE])
                )
            except (asyncio.TimeoutError, TimeoutError):
                return
            await asyncio.sleep(0)
            blocks.release()

        async def serve():
            for _ in range(20):
                await asyncio.gather(*[request() for _ in range(10)])

        try:
            asyncio.run(serve())
        except BaseException as error:
            errors.append(error)

    def allocate(seed):
        dice = random.Random(seed)
        for _ in range(200):
            with pool.allocate_blocks(dice.randrange(1, 4), timeout=PATIENCE):
                pass

    threads = [threading.Thread(target=serve_requests, args=(seed,)) for seed in range(3)]
    threads.append(threading.Thread(target=allocate, args=(9,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE * 3)
        assert not thread.is_alive()
    assert errors == []


def test_a_loop_that_is_closed_with_waiters_leaves_nothing_behind(pool):
    loop = asyncio.new_event_loop()
    shared = AsyncBlockPool(pool)
    held = pool.allocate_blocks(8)
    task = loop.create_task(shared.allocate_blocks(2, timeout=PATIENCE))
    loop.run_until_complete(until_waiting(pool, 1))
    assert pool.status().waiting == 1
    task._log_destroy_pending = False  # it is what this test does
    loop.close()
    del task, loop
    gc.collect()
    assert pool.status().waiting == 0
    held.release()
    assert asyncio.run(AsyncBlockPool(pool).allocate_blocks(8, timeout=PATIENCE)).released is False


def test_a_task_that_waits_is_kept_by_its_loop(pool):
    done = []

    async def take(shared):
        with await shared.allocate_blocks(4, timeout=float("inf")):
            done.append(1)

    async def use():
        shared = AsyncBlockPool(pool)
        held = await shared.allocate_blocks(8)
        asyncio.get_running_loop().create_task(take(shared))  # nobody else knows it
        await until_waiting(pool, 1)
        gc.collect()
        assert pool.status().waiting == 1
        held.release()
        while not done:
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(use(), PATIENCE))


def test_a_request_that_only_a_cycle_keeps_outlives_its_collection(pool):
    held = pool.allocate_blocks(8)
    bell = Bell()

    def wait_in_a_cycle():
        request = BlockRequest(pool, 1, bell)
        request.future = [request]
        request.future.append(request.future)

    for _ in range(8):
        wait_in_a_cycle()
    held.release()
    thresholds = gc.get_threshold()
    spare = [[] for _ in range(200)]  # so that making a list allocates
    gc.set_threshold(1, 1, 1)
    requests = collect_requests(pool, bell)
    gc.set_threshold(*thresholds)
    assert len(spare) == 200
    assert [type(request) for request in requests] == [BlockRequest] * 8
    assert all(request.settle() is not None for request in requests)
    del requests


def test_the_descriptor_is_watched_only_while_somebody_waits(pool):
    async def use():
        shared = AsyncBlockPool(pool)
        loop = asyncio.get_running_loop()
        watched = []
        add, remove = loop.add_reader, loop.remove_reader
        loop.add_reader = lambda fd, *call: (watched.append(fd), add(fd, *call))
        loop.remove_reader = lambda fd: (watched.remove(fd), remove(fd))
        held = await shared.allocate_blocks(8, timeout=1)
        assert watched == []
        tasks = [asyncio.create_task(shared.allocate_blocks(4, timeout=PATIENCE)) for _ in range(2)]
        await until_waiting(pool, 2)
        assert len(watched) == 1
        readable = select.poll()
        readable.register(watched[0], select.POLLIN)
        assert readable.poll(0) == []
        held.release()
        assert len(readable.poll(0)) == 1
        for task in tasks:
            (await task).release()
        assert watched == []
        (await shared.allocate_blocks(8)).release()
        assert readable.poll(0) == []  # nobody waits: nothing is written

    asyncio.run(use())


def test_a_retry_covers_the_backoff_of_the_reference_design(pool, run, monkeypatch):
    slept = []
    sleep = asyncio.sleep

    async def note(delay):
        slept.append(delay)
        if len(slept) == 3:
            held[0].release()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", note)
    held = [pool.allocate_blocks(8)]

    async def use():
        shared = AsyncBlockPool(pool)
        (await shared.allocate_blocks(8, retry=Backoff(3, 0.1))).release()
        assert slept == [0.1, 0.2, 0.4]
        held[0] = pool.allocate_blocks(1)
        with pytest.raises(NotEnoughBlocksAvailable):
            await shared.allocate_blocks(8, retry=2)
        assert slept[3:] == [0.1, 0.2]
        with pytest.raises(NotEnoughBlocksAvailable):
            await shared.allocate_blocks(9, retry=2)
        assert len(slept) == 5  # no waiting would help
        held[0].release()

    run(use())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": -1, "timeout": 1}, ValueError, "n = -1 is not at least 0"),
        ({"n": True, "timeout": 1}, TypeError, "n must be an int, not bool"),
        ({"n": 1.5, "timeout": 1}, TypeError, "n must be an int, not float"),
        ({"n": 10**30, "timeout": 1}, NotEnoughBlocksAvailable, "requested 1000000000000000000000000000000 blocks"),
        ({"n": 1, "timeout": -1}, ValueError, "timeout = -1 is not at least 0 seconds"),
        ({"n": 1, "timeout": "1"}, TypeError, "timeout must be a number of seconds, not str"),
        ({"n": 1, "timeout": float("nan")}, ValueError, "timeout = nan"),
        ({"n": 1, "timeout": 1, "retry": 1}, ValueError, "timeout = 1 was given along with retry"),
        ({"n": 1, "retry": 1.5}, TypeError, "retries must be an int, not float"),
        ({"n": 1, "retry": -1}, ValueError, "retries = -1 is not at least 0"),
        ({"n": 1, "timeout": 1, "namespace": "acme"}, ValueError, "namespace = 'acme' is not one of the pool's"),
    ],
)
def test_bad_arguments_are_refused(pool, arguments, error, message):
    with pytest.raises(error, match=message):
        asyncio.run(AsyncBlockPool(pool).allocate_blocks(**arguments))


def test_it_is_made_of_a_pool_and_is_not_copied(pool):
    with pytest.raises(TypeError, match="pool must be a BlockPool, not int"):
        AsyncBlockPool(3)
    shared = AsyncBlockPool(pool)
    assert repr(shared) == f"<AsyncBlockPool of {pool!r}>"
    for act in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            act(shared)


def test_tenants_do_not_wait_for_each_others_caps(run):
    async def use():
        pool = BlockPool(8, 4, max_namespaces=2)
        pool.namespace("small", cap=2)
        pool.namespace("other")
        shared = AsyncBlockPool(pool)
        held = await shared.allocate_blocks(2, namespace="small")
        waiting = asyncio.create_task(shared.allocate_blocks(1, timeout=PATIENCE, namespace="small"))
        await until_waiting(pool, 1)
        (await shared.allocate_blocks(6, timeout=PATIENCE, namespace="other")).release()
        held.release()
        (await waiting).release()
        assert pool.available_blocks == 8

    run(use())
