"""The background thread: when it runs, what it does, and how it ends."""

import gc
import os
import sys
import threading
import weakref

import pytest

from kvpool import BackgroundEvictor, BlockPool, BlockPoolError, Subscription
from kvpool.events import EventManager, ListEventManager

PATIENCE = 30.0  # seconds that a test waits at most


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "kvpool-progress"]


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = threads()
    yield
    gc.collect()
    for thread in set(threads()) - set(before):
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Witness(EventManager):
    """Says what was done with it."""

    def __init__(self):
        self.log = []
        self.closed = threading.Event()

    def open(self, pool):
        self.log.append("open")

    def publish(self, batch):
        self.log.append(len(batch))

    def close(self):
        self.log.append("close")
        self.closed.set()


def test_a_pool_that_needs_nothing_has_no_thread():
    before = threads()
    with BlockPool(8, event_capacity=64) as pool:
        pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
        pool.events(), pool.snapshot(), pool.event_statistics()
        assert threads() == before
    assert pool.close() == ((), 0)


def test_a_pool_has_one_thread_whatever_it_is_asked_for():
    before = threads()
    pool = BlockPool(8, event_capacity=64)
    subscriptions = [pool.subscribe(ListEventManager()) for _ in range(5)]
    evictor = BackgroundEvictor(pool, reserve=2)
    pool.progress_engine.call_later(0, lambda: None)
    assert len(set(threads()) - set(before)) == 1
    assert pool.progress_engine.is_running
    evictor.stop()
    pool.close()
    assert set(threads()) <= set(before)
    assert all(subscription.closed for subscription in subscriptions)


def test_closing_delivers_what_is_left_and_closes_managers_once():
    witness = Witness()
    pool = BlockPool(8, event_manager=witness, event_interval=3600)
    pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
    pool.register_blocks(pool.allocate_blocks(1), [3]).release()
    pool.close()
    pool.close()
    assert (witness.log[0], witness.log[-1]) == ("open", "close")
    assert sum(witness.log[1:-1]) == 3
    assert witness.log.count("close") == 1


def test_a_closed_pool_goes_on_working():
    pool = BlockPool(8, event_capacity=64)
    held = pool.allocate_blocks(2)
    report = pool.close()
    assert [hold.blocks for hold in report.holds] == [2]
    assert pool.closed
    pool.register_blocks(held, [1, 2]).release()
    assert len(pool.match_sequence_hashes([1, 2])) == 2
    with pytest.raises(BlockPoolError, match="the pool was closed"):
        pool.progress_engine.call_later(1, print)


def test_the_thread_does_not_keep_the_pool_alive_and_ends_with_it():
    witness = Witness()
    pool = BlockPool(8, event_manager=witness)
    known = weakref.ref(pool)
    pool.register_blocks(pool.allocate_blocks(2), [1, 2]).release()
    del pool
    assert witness.closed.wait(PATIENCE)
    gc.collect()
    assert known() is None


def test_a_manager_is_closed_even_when_the_pool_went_before_the_thread_began():
    for _ in range(50):
        witness = Witness()
        BlockPool(8, event_manager=witness)
        assert witness.closed.wait(PATIENCE)
        assert witness.log in (["close"], ["open", "close"])


def test_a_handle_keeps_the_pool_and_its_thread():
    witness = Witness()
    pool = BlockPool(8, event_manager=witness)
    held = pool.allocate_blocks(1)
    del pool
    gc.collect()
    assert not witness.closed.is_set()
    held.release()
    del held
    assert witness.closed.wait(PATIENCE)


def test_timers_are_called_in_their_order_and_their_errors_are_reported(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: seen.append(error.exc_type))
    done = threading.Event()
    order = []

    def fail():
        order.append("fail")
        raise ValueError

    pool = BlockPool(8)
    pool.progress_engine.call_later(0.02, done.set)
    pool.progress_engine.call_later(0.01, fail)
    pool.progress_engine.call_later(0, lambda: order.append("now"))
    assert done.wait(PATIENCE)
    assert order == ["now", "fail"]
    assert seen == [ValueError]
    pool.close()


def test_chores_are_called_while_they_want_to_be():
    pool = BlockPool(8)
    calls = []
    done = threading.Event()

    def chore(of):
        assert of is pool
        calls.append(1)
        if len(calls) < 5:
            return True
        done.set()
        return False

    pool.progress_engine.add_chore(chore)
    assert done.wait(PATIENCE)
    pool.progress_engine.remove_chore(chore)
    pool.close()
    assert len(calls) >= 5


def test_pressure_that_ends_by_a_drop_is_told_without_another_call():
    low = threading.Event()
    told = []

    def listen(pool, is_high):
        told.append((is_high, threading.current_thread().name))
        if not is_high:
            low.set()

    pool = BlockPool(10, high_watermark=0.8, low_watermark=0.5, on_pressure=listen)
    held = [pool.allocate_blocks(1) for _ in range(8)]
    assert [is_high for is_high, _ in told] == [True]
    held.clear()  # dropped: nobody calls the pool
    assert low.wait(PATIENCE)
    assert [is_high for is_high, _ in told] == [True, False]
    assert told[1][1] == "kvpool-progress"
    pool.close()


