"""Signals whose handlers raise, wherever the program is."""

import threading

import pytest

from kvpool import BlockPool


# One may come in a finalizer, which has nobody to raise it to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_while_a_timer_is_set_does_not_leave_the_thread_asleep(interrupt):
    pool = BlockPool(4)
    engine = pool.progress_engine
    engine.start()

    def expect_awake():
        done = threading.Event()
        engine.call_later(0.0, done.set)
        assert done.wait(30.0)

    interrupts = interrupt(lambda: engine.call_later(0.0, int), step=2e-7, steps=100, afterwards=expect_awake)
    pool.close()
    assert interrupts > 50
