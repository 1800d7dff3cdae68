"""Clocks that callers pass, and what they do to a call."""

import numpy as np
import pytest

from kvpool import BlockPool

HASHES = np.array([1, 2, 3], dtype=np.uint64)


def failing():
    raise LookupError("not today")


BAD_TIMES = {
    "not a number": (float("nan"), ValueError),
    "infinite": (float("inf"), ValueError),
    "too far": (1e300, ValueError),
    "too far back": (-1e300, ValueError),
    "text": ("12", TypeError),
    "None": (None, TypeError),
    "10**400": (10**400, OverflowError),
}

BY_CLOCK = {
    "allocate": lambda pool, fresh, blocks, weak: pool.allocate_blocks(1),
    "allocate too many": lambda pool, fresh, blocks, weak: pool.allocate_blocks(100),
    "wait": lambda pool, fresh, blocks, weak: pool.allocate_blocks(1, timeout=60),
    "register": lambda pool, fresh, blocks, weak: pool.register_blocks(fresh, [7, 8]),
    "match": lambda pool, fresh, blocks, weak: pool.match_sequence_hashes([1, 2]),
    "match scattered": lambda pool, fresh, blocks, weak: pool.match_scattered([1, 2]),
    "item": lambda pool, fresh, blocks, weak: blocks[0],
    "slice": lambda pool, fresh, blocks, weak: blocks[:1],
    "iterate": lambda pool, fresh, blocks, weak: list(blocks),
    "add": lambda pool, fresh, blocks, weak: blocks + blocks,
    "add mutable": lambda pool, fresh, blocks, weak: fresh[:1] + fresh[1:],
    "upgrade": lambda pool, fresh, blocks, weak: weak.upgrade(),
    "outstanding": lambda pool, fresh, blocks, weak: pool.outstanding(),
    "reset": lambda pool, fresh, blocks, weak: pool.reset(),
}


@pytest.fixture
def clocked():
    """A pool whose clock runs ``act[0]`` and returns what that returns; with blocks of all kinds."""
    act = [lambda: 0.0]
    pool = BlockPool(num_blocks=16, block_size=4, clock=lambda: act[0](), event_capacity=64)
    blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
    yield act, pool, pool.allocate_blocks(2), blocks, blocks[0].downgrade()
    act[0] = lambda: 0.0
    pool.check_invariants()


@pytest.mark.parametrize("call", BY_CLOCK.values(), ids=BY_CLOCK)
@pytest.mark.parametrize(("seconds", "error"), BAD_TIMES.values(), ids=BAD_TIMES)
def test_a_clock_that_tells_no_time_fails_the_call_and_nothing_else(clocked, picture, call, seconds, error):
    act, pool, *rest = clocked
    before = picture(pool)
    act[0] = lambda: seconds
    with pytest.raises(error):
        call(pool, *rest)
    act[0] = lambda: 0.0
    assert picture(pool) == before


@pytest.mark.parametrize("call", BY_CLOCK.values(), ids=BY_CLOCK)
def test_a_clock_that_fails_fails_the_call_with_its_own_error(clocked, picture, call):
    act, pool, *rest = clocked
    before = picture(pool)
    act[0] = failing
    with pytest.raises(LookupError, match="not today"):
        call(pool, *rest)
    act[0] = lambda: 0.0
    assert picture(pool) == before


@pytest.mark.parametrize("call", BY_CLOCK.values(), ids=BY_CLOCK)
def test_a_clock_that_uses_its_own_pool_for_ever_is_a_recursion_error(clocked, picture, call):
    act, pool, *rest = clocked
    before = picture(pool)
    act[0] = lambda: len(pool.match_sequence_hashes([1])) / 1.0
    with pytest.raises(RecursionError):
        call(pool, *rest)
    act[0] = lambda: 0.0
    assert picture(pool) == before


@pytest.mark.parametrize("call", BY_CLOCK.values(), ids=BY_CLOCK)
def test_a_clock_that_gives_the_handles_back_does_no_harm(clocked, call):
    act, pool, fresh, blocks, weak = clocked

    def give_back():
        act[0] = lambda: 0.0
        fresh.release()
        blocks.release()
        pool.reset()
        return 0.0

    act[0] = give_back
    try:
        call(pool, fresh, blocks, weak)
    except Exception as error:
        assert type(error).__name__ in {  # noqa: PT017
            "InvalidMutableBlock",
            "NotEnoughBlocksAvailable",
            "ResetError",
            "StaleHandle",
        }
    pool.check_invariants()


def test_the_release_of_a_handle_asks_no_clock(clocked):
    act, pool, fresh, blocks, _ = clocked
    act[0] = failing
    fresh.release()
    blocks.release()
    assert pool.status().active == 0
