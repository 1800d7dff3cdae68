"""A load that fails or breaks off: nothing is lost, and the next one is served."""

import queue

import pytest

PATIENCE = 30.0  # seconds that a test waits at most


def test_a_loader_that_has_no_memory_for_the_next_job_goes_on(pool, monkeypatch):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: seen.append(report.exc_type))

    class Jobs(queue.SimpleQueue):
        failures = 2

        def get(self):
            self.failures -= 1
            if self.failures >= 0:
                raise MemoryError
            return super().get()

    monkeypatch.setattr("kvpool.prefetch.prefetcher.queue.SimpleQueue", Jobs)
    pool.prefetcher.loader = lambda blocks, hashes: None
    assert pool.prefetch([7]).wait(PATIENCE)
    assert seen == [MemoryError, MemoryError]


@pytest.mark.parametrize("is_over", [False, True])
def test_a_load_that_broke_off_gives_back_its_blocks_and_its_share(pool, monkeypatch, until, is_over):
    seen, done = [], []
    monkeypatch.setattr("sys.unraisablehook", lambda report: seen.append(report.exc_type))
    loads = []

    def load(blocks, hashes):
        prefetch.add_done_callback(done.append)
        if is_over:
            prefetch.cancel()
        loads.append(len(blocks))

    def settle(*_):
        raise MemoryError

    pool.prefetcher.loader = load
    monkeypatch.setattr(pool.prefetcher, "_settle", settle)
    with pool.prefetcher._lock:  # so that the loader has the name
        prefetch = pool.prefetch([7, 8])
    assert prefetch.wait(PATIENCE)
    until(lambda: seen == [MemoryError])
    assert (loads, done, prefetch.is_over) == ([2], [prefetch], True)
    assert (pool.prefetcher.statistics().held_blocks, pool.outstanding()) == (0, [])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (4, ValueError),
        (-1, ValueError),
        (True, TypeError),
        ("all", TypeError),
        (KeyError, KeyError),
        (SystemExit, SystemExit),
    ],
)
def test_a_loader_that_fails_loses_nothing_and_the_next_one_is_served(pool, monkeypatch, answer, error, until):
    seen = []
    monkeypatch.setattr("sys.unraisablehook", lambda report: seen.append(report.exc_type))

    def load(blocks, hashes):
        if isinstance(answer, type):
            raise answer
        return answer

    pool.prefetcher.loader = load
    prefetch = pool.prefetch([1, 2, 3])
    assert prefetch.wait(PATIENCE)
    assert isinstance(prefetch.error, error)
    assert seen == [error]
    until(lambda: pool.available_blocks == 32)
    assert pool.prefetcher.statistics().failed == 3
    pool.prefetcher.loader = lambda blocks, hashes: None
    assert pool.prefetch([7]).wait(PATIENCE)
    assert pool.contains([7]).all()
