"""A pool, a part of which may be held for what is predicted."""

import pytest

from kvpool import BlockPool


@pytest.fixture
def pool():
    pool = BlockPool(32, 4)
    pool.prefetcher.max_blocks = 16
    yield pool
    pool.prefetcher.cancel_all()
    pool.close()
    pool.check_invariants()
    assert pool.available_blocks == 32
    assert pool.prefetcher.statistics().held_blocks == 0