def test_a_manager_with_a_descriptor_is_served_when_it_is_readable():
    read, write = os.pipe()
    served = threading.Event()

    class Served(EventManager):
        def publish(self, batch):
            pass

        def fileno(self):
            return read

        def service(self):
            if os.read(read, 1) == b"x":
                served.set()

    pool = BlockPool(8, event_capacity=4)
    subscription = pool.subscribe(Served())
    os.write(write, b"x")
    assert served.wait(PATIENCE)
    assert subscription.errors == 0
    pool.close()
    os.close(read)
    os.close(write)


def test_a_forked_child_has_a_pool_without_the_thread(run_python):
    out = run_python(
        """
        import os, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of forks beside threads
        from kvpool import BlockPool
        from kvpool.events import ListEventManager
        mine = ListEventManager()
        pool = BlockPool(8, event_manager=mine, event_interval=0)
        pool.register_blocks(pool.allocate_blocks(1), [1]).release()
        child = os.fork()
        if child == 0:
            pool.register_blocks(pool.allocate_blocks(1), [2]).release()
            assert len(pool.match_sequence_hashes([1])) == 1
            late = ListEventManager()
            pool.subscribe(late, since=0)
            pool.close()
            assert [event.sequence_hash for event in late.events] == [1, 2], late.events
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        pool.register_blocks(pool.allocate_blocks(1), [3]).release()
        pool.close()
        print([event.sequence_hash for event in mine.events])
        """
    )
    assert out == "[1, 3]\n"


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "pool.close()",
        "del pool",
        "import sys; sys.kept = pool",
        "cycle = [pool]; cycle.append(cycle); del pool",
        "import os; os.fork() or os._exit(0)",
        "pool.subscribe(lambda batch: print(end=''))",
        "pool.subscribe(lambda batch: __import__('threading').Event().wait()); store(9)",
        "import threading; threading.Thread(target=lambda: [store(n) for n in range(10, 400)]).start()",
    ],
)
def test_the_interpreter_ends_well_with_a_thread_in_the_background(run_python, ending):
    run_python(
        f"""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from kvpool import BackgroundEvictor, BlockPool
        from kvpool.events import ListEventManager
        pool = BlockPool(64, event_manager=ListEventManager())
        evictor = BackgroundEvictor(pool, reserve=2)
        def store(n, pool=pool):
            pool.register_blocks(pool.allocate_blocks(2), [2 * n, 2 * n + 1]).release()
        store(1)
        {ending}
        """
    )


@pytest.mark.parametrize("seconds", [float("inf"), 1e12, 30 * 86400.0])
def test_what_is_far_away_is_slept_for_in_parts(seconds):
    pool = BlockPool(8, event_capacity=64, event_interval=seconds)
    manager = ListEventManager()
    pool.subscribe(manager)
    pool.progress_engine.call_later(seconds, lambda: None)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    pool.close(timeout=seconds)
    assert len(manager.events) == 1


@pytest.mark.parametrize("descriptor", [None, "3", 2.5, True, 2**40, 2**31 - 1])
def test_a_manager_without_a_usable_descriptor_stops_nobody(monkeypatch, descriptor):
    monkeypatch.setattr("sys.unraisablehook", lambda error: None)

    asked = threading.Event()

    class Odd(EventManager):
        def publish(self, batch):
            pass

        def fileno(self):
            asked.set()
            return descriptor

    pool = BlockPool(8, event_capacity=64)
    odd, good = pool.subscribe(Odd()), ListEventManager()
    pool.subscribe(good)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    assert asked.wait(PATIENCE)
    pool.register_blocks(pool.allocate_blocks(1), [2]).release()
    pool.close()
    assert [event.sequence_hash for event in good.events] == [1, 2]
    assert odd.errors == 1
    assert type(odd.last_error) in (TypeError, ValueError, OSError)


def test_a_round_that_fails_for_want_of_memory_is_not_the_last(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: seen.append(error.exc_type))
    take_turn = Subscription.take_turn
    failures = iter([MemoryError])

    def fail_once(self, pool):
        for error in failures:
            raise error
        return take_turn(self, pool)

    monkeypatch.setattr(Subscription, "take_turn", fail_once)
    manager = ListEventManager()
    pool = BlockPool(8, event_manager=manager)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    while not seen:
        pool.progress_engine.ring()
    pool.close()
    assert seen == [MemoryError]
    assert len(manager.events) == 1


