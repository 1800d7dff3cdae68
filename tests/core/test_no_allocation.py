"""What the hot calls leave to the allocators and to the collector of garbage.

That the core allocates nothing under the lock is shown in csrc/tests/test_allocation_failure.c.
"""

import gc
import sys

import numpy as np
import pytest

from kvpool import BlockPool, sequence_hashes

TOKENS = np.arange(64 * 16, dtype=np.int32)


@pytest.fixture
def pool():
    pool = BlockPool(256)
    hashes = sequence_hashes(TOKENS)
    pool.register_blocks(pool.allocate_blocks(64), hashes).release()
    return pool


def calls(pool):
    """Return each hot call as a function of nothing."""
    hashes = sequence_hashes(TOKENS)
    others = iter(range(1 << 30))

    def renew():
        first = next(others) * 300
        pool.register_blocks(pool.allocate_blocks(200), np.arange(first, first + 200, dtype=np.uint64))

    def request():
        with pool.open_sequence(TOKENS) as request:
            request.commit(1024)
            request.append_tokens(TOKENS[:20])

    return {
        "allocate": lambda: pool.allocate_blocks(64),
        "match": lambda: pool.match_sequence_hashes(hashes),
        "ids": lambda: pool.match_sequence_hashes(hashes).ids,
        "renew": renew,
        "request": request,
        "hash": lambda: sequence_hashes(TOKENS),
    }


@pytest.mark.own_memory
@pytest.mark.parametrize("name", ["allocate", "match", "ids", "renew", "request", "hash"])
def test_a_call_leaves_no_memory_behind(pool, name):
    call = calls(pool)[name]
    for _ in range(100):
        call()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(1000):
        call()
    assert abs(sys.getallocatedblocks() - before) <= 20


def test_nothing_of_a_pool_is_there_for_the_collector_to_walk(pool):
    hashes = sequence_hashes(TOKENS)
    fresh = pool.allocate_blocks(3)
    cached = pool.match_sequence_hashes(hashes)
    things = [fresh, fresh[0], fresh[:2], cached, cached[0], cached[1:3], cached[0].downgrade(), cached.ids]
    things += [pool.match_scattered(hashes), pool.open_sequence(TOKENS), hashes]
    assert [type(thing).__name__ for thing in things if gc.is_tracked(thing)] == []


def test_the_collector_finds_nothing_to_do_however_many_handles_there_are(pool):
    gc.collect()
    before = len(gc.get_objects())
    handles = [pool.match_sequence_hashes(sequence_hashes(TOKENS)) for _ in range(1000)]
    assert len(gc.get_objects()) - before < 20
    assert len(handles) == 1000
