"""Pools, and what tests do to them over and over."""

import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import settings

from kvpool import BlockPool

# How long an example takes is the machine's business.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

BLOCK_COUNTS = ("total", "empty", "cached", "active", "available", "mutable", "immutable", "waiting")


class ManualClock:
    """A clock that stands still unless it is set."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def store_hashes(pool, hashes, **options):
    """Allocate and register a block for each hash; return the handle."""
    return pool.register_blocks(pool.allocate_blocks(len(hashes)), hashes, **options)


def evict_everything(pool):
    """Evict all that is cached; return the hashes in the order in which they went."""
    blocks = pool.allocate_blocks(pool.available_blocks)
    return blocks.evicted.sequence_hashes.tolist()


def picture_of(pool):
    """Return everything that can be seen of a pool, except what counts calls."""
    pool.check_invariants()
    status = pool.status()._asdict()
    return (
        [status[name] for name in BLOCK_COUNTS],
        pool.block_states().tolist(),
        pool.events(),
        [(hold.owner, hold.kind, hold.blocks) for hold in pool.outstanding()],
    )


def pytest_collection_finish():
    """Spare the collector thousands of tests, at which it would look anew whenever one of them calls it."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def clock():
    """Time, which the test sets."""
    return ManualClock()


@pytest.fixture
def pool(clock):
    """Sixteen blocks of four tokens, with events and a clock that the test sets; intact when the test is over."""
    pool = BlockPool(num_blocks=16, block_size=4, clock=clock, event_capacity=4096)
    yield pool
    pool.check_invariants()


@pytest.fixture
def store():
    """Register hashes in a pool: the function that does it."""
    return store_hashes


@pytest.fixture
def evict_all():
    """Evict all that a pool has cached: the function that does it."""
    return evict_everything


@pytest.fixture
def picture():
    """See all that can be seen of a pool: the function that does it."""
    return picture_of


@pytest.fixture
def unchanged():
    """Context in which nothing that can be seen of a pool may change."""

    @contextlib.contextmanager
    def context(pool):
        before = picture_of(pool)
        yield
        assert picture_of(pool) == before

    return context


@pytest.fixture
def interrupt():
    """Call something 3,000 times while a signal's handler raises, each time a little later: the function that does it.

    It is given the call, the step in seconds, after how many steps it begins anew, what is to be done after each
    interrupt, and as which errors one may come; it returns how many there were.
    """

    def raise_interrupt(*_):
        raise KeyboardInterrupt

    def run(call, step, steps, afterwards=lambda: None, errors=(KeyboardInterrupt,)):
        previous = signal.signal(signal.SIGALRM, raise_interrupt)
        timer = signal.setitimer(signal.ITIMER_REAL, 0)
        interrupts = 0
        try:
            for i in range(3000):
                try:
                    try:
                        signal.setitimer(signal.ITIMER_REAL, 1e-6 + (i % steps) * step)
                        call()
                    finally:
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except errors:
                    interrupts += 1
                    afterwards()
        finally:
            signal.signal(signal.SIGALRM, previous)
            signal.setitimer(signal.ITIMER_REAL, *timer)
        return interrupts

    return run


@pytest.fixture
def until():
    """Wait for what another thread does and nothing tells of: the function that does it."""

    def wait(condition, patience=30):
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.001)

    return wait


@pytest.fixture
def run_python():
    """Run a program in a fresh interpreter, which must end well and silently: the function that does it."""

    def run(program):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


def pytest_collection_modifyitems(items):
    """Leave out what measures or limits the process's memory where a sanitizer adds its own to it."""
    if "asan" in os.environ.get("LD_PRELOAD", ""):
        for item in items:
            if item.get_closest_marker("own_memory"):
                item.add_marker(pytest.mark.skip(reason="the address sanitizer has memory of its own"))
