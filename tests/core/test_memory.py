"""What the pool and its handles cost, and that they leave nothing behind."""

import gc
import sys

import numpy as np
import pytest

from kvpool import BlockPool, sequence_hashes


def test_the_collector_has_no_handles_to_walk(pool, store):
    blocks = store(pool, [1, 2])
    fresh = pool.allocate_blocks(2).fill(range(4))
    handles = [
        blocks,
        blocks[0],
        blocks[:1],
        fresh,
        fresh[0],
        fresh[1:],
        pool.match_scattered([1]),
        blocks[0].downgrade(),
    ]
    assert not [handle for handle in handles if gc.is_tracked(handle)]


def test_ragged_requests_leave_nothing_behind():
    pool = BlockPool(num_blocks=64, block_size=4)
    lengths = np.random.default_rng(11).integers(0, 30, 10_000).tolist()
    tokens = np.arange(40, dtype=np.int32)

    def serve(length, number):
        prompt = tokens[:length] + number % 7
        hashes = sequence_hashes(prompt, 4)
        cached = pool.match_sequence_hashes(hashes, owner=number)
        rest = prompt[4 * len(cached) :]
        fresh = pool.allocate_blocks(-(-len(rest) // 4), owner=number)
        fresh.fill(rest, parent=cached if len(cached) else None)
        full = pool.register_blocks(fresh[: len(rest) // 4])
        row = np.concatenate([cached.ids, full.ids, fresh.ids[len(full) :]])
        assert len(set(row.tolist())) == len(row) == -(-length // 4)
        return [(cached + full)[:2], [block.id for block in cached], pool.match_scattered(hashes).hits]

    def serve_all():
        for number, length in enumerate(lengths):
            serve(length, number)
            if number % 1000 == 0:
                assert (pool.available_blocks, pool.outstanding()) == (64, [])
        pool.check_invariants()

    serve_all()
    gc.collect()
    before = sys.getallocatedblocks()
    serve_all()
    gc.collect()
    assert abs(sys.getallocatedblocks() - before) < 200  # one a round; other threads have some of their own
    assert (pool.available_blocks, pool.outstanding()) == (64, [])


def test_failed_calls_leave_nothing_behind(pool, store):
    held = store(pool, range(10))

    def fail_all():
        for call in (
            lambda: pool.allocate_blocks(17),
            lambda: pool.allocate_blocks(-1),
            lambda: pool.allocate_blocks(7, timeout=1e-9),
            lambda: pool.register_blocks(pool.allocate_blocks(2), [1]),
            lambda: pool.register_blocks(pool.allocate_blocks(2), [1, -1]),
            lambda: pool.register_blocks([pool.allocate_blocks(1), 5], [1, 2]),
            lambda: pool.match_sequence_hashes([1, 2.5]),
            lambda: pool.match_scattered(np.array([1.5])),
            lambda: pool.match_lengths([[1], [2.5]]),
            lambda: pool.reset_blocks([None]),
            lambda: pool.reset(),
            lambda: held[99],
            lambda: pool.allocate_blocks(1).fill(range(5)),
            lambda: pool.allocate_blocks(1)[0].commit(),
            lambda: BlockPool(0),
            lambda: BlockPool(4, duplicates="no"),
        ):
            try:
                call()
            except Exception:
                pass
            else:
                raise AssertionError("did not fail")

    for _ in range(50):
        fail_all()
    gc.collect()
    before = sys.getallocatedblocks()
    for _ in range(200):
        fail_all()
    gc.collect()
    assert abs(sys.getallocatedblocks() - before) < 200  # one a round; other threads have some of their own
    assert len(held) == pool.status().active == 10


@pytest.mark.own_memory
def test_pools_leave_no_memory_behind(run_python):
    grown = run_python("""
        import os
        from kvpool import BlockPool

        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        def use_one():
            pool = BlockPool(num_blocks=20_000, event_capacity=1000)
            pool.register_blocks(pool.allocate_blocks(20_000).fill(range(16)) [:1])
            blocks = pool.register_blocks(pool.allocate_blocks(10_000), range(10_000))

        for _ in range(5):
            use_one()
        before = resident()
        for _ in range(100):
            use_one()
        print(resident() - before)
        """)
    assert int(grown) < 8_000_000


@pytest.mark.own_memory
def test_a_block_costs_at_most_64_bytes(run_python):
    used = run_python("""
        import os
        import numpy as np
        from kvpool import BlockPool

        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        BlockPool(num_blocks=10)
        before = resident()
        pool = BlockPool(num_blocks=1_000_000)
        for start in range(0, 2_000_000, 50_000):  # every block in use, and used again
            hashes = np.arange(start, start + 50_000, dtype=np.uint64)
            pool.register_blocks(pool.allocate_blocks(50_000), hashes).release()
        assert pool.status().cached == 1_000_000
        print(resident() - before)
        """)
    assert int(used) <= 64_000_000


@pytest.mark.own_memory
def test_a_million_unread_events_cost_no_more_than_the_ring(run_python):
    grown = run_python("""
        import os
        from kvpool import BlockPool

        def resident():
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        pool = BlockPool(num_blocks=1000, event_capacity=1000)
        def churn(first):
            pool.register_blocks(pool.allocate_blocks(1000), range(first, first + 1000))
        for i in range(10):
            churn(1000 * i)
        before = resident()
        for i in range(500):
            churn(1000 * i + 10**6)
        assert len(pool.events()) == 1000
        assert pool.events()[-1].sequence_number > 10**6
        print(resident() - before)
        """)
    assert int(grown) < 4_000_000
