"""Forks while other threads are in the middle of anything: the child has the pool, and nobody who was in it.

KVPOOL_FORKS says how many there are, 20 by default.
"""

import os

FORKS = int(os.environ.get("KVPOOL_FORKS", "20"))

PREPARE = """
    import contextlib, faulthandler, os, random, signal, sys, threading, time, warnings
    faulthandler.dump_traceback_later(250, exit=True)
    warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks beside threads
    sys.setswitchinterval(1e-5)
    import every_call
    from kvpool import BackgroundEvictor, BlockPool, BlockPoolError, ListEventManager, NullEventManager

    # Pinned memory asks for torch: who imports it in a child waits for ever where another thread was importing it.
    CALLS = {name: call for name, call in every_call.every_call().items() if "Pinned" not in name}

    def in_child(check, patience=20):
        \"\"\"Fork; the child checks, under an alarm. Return how it ended.\"\"\"
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1]
        code = 1
        try:
            signal.alarm(patience)
            check()
            code = 0
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\\n".encode())
        finally:
            os._exit(code)
    """


def test_the_child_can_use_the_pool_whatever_other_threads_were_doing(hazard):
    hazard(
        PREPARE
        + f"""
    pool = BlockPool(64, 4, event_manager=NullEventManager(), event_capacity=256, max_namespaces=3, reuse_sampling=1.0)
    pool.prefetcher.loader = lambda blocks, hashes: len(blocks) // 2
    world = every_call.World(pool)
    evictor = BackgroundEvictor(pool, reserve=4)
    done = threading.Event()
    counts = [0, 0, 0]

    def hammer(me):
        chance = random.Random(me)
        while not done.is_set():
            with contextlib.suppress(BlockPoolError, ValueError):
                chance.choice(list(CALLS.values()))(world)
                pool.prefetch([7, 8, 9], hold=0.001)
                pool.allocate_blocks(chance.randrange(64), timeout=0.001)
            counts[me] += 1

    def check():
        pool.check_invariants()
        assert pool.status().waiting == 0, pool.status()
        for call in (lambda: pool.prefetch([1, 2, 99], hold=9).cancel(), evictor.stop, pool.outstanding, pool.snapshot):
            call()
        for call in CALLS.values():
            with contextlib.suppress(BlockPoolError, ValueError):  # what the other threads held is gone for good
                call(world)
        if pool.available_blocks:
            assert len(pool.allocate_blocks(1, timeout=5)) == 1
        pool.close()
        pool.check_invariants()

    threads = [threading.Thread(target=hammer, args=(me,), daemon=True) for me in range(3)]
    for thread in threads:
        thread.start()
    ends = []
    for _ in range({FORKS}):
        before = sum(counts)
        while sum(counts) < before + 5:
            time.sleep(0.0005)
        ends.append(in_child(check))
    done.set()
    for thread in threads:
        thread.join(60)
    assert ends == [0] * {FORKS}, ends
    pool.close()
    pool.prefetcher.cancel_all()
    end = time.monotonic() + 20
    while pool.status().active and time.monotonic() < end:  # the loader's thread gives back what was cancelled
        time.sleep(0.001)
    pool.check_invariants()
    assert (pool.status().active, pool.status().waiting) == (0, 0), pool.outstanding()
    """
    )


def test_who_waits_at_a_fork_waits_in_the_parent_alone(hazard):
    hazard(
        PREPARE
        + """
    import asyncio
    from kvpool import AsyncBlockPool

    pool = BlockPool(16, 4)
    held = pool.allocate_blocks(16)
    got = []
    waiting = [threading.Thread(target=lambda: got.append(len(pool.allocate_blocks(2, timeout=60)))) for _ in range(3)]

    async def wait():
        return len(await AsyncBlockPool(pool).allocate_blocks(2, timeout=60))

    waiting.append(threading.Thread(target=lambda: got.append(asyncio.run(wait()))))
    for thread in waiting:
        thread.start()
    while pool.status().waiting < 4:
        time.sleep(0.001)

    def check():
        assert pool.status().waiting == 0
        held.release()
        assert pool.available_blocks == 16
        assert len(pool.allocate_blocks(16, timeout=5)) == 16
        pool.check_invariants()

    assert in_child(check) == 0
    assert pool.status().waiting == 4
    held.release()
    for thread in waiting:
        thread.join(60)
    assert got == [2] * 4
    """
    )


def test_a_child_of_a_child_and_a_pool_made_in_the_child_work(hazard):
    hazard(
        PREPARE
        + """
    pool = BlockPool(16, 4, event_manager=ListEventManager())
    kept = pool.register_blocks(pool.allocate_blocks(2), [1, 2])

    def check_grandchild():
        kept.release()
        assert pool.available_blocks == 16
        with BlockPool(4, 4, event_manager=ListEventManager()) as other:
            other.register_blocks(other.allocate_blocks(1), [3]).release()
        pool.check_invariants()

    def check():
        subscription = pool.subscribe(lambda batch: None)
        assert in_child(check_grandchild) == 0
        assert kept.ids.tolist() == [0, 1]
        assert subscription.close()
        check_grandchild()

    assert in_child(check) == 0
    assert pool.match_sequence_hashes([1, 2]).ids.tolist() == [0, 1]
    """
    )


SLOWLY = """
    sys.setswitchinterval(5)  # who forks does not wait for others, unless it means to
    forking = threading.Event()
    os.register_at_fork(before=forking.set)  # called before those of the library, which were there first
    pool = BlockPool(16, 4)

    def check():
        assert pool.available_blocks == 16, pool.outstanding()
        pool.check_invariants()
    """


def test_a_child_has_back_what_the_loader_was_giving_back(hazard):
    hazard(
        PREPARE
        + SLOWLY
        + """
    from kvpool.prefetch.prefetcher import Prefetcher

    settled = threading.Event()
    settle = Prefetcher._settle

    def settle_slowly(self, *arguments):
        callbacks = settle(self, *arguments)  # from here on the loader's thread alone has the blocks
        settled.set()
        forking.wait(20)
        return callbacks

    Prefetcher._settle = settle_slowly
    pool.prefetcher.loader = lambda blocks, hashes: 0
    pool.prefetch([1, 2, 3], hold=60)
    assert settled.wait(20)
    assert in_child(check) == 0
    """
    )


def test_a_child_has_back_what_was_cancelled_while_it_was_loaded(hazard):
    hazard(
        PREPARE
        + SLOWLY
        + """
    loading, done = threading.Event(), threading.Event()
    pool.prefetcher.loader = lambda blocks, hashes: (loading.set(), done.wait(20), len(blocks))[2]
    first, waiting = pool.prefetch([1, 2, 3], hold=60), pool.prefetch([4, 5], hold=60)
    assert loading.wait(20)
    first.cancel()
    waiting.cancel()
    assert in_child(check) == 0
    done.set()
    assert first.wait(20)
    assert waiting.wait(20)
    """
    )


def test_a_child_has_back_what_a_timer_was_giving_back(hazard):
    hazard(
        PREPARE
        + SLOWLY
        + """
    class Slow:
        def release(self):
            ending.set()
            forking.wait(20)

    ending = threading.Event()
    pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
    prefetch = pool.prefetch([1, 2], hold=0.1)
    prefetch._held.insert(0, Slow())
    assert ending.wait(20)
    assert in_child(check) == 0
    """
    )
