"""Watermarks, eviction on request and ahead of demand."""

from __future__ import annotations

import threading
import weakref

import pytest

from kvpool import BackgroundEvictor, BlockPool, EvictionMode, EvictionReason

PATIENCE = 30.0  # seconds that a test waits at most


def filled(num_blocks, n, **options):
    pool = BlockPool(num_blocks, **options)
    pool.register_blocks(pool.allocate_blocks(n), range(1, n + 1)).release()
    return pool


def test_pressure_is_told_once_when_it_gets_high_and_once_when_it_is_low_again():
    told = []
    pool = BlockPool(10, high_watermark=0.8, low_watermark=0.5, on_pressure=lambda of, is_high: told.append(is_high))
    blocks = [pool.allocate_blocks(1) for _ in range(7)]
    assert told == []
    blocks.append(pool.allocate_blocks(1))
    assert told == [True]
    blocks.append(pool.allocate_blocks(2))
    blocks.pop().release()
    blocks.pop().release()
    assert told == [True]
    for _ in range(2):
        blocks.pop().release()
    assert told == [True, False]
    blocks.append(pool.allocate_blocks(3))
    assert told == [True, False, True]


def test_pressure_is_told_of_by_sequences_too():
    told = []
    pool = BlockPool(4, block_size=2, on_pressure=lambda of, is_high: told.append((of.usage_rate, is_high)))
    request = pool.open_sequence(range(5))
    request.append_tokens([1, 2])
    assert told == [(1.0, True)]
    request.release()
    assert told == [(1.0, True), (0.0, False)]


def test_a_listener_may_use_the_pool():
    pool = filled(10, 6, on_pressure=lambda of, is_high: of.trigger_eviction(EvictionMode.AGGRESSIVE))
    blocks = pool.allocate_blocks(9)
    assert pool.status().cached == 0
    blocks.release()
    pool.check_invariants()


def test_an_error_of_the_listener_does_not_undo_the_call(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: seen.append(error.exc_type))

    def fail(pool, is_high):
        raise RuntimeError("no")

    pool = BlockPool(2, on_pressure=fail)
    blocks = pool.allocate_blocks(2)
    assert len(blocks) == 2
    assert seen == [RuntimeError]
    assert capsys.readouterr().err == ""  # the hook is all that is told


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"high_watermark": 0}, ValueError, r"high_watermark = 0 is not in \(0, 1\]"),
        ({"high_watermark": 1.1}, ValueError, r"high_watermark = 1.1 is not in \(0, 1\]"),
        ({"low_watermark": 0.95}, ValueError, r"low_watermark = 0.95 is not in \(0, 0.9\]"),
        ({"low_watermark": float("nan")}, ValueError, "low_watermark = nan"),
        ({"high_watermark": "1"}, TypeError, "high_watermark must be a number, not str"),
        ({"on_pressure": 3}, TypeError, "on_pressure must be callable, not int"),
    ],
)
def test_bad_watermarks_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        BlockPool(10, **options)


def test_a_normal_eviction_stops_at_the_low_watermark():
    pool = filled(10, 9, low_watermark=0.4)
    evicted = pool.trigger_eviction()
    assert evicted.sequence_hashes.tolist() == [9, 8, 7, 6, 5]
    assert evicted.reasons.tolist() == [EvictionReason.PRESSURE] * 5
    assert pool.status().cached == 4
    assert pool.trigger_eviction(EvictionMode.NORMAL).num_blocks == 0


def test_a_normal_eviction_takes_no_protected_block():
    pool = filled(10, 9, low_watermark=0.1)
    pool.protect([range(1, 6)])
    assert pool.trigger_eviction().sequence_hashes.tolist() == [9, 8, 7, 6]
    pool.check_invariants()


def test_an_aggressive_eviction_leaves_what_was_given_a_priority():
    pool = filled(10, 9)
    held = pool.match_sequence_hashes([1])
    pool.retain([1, 2, 3], priority=36)
    evicted = pool.trigger_eviction(EvictionMode.AGGRESSIVE)
    assert evicted.sequence_hashes.tolist() == [9, 8, 7, 6, 5, 4]
    assert pool.contains([1, 2, 3]).all()
    assert len(held) == 1
    pool.check_invariants()


def test_an_aggressive_eviction_breaks_no_prefix():
    pool = filled(10, 3)
    pool.retain([3], priority=90)
    assert pool.trigger_eviction(EvictionMode.AGGRESSIVE).num_blocks == 0
    assert pool.contains([1, 2, 3]).all()
    pool.check_invariants()


