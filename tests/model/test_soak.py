"""A short soak: nothing is left of requests that were cut short in every way, and a leak is seen."""

import signal

import pytest

from kvpool import BlockPool
from kvpool.testing.soak import Footprint, LeakError, Soak
from kvpool.testing.soak.__main__ import MAX_GROWTH, main
from kvpool.testing.soak.faults import Faults, InjectedError, Interruption
from kvpool.testing.soak.traffic import Traffic


@pytest.mark.own_memory
def test_twenty_thousand_requests_leave_nothing(run_python):
    printed = run_python("""
        import contextlib, gc, os, sys
        from kvpool.testing.soak.__main__ import main

        gc.freeze()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):  # a signal on the way to a callback
            status = main(["--requests", "60000", "--seed", "3"])
        sys.exit(status)
    """)
    assert "no block was left in any round" in printed
    assert "nothing leaked" in printed
    for name in ("aborts", "forks", "coroutines", "raising callbacks", "raising clocks", "restarts", "signals"):
        assert f" {name}" in printed


def test_the_command_says_so_when_there_were_too_few_rounds(capsys):
    before = signal.getsignal(signal.SIGALRM)
    assert main(["--requests", "1500", "--no-faults", "--no-forks"]) == 0
    assert "too few rounds to tell of memory" in capsys.readouterr().out
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_handle_that_is_kept_is_seen(monkeypatch):
    kept = []

    def keep(traffic):
        kept.append(traffic.pool.allocate_blocks(1))
        return 1

    monkeypatch.setattr(Traffic, "_raw", keep)
    soak = Soak(1, faults=False, forks=False)
    try:
        with pytest.raises(LeakError, match="mutable"):
            soak.run_round(100)
    finally:
        soak.close()


def test_memory_that_is_kept_is_seen(monkeypatch):
    kept = []
    monkeypatch.setattr(Traffic, "_wait", lambda _: kept.append(str(len(kept)) * 50) or 1)
    monkeypatch.setattr("kvpool.testing.soak.soak.WINDOW", 3)
    soak = Soak(1, faults=False, forks=False)
    soak.window = type(soak.window)(maxlen=3)
    try:
        for _ in range(24):
            soak.run_round(300)
        assert soak.growth().blocks > len(kept) // 2 > 50
    finally:
        soak.close()


def test_growth_is_not_told_of_before_there_is_any(monkeypatch):
    soak = Soak(1, faults=False, forks=False)
    soak.close()
    with pytest.raises(ValueError, match="fewer than"):
        soak.growth()


def test_the_least_of_several_footprints_is_that_of_each_column():
    assert Footprint.least([Footprint(1, 5, 9, 2), Footprint(3, 4, 8, 7)]) == (1, 4, 8, 2)
    assert set(MAX_GROWTH) == set(Footprint._fields)


def test_faults_come_when_they_are_told_to():
    faults = Faults()
    try:
        assert faults.clock() == 0.0
        assert faults.with_clock(lambda: [faults.clock() for _ in range(3)], after=2)
        assert not faults.with_clock(faults.clock, after=1)
        assert faults.with_callback(faults.callback, after=0)
        faults.callback()
        assert faults.with_signal(lambda: signal.raise_signal(signal.SIGALRM), after=10.0)
        signal.raise_signal(signal.SIGALRM)  # late: nobody is to be interrupted
        with pytest.raises(InjectedError):
            faults.with_signal(raise_injected, after=10.0)
    finally:
        faults.close()
    assert issubclass(Interruption, KeyboardInterrupt)


def raise_injected():
    raise InjectedError("no")


def test_a_failed_allocation_gives_the_blocks_back():
    pytest.importorskip("_testcapi")
    faults = Faults()
    pool = BlockPool(8)
    try:
        cut = [faults.with_shortage(lambda: pool.allocate_blocks(2), number) for number in range(20)]
    finally:
        faults.close()
    assert any(cut)
    assert not all(cut)
    assert pool.available_blocks == 8
