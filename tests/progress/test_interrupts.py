"""Signals whose handlers raise, wherever the program is."""

import signal
import threading

import pytest

from kvpool import BlockPool


# One may come in a finalizer, which has nobody to raise it to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_while_a_timer_is_set_does_not_leave_the_thread_asleep():
    def interrupt(*_):
        raise KeyboardInterrupt

    pool = BlockPool(4)
    engine = pool.progress_engine
    engine.start()
    previous = signal.signal(signal.SIGALRM, interrupt)
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    interrupts = 0
    try:
        for i in range(3000):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-6 + (i % 100) * 2e-7)
                    engine.call_later(0.0, int)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except KeyboardInterrupt:
                interrupts += 1
                done = threading.Event()
                engine.call_later(0.0, done.set)
                assert done.wait(30.0)
    finally:
        signal.signal(signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, *timer)
    pool.close()
    assert interrupts > 50
