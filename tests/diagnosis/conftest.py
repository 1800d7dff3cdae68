"""A pool in which every kind of block and hold is to be found, and its dump."""

import pytest

from kvpool import BlockPool
from kvpool.diagnosis import PoolDump


@pytest.fixture
def busy_pool(clock):
    """Blocks 0-2: an active chain; 3-5: a cached one; 6, 7: of a namespace, pinned; 8: mutable; 9: a sequence's."""
    pool = BlockPool(16, 4, clock=clock, event_capacity=64, max_namespaces=1, name="busy")
    tenant = pool.namespace("tenant")
    chain = pool.register_blocks(pool.allocate_blocks(3, owner="request 1"), [11, 12, 13])
    pool.register_blocks(pool.allocate_blocks(3), [21, 22, 23]).release()
    own = pool.register_blocks(pool.allocate_blocks(2, namespace=tenant), [31, 32])
    pin = pool.pin([31, 32], namespace=tenant, owner="prompt")
    own.release()
    mutable = pool.allocate_blocks(1, owner=("request", 2))
    sequence = pool.open_sequence([1, 2, 3], owner="request 3")
    pool.time_calls(1)
    pool.match_sequence_hashes([11, 12, 99]).release()
    yield pool
    pool.check_invariants()
    for handle in (chain, pin, mutable, sequence):
        handle.release()


@pytest.fixture
def dump(busy_pool):
    """The dump of the busy pool."""
    return PoolDump.of(busy_pool)
