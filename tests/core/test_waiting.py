"""Waiting for blocks: first come, first served, and nothing is lost when a wait ends early."""

import contextlib
import gc
import signal
import threading
import time

import pytest

from kvpool import AllocationTimeout, BlockPool, InvalidMutableBlock, NotEnoughBlocksAvailable

FOREVER = float("inf")
PATIENCE = 60.0


class Waiter:
    """A thread that waits for blocks, and keeps what it got until told to let go."""

    def __init__(self, pool, n, timeout=FOREVER, then=lambda: None):
        self.blocks = None
        self.error = None
        self.thread = threading.Thread(target=self.wait, args=(pool, n, timeout, then))

    def wait(self, pool, n, timeout, then):
        try:
            self.blocks = pool.allocate_blocks(n, timeout=timeout)
            then()
        except Exception as error:
            self.error = error.with_traceback(None)

    def join(self):
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return self.blocks


def wait_until(condition):
    """Return once the condition holds, which it must within a minute."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0)


@pytest.fixture
def pool():
    pool = BlockPool(num_blocks=8, block_size=4)
    yield pool
    gc.collect()
    assert pool.status().waiting == 0
    pool.check_invariants()


def start_in_turn(pool, *waiters):
    for waiter in waiters:
        ahead = pool.status().waiting
        waiter.thread.start()
        wait_until(lambda ahead=ahead: pool.status().waiting == ahead + 1)


def test_blocks_that_are_available_are_had_without_waiting(pool):
    assert len(pool.allocate_blocks(8, timeout=FOREVER)) == 8
    assert len(pool.allocate_blocks(8, timeout=0)) == 8
    assert len(pool.allocate_blocks(0, timeout=1)) == 0


def test_cached_blocks_are_evicted_without_waiting(pool, store):
    store(pool, range(8))
    fresh = pool.allocate_blocks(3, timeout=FOREVER)
    assert fresh.evicted.sequence_hashes.tolist() == [7, 6, 5]


@pytest.mark.parametrize("timeout", [0, 0.0, 1e-12, 1e-9, 0.001, 0.02])
def test_a_wait_in_vain_ends_with_a_timeout_that_says_who_holds_the_rest(pool, unchanged, timeout):
    held = pool.allocate_blocks(6, owner="hog")
    with unchanged(pool), pytest.raises(AllocationTimeout) as caught:
        pool.allocate_blocks(3, timeout=timeout)
    assert (caught.value.requested, caught.value.available, caught.value.total) == (3, 2, 8)
    assert caught.value.holders[0][:3] == ("hog", "mutable", 6)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, NotEnoughBlocksAvailable)
    del held


def test_a_call_without_timeout_fails_at_once_and_not_with_a_timeout(pool):
    held = pool.allocate_blocks(8)
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(1)
    assert not isinstance(caught.value, TimeoutError)
    del held


@pytest.mark.parametrize("end", ["release", "drop", "release a view", "drop a registered block", "with"])
def test_every_way_to_let_go_wakes_a_waiter(pool, end):
    held = pool.allocate_blocks(8)
    waiter = Waiter(pool, 8)
    start_in_turn(pool, waiter)
    if end == "release":
        held.release()
    elif end == "release a view":
        held[:3].release()
        held[3:].release()
    elif end == "drop a registered block":
        held = pool.register_blocks(held, range(8))
        held = None
    elif end == "with":
        with held:
            pass
    held = None
    assert len(waiter.join()) == 8
    assert held is None


def test_a_duplicate_given_back_wakes_a_waiter(pool, store):
    held = store(pool, [1]), pool.allocate_blocks(6)
    fresh = pool.allocate_blocks(1)
    waiter = Waiter(pool, 1)
    start_in_turn(pool, waiter)
    again = pool.register_blocks(fresh, [1])
    assert len(waiter.join()) == 1
    del held, again


def test_a_handle_found_by_the_collector_wakes_a_waiter(pool):
    cycle = [pool.allocate_blocks(8)]
    cycle.append(cycle)
    waiter = Waiter(pool, 1)
    start_in_turn(pool, waiter)
    del cycle
    gc.collect()
    assert len(waiter.join()) == 1


def test_a_drop_in_another_thread_wakes_a_waiter(pool):
    held = [pool.allocate_blocks(8)]
    waiter = Waiter(pool, 2)
    start_in_turn(pool, waiter)
    dropper = threading.Thread(target=held.clear)
    dropper.start()
    assert len(waiter.join()) == 2
    dropper.join()


def test_a_waiter_is_told_what_was_evicted_for_it(pool, store):
    held = store(pool, range(8))
    waiter = Waiter(pool, 3)
    start_in_turn(pool, waiter)
    held.release()
    blocks = waiter.join()
    assert blocks.evicted.sequence_hashes.tolist() == [7, 6, 5]
    assert blocks.evicted.ids.tolist() == blocks.ids.tolist() == [7, 6, 5]


def test_waiters_are_served_in_the_order_in_which_they_came(pool):
    held = pool.allocate_blocks(8)
    served = []
    waiters = [Waiter(pool, 1, then=lambda i=i: served.append(i)) for i in range(6)]
    start_in_turn(pool, *waiters)
    for i, waiter in enumerate(waiters):
        assert served == list(range(i))
        held[i].release()
        assert waiter.join().ids.tolist() == [i]
        assert pool.status().waiting == 5 - i
    assert served == list(range(6))


def test_one_release_serves_as_many_waiters_as_it_can(pool):
    held = pool.allocate_blocks(8)
    waiters = [Waiter(pool, n) for n in (3, 2, 2, 2)]
    start_in_turn(pool, *waiters)
    held.release()
    assert [len(waiter.join()) for waiter in waiters[:3]] == [3, 2, 2]
    assert (pool.status().waiting, pool.available_blocks) == (1, 1)
    waiters[0].blocks = None
    assert len(waiters[3].join()) == 2


def test_a_large_waiter_is_not_overtaken_by_a_later_small_one(pool):
    held = pool.allocate_blocks(8)
    large, small = Waiter(pool, 4), Waiter(pool, 1)
    start_in_turn(pool, large, small)
    for i in range(3):
        held[i].release()
        assert (pool.status().waiting, pool.available_blocks) == (2, i + 1)
    held[3].release()
    assert len(large.join()) == 4
    assert pool.status().waiting == 1
    held[4].release()
    assert len(small.join()) == 1


def test_who_comes_later_queues_even_for_blocks_that_are_available(pool):
    held = pool.allocate_blocks(6)
    large = Waiter(pool, 4)
    start_in_turn(pool, large)
    with pytest.raises(AllocationTimeout):
        pool.allocate_blocks(1, timeout=0.01)
    assert pool.status().waiting == 1
    assert len(pool.allocate_blocks(1)) == 1
    held.release()
    assert len(large.join()) == 4


def test_when_the_first_gives_up_the_next_is_served(pool):
    held = pool.allocate_blocks(7)
    large, small = Waiter(pool, 4, timeout=0.2), Waiter(pool, 1)
    start_in_turn(pool, large, small)
    assert len(small.join()) == 1
    large.join()
    assert isinstance(large.error, AllocationTimeout)
    del held


def test_giving_up_in_the_middle_and_at_the_end_of_the_queue_leaves_the_rest_in_order(pool):
    held = pool.allocate_blocks(8)
    patient = [Waiter(pool, 1) for _ in range(3)]
    hasty = [Waiter(pool, 1, timeout=0.2) for _ in range(3)]
    start_in_turn(pool, patient[0], hasty[0], patient[1], hasty[1], patient[2], hasty[2])
    for waiter in hasty:
        waiter.join()
        assert isinstance(waiter.error, AllocationTimeout)
    last = Waiter(pool, 1)
    start_in_turn(pool, last)
    for i, waiter in enumerate([*patient, last]):
        held[i].release()
        assert waiter.join().ids.tolist() == [i]


def test_a_timeout_that_races_with_a_release_loses_no_block(pool):
    for i in range(300):
        held = [pool.allocate_blocks(8)]
        waiter = Waiter(pool, 8, timeout=0.0005 + i % 10 * 0.0001)
        waiter.thread.start()
        wait_until(lambda waiter=waiter: pool.status().waiting == 1 or not waiter.thread.is_alive())
        held.clear()
        blocks = waiter.join()
        assert (blocks is None) == isinstance(waiter.error, AllocationTimeout)
        assert pool.available_blocks == (8 if blocks is None else 0)
        del blocks
        waiter.blocks = None
    assert pool.available_blocks == 8


def test_a_waiting_pool_and_its_owner_stay_alive(pool):
    other = BlockPool(num_blocks=1)
    held = other.allocate_blocks(1)
    waiter = Waiter(other, 1)
    start_in_turn(other, waiter)
    del other
    gc.collect()
    held.release()
    assert len(waiter.join()) == 1


class Interrupted(BaseException):
    """What the signal handlers below raise."""


@contextlib.contextmanager
def signals(pool, handle):
    """Send SIGUSR1 to the main thread, over and over while it waits for blocks."""
    before = signal.signal(signal.SIGUSR1, handle)
    done = threading.Event()

    def send():
        end = time.monotonic() + PATIENCE
        while not done.is_set() and time.monotonic() < end:
            if pool.status().waiting:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
            done.wait(0.001)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
        signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("error", [KeyboardInterrupt, Interrupted])
@pytest.mark.parametrize("timeout", [PATIENCE, FOREVER])
def test_a_signal_ends_a_wait_and_leaves_the_queue_clean(pool, error, timeout):
    held = pool.allocate_blocks(8)
    raised = []

    def handle(*_):
        if pool.status().waiting and not raised:
            raised.append(True)
            raise error

    with signals(pool, handle), pytest.raises(error):
        pool.allocate_blocks(1, timeout=timeout)
    assert (pool.status().waiting, pool.available_blocks, len(pool.outstanding())) == (0, 0, 1)
    held.release()
    assert len(pool.allocate_blocks(8, timeout=timeout)) == 8


def test_an_interrupt_lets_those_behind_go_on(pool):
    held = pool.allocate_blocks(7)
    behind = []

    def handle(*_):
        if pool.status().waiting == 1 and not behind:
            behind.append(Waiter(pool, 1))
            start_in_turn(pool, behind[0])
            raise Interrupted

    with signals(pool, handle), pytest.raises(Interrupted):
        pool.allocate_blocks(2, timeout=FOREVER)
    assert len(behind[0].join()) == 1
    del held


def test_a_handler_that_returns_does_not_end_the_wait_nor_prolong_it(pool):
    held = pool.allocate_blocks(8)
    handled = []
    with signals(pool, lambda *_: handled.append(True)), pytest.raises(AllocationTimeout):
        pool.allocate_blocks(1, timeout=0.1)
    assert handled
    del held


def test_a_handler_may_give_back_the_blocks_that_are_waited_for(pool):
    held = [pool.allocate_blocks(8)]
    with signals(pool, lambda *_: held.clear()):
        assert len(pool.allocate_blocks(8, timeout=PATIENCE)) == 8


def test_a_grant_that_comes_with_an_interrupt_is_given_back(pool):
    for _ in range(20):
        held = [pool.allocate_blocks(8)]

        def handle(*_, held=held):
            if held:
                held.clear()
                raise Interrupted

        with signals(pool, handle), pytest.raises(Interrupted):
            pool.allocate_blocks(8, timeout=PATIENCE)
        assert (pool.available_blocks, pool.status().waiting) == (8, 0)


def test_interrupts_at_any_moment_lose_no_block(run_python):
    run_python("""
        import contextlib, random, signal
        from kvpool import BlockPool, BlockPoolError

        class Interrupt(BaseException):
            pass

        count = 0
        may_raise = False

        def handle(*_):
            global count, may_raise
            count += 1
            if may_raise:
                may_raise = False
                raise Interrupt

        pool = BlockPool(num_blocks=16, block_size=4)
        chance = random.Random(1)
        calls = [
            lambda: pool.allocate_blocks(3, owner="x"),
            lambda: pool.allocate_blocks(2, timeout=0.003),
            lambda: pool.allocate_blocks(17),
            lambda: pool.register_blocks(pool.allocate_blocks(2).fill(range(8))),
            lambda: pool.register_blocks(pool.allocate_blocks(2), [chance.randrange(9), 9]),
            lambda: list(pool.match_sequence_hashes([1, 2, 9])),
            lambda: list(pool.match_scattered([9, 1])),
            lambda: pool.allocate_blocks(1) + pool.allocate_blocks(1),
            lambda: pool.outstanding(),
            lambda: pool.reset_blocks([9, 3]),
            lambda: pool.reset(),
        ]
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        kept = []
        while count < 3000:
            try:
                may_raise = True
                while True:
                    with contextlib.suppress(BlockPoolError):
                        kept.append(chance.choice(calls)())
                    if len(kept) > 5:
                        kept.clear()
            except Interrupt:
                pass
        signal.setitimer(signal.ITIMER_REAL, 0)
        kept.clear()
        pool.check_invariants()
        status = pool.status()
        assert (status.active, status.waiting, pool.outstanding()) == (0, 0, []), status
        """)


def test_blocks_of_a_wait_in_vain_cannot_be_used(pool):
    held = pool.allocate_blocks(8)
    with pytest.raises(AllocationTimeout):
        pool.allocate_blocks(1, timeout=0.001)
    held.release()
    with pytest.raises(InvalidMutableBlock):
        pool.register_blocks(held, range(8))
    assert pool.available_blocks == 8