def test_subscriptions_that_ended_are_let_go_and_stay_counted():
    pool = BlockPool(8, event_capacity=64)
    for number in range(1, 6):
        manager = ListEventManager()
        known = weakref.ref(manager)
        with pool.subscribe(manager):
            pool.register_blocks(pool.allocate_blocks(1), [number]).release()
            while not manager.events:
                pool.progress_engine.ring()
        del manager
        gc.collect()
        assert known() is None
    assert pool.event_statistics().delivered == 5
    pool.close()


def test_a_closed_pool_gives_its_descriptor_back():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
    gc.disable()
    try:
        for _ in range(20):
            pool = BlockPool(8, event_capacity=64)
            pool.subscribe(ListEventManager())
            pool.close()
        if before is not None:
            assert len(os.listdir("/proc/self/fd")) <= before
    finally:
        gc.enable()


def test_pressure_that_ends_by_part_of_a_handle_is_told():
    low = threading.Event()
    pool = BlockPool(100, low_watermark=0.5, on_pressure=lambda pool, is_high: is_high or low.set())
    blocks = pool.allocate_blocks(95)
    blocks[10:].release()  # a view gives back without looking at the watermarks
    assert low.wait(PATIENCE)
    pool.close()


def test_what_a_subscriber_raised_does_not_keep_the_pool(monkeypatch):
    monkeypatch.setattr("sys.unraisablehook", lambda error: None)

    def fail(batch):
        raise ValueError

    pool = BlockPool(8, event_capacity=64)
    subscription = pool.subscribe(fail)
    pool.register_blocks(pool.allocate_blocks(1), [1]).release()
    is_gone = threading.Event()
    known = weakref.ref(pool, lambda _: is_gone.set())
    pool.progress_engine.call_later(0.01, lambda: None)
    del pool
    assert is_gone.wait(PATIENCE)
    assert known() is None
    assert subscription.manager is not None


def test_a_close_is_heard_at_whatever_moment_it_comes():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            pool = BlockPool(8, event_capacity=8)
            subscription = pool.subscribe(lambda batch: None)
            pool.register_blocks(pool.allocate_blocks(1), [1]).release()
            pool.close(PATIENCE)
            assert subscription.closed
    finally:
        sys.setswitchinterval(interval)


def test_a_close_in_the_middle_of_a_round_is_heard_after_it():
    entered, leave = threading.Event(), threading.Event()
    pool = BlockPool(8, event_capacity=8)
    subscription = pool.subscribe(lambda batch: None)

    def wait_once(of):
        if not entered.is_set():
            entered.set()
            assert leave.wait(PATIENCE)
        return False

    pool.progress_engine.add_chore(wait_once)
    assert entered.wait(PATIENCE)
    pool.close(timeout=0)
    leave.set()
    assert subscription.close(PATIENCE)


def test_threads_that_come_first_together_get_one_engine():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(200):
            pool = BlockPool(16)
            together, found = threading.Barrier(3), []

            def look(pool=pool, together=together, found=found):
                together.wait()
                found.append((pool.progress_engine, pool.prefetcher))

            workers = [threading.Thread(target=look) for _ in range(3)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join(PATIENCE)
            assert len(set(found)) == 1
    finally:
        sys.setswitchinterval(interval)


def test_pressure_that_came_back_before_the_thread_looked_is_told_of_when_it_ends():
    low = threading.Event()
    pool = BlockPool(100, low_watermark=0.5, on_pressure=lambda pool, is_high: is_high or low.set())
    first, second = pool.allocate_blocks(60), pool.allocate_blocks(35)
    del first  # relieved ...
    third = pool.allocate_blocks(30)  # ... and perhaps not any more when the thread looks
    del second, third
    assert low.wait(PATIENCE)
    pool.close()


def test_a_signal_handler_may_close_the_pool_in_the_middle_of_anything(run_python):
    run_python(
        """
        import faulthandler, signal
        from kvpool import BlockPool
        faulthandler.dump_traceback_later(60, exit=True)
        for _ in range(20):
            pool = BlockPool(8, event_capacity=8)
            pool.subscribe(lambda batch: None)
            signal.signal(signal.SIGALRM, lambda *_: pool.close(10))
            signal.setitimer(signal.ITIMER_REAL, 0.005)
            while not pool.closed:
                pool.event_statistics()
        """
    )


def test_a_forked_child_does_not_serve_those_who_wait_in_the_parent(run_python):
    run_python(
        """
        import os, threading, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from kvpool import BlockPool
        pool = BlockPool(8)
        held = pool.allocate_blocks(8)
        waiter = threading.Thread(target=lambda: pool.allocate_blocks(4, timeout=30))
        waiter.start()
        while pool.status().waiting == 0:
            pass
        if os.fork() == 0:
            held.release()
            assert pool.status().waiting == 0
            assert len(pool.allocate_blocks(8)) == 8
            os._exit(7)
        assert os.waitpid(-1, 0)[1] == 7 << 8
        held.release()
        waiter.join(30)
        """
    )
