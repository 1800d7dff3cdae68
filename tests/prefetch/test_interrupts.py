"""Signals whose handlers raise, wherever the program is."""

import pytest

from kvpool import BlockPool


# One may come in a finalizer, which has nobody to raise it to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_in_the_middle_of_a_prefetch_leaves_nothing_held(interrupt, until):
    pool = BlockPool(32, 4)
    interrupts = interrupt(
        lambda: pool.prefetch([1, 2, 3], hold=0.001).cancel(),
        step=4e-7,
        steps=300,
        errors=(KeyboardInterrupt, RuntimeError),  # the latter from a condition of the standard library's
    )
    assert interrupts > 100
    pool.prefetcher.cancel_all()
    until(lambda: pool.outstanding() == [])  # without a GIL the timers may be behind
    assert pool.prefetcher.live == ()
    assert pool.prefetcher.statistics().held_blocks == 0