@pytest.mark.parametrize("mode", ["normal", None, 1])
def test_a_mode_that_is_none_is_refused(mode):
    with pytest.raises(TypeError, match="mode must be an EvictionMode"):
        filled(4, 2).trigger_eviction(mode)


def test_room_can_be_made_ahead():
    pool = filled(10, 8, event_capacity=50)
    evicted = pool.evict_ahead(5)
    assert evicted.sequence_hashes.tolist() == [8, 7, 6]
    assert evicted.reasons.tolist() == [EvictionReason.AHEAD] * 3
    assert [event.reason for event in pool.events(8)] == [EvictionReason.AHEAD] * 3
    assert pool.evict_ahead(5).num_blocks == 0
    pool.allocate_blocks(5).release()
    status = pool.status()
    assert (status.evictions, status.evictions_ahead, status.allocations_from_empty) == (0, 3, 13)


@pytest.mark.parametrize("n", [-1, 11])
def test_room_for_more_than_the_pool_is_refused(n):
    with pytest.raises(ValueError, match=rf"n = {n} is not in \[0, 10\]"):
        filled(10, 3).evict_ahead(n)


def test_a_background_evictor_keeps_its_reserve():
    pool = filled(64, 64)
    with BackgroundEvictor(pool, reserve=16, batch=4) as evictor:
        assert evictor.wait_until_idle(PATIENCE)
        assert pool.status().empty == 16
        for start in range(1000, 21_000, 1000):
            blocks = pool.allocate_blocks(8)
            assert blocks.evicted.num_blocks == 0
            filled_blocks = pool.register_blocks(blocks, range(start, start + 8))
            filled_blocks.release()
            assert evictor.wait_until_idle(PATIENCE)
            assert pool.status().empty >= 16
        assert evictor.num_evicted == pool.status().evictions_ahead >= 160
    pool.allocate_blocks(16).release()
    pool.check_invariants()


def test_a_background_evictor_rests_when_nothing_can_be_evicted():
    pool = BlockPool(8)
    held = pool.allocate_blocks(8)
    with BackgroundEvictor(pool, reserve=4) as evictor:
        assert evictor.wait_until_idle(PATIENCE)
        assert evictor.num_evicted == 0
    del held


def test_a_background_evictor_does_not_keep_its_pool():
    pool = filled(8, 4)
    evictor = BackgroundEvictor(pool, reserve=2)
    assert evictor.wait_until_idle(PATIENCE)
    is_gone = threading.Event()
    gone = weakref.ref(pool, lambda _: is_gone.set())
    del pool
    assert is_gone.wait(PATIENCE)
    assert gone() is None
    evictor.stop()


def test_a_stopped_evictor_is_not_woken():
    pool = filled(8, 8)
    evictor = BackgroundEvictor(pool, reserve=2)
    evictor.stop()
    evictor.stop()
    before = evictor.num_evicted
    pool.allocate_blocks(4).release()
    pool.close()  # after a last round
    assert pool.status().evictions_ahead == evictor.num_evicted == before


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reserve": 0}, ValueError, r"reserve = 0 is not in \[1, 8\]"),
        ({"reserve": 9}, ValueError, r"reserve = 9 is not in \[1, 8\]"),
        ({"reserve": 1.0}, TypeError, "reserve must be an int, not float"),
        ({"reserve": 1, "batch": 0}, ValueError, "batch = 0 is not at least 1"),
    ],
)
def test_a_bad_reserve_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        BackgroundEvictor(BlockPool(8), **options)


def test_an_evictor_needs_a_pool():
    with pytest.raises(TypeError, match="pool must be a BlockPool, not int"):
        BackgroundEvictor(8, reserve=1)


def test_an_evictor_of_a_closed_pool_is_idle():
    pool = filled(8, 8)
    evictor = BackgroundEvictor(pool, reserve=2)
    pool.close()
    assert evictor.wait_until_idle(PATIENCE)


def test_the_first_thing_told_is_that_pressure_is_high():
    told = []
    for _ in range(50):
        pool = BlockPool(10, high_watermark=0.5, low_watermark=0.4, on_pressure=lambda _, is_high: told.append(is_high))
        pool.allocate_blocks(6)  # dropped at once
        pool.close()
        assert told in ([True], [True, False])
        told.clear()
