"""The background thread when there is no memory."""

import select
import threading

from kvpool import BlockPool

PATIENCE = 30


def test_a_thread_that_has_no_memory_to_sleep_goes_on(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda error: seen.append(error.exc_type))
    poll, has_failed = select.poll, threading.Event()

    def fail_once():
        if has_failed.is_set():
            return poll()
        has_failed.set()
        raise MemoryError

    monkeypatch.setattr("kvpool.progress.progress_engine.select.poll", fail_once)
    with BlockPool(8) as pool:
        pool.progress_engine.start()
        assert has_failed.wait(PATIENCE)
        done = threading.Event()
        pool.progress_engine.call_later(0, done.set)
        assert done.wait(PATIENCE)
        assert pool.progress_engine.is_running
    assert seen == [MemoryError]
