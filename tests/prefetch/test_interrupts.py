"""Signals whose handlers raise, wherever the program is."""

import signal

import pytest

from kvpool import BlockPool


# One may come in a finalizer, which has nobody to raise it to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_in_the_middle_of_a_prefetch_leaves_nothing_held():
    pool = BlockPool(32, 4)

    def interrupt(*_):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    timer = signal.setitimer(signal.ITIMER_REAL, 0)
    interrupts = 0
    try:
        for i in range(3000):
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-6 + (i % 300) * 4e-7)
                    pool.prefetch([1, 2, 3], hold=0.001).cancel()
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
            except (KeyboardInterrupt, RuntimeError):  # the latter from a condition of the standard library's
                interrupts += 1
    finally:
        signal.signal(signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, *timer)
    assert interrupts > 100
    pool.prefetcher.cancel_all()
    assert pool.outstanding() == []
    assert pool.prefetcher.live == ()
    assert pool.prefetcher.statistics().held_blocks == 0
