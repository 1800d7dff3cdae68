"""Many threads on one pool, and on several."""

import contextlib
import queue
import random
import threading

import numpy as np
import pytest

from kvpool import BlockPool, BlockPoolError, NotEnoughBlocksAvailable, StaleHandle


def serve_requests(pool, seed, rounds):
    """Match, allocate, fill, register, keep for a while, drop."""
    chance = random.Random(seed)
    kept = []
    for _ in range(rounds):
        start = chance.randrange(50)
        hashes = list(range(start, start + chance.randint(1, 6)))
        with contextlib.suppress(NotEnoughBlocksAvailable):
            cached = pool.match_sequence_hashes(hashes, owner=seed)
            fresh = pool.allocate_blocks(len(hashes) - len(cached), owner=seed)
            filled = pool.register_blocks(fresh, hashes[len(cached) :], parent=cached)
            assert (cached + filled).sequence_hashes.tolist() == hashes
            kept.append(
                (cached, filled) if chance.randrange(2) else (filled[-1:], filled.ids, pool.match_scattered(hashes))
            )
        if len(kept) > 3:
            kept.pop(chance.randrange(len(kept)))
        act = chance.randrange(20)
        if act == 0:
            pool.reset_blocks(hashes)
        elif act == 1:
            pool.touch(hashes)
        elif act == 2:
            kept.clear()


def check_reports(pool, done):
    """Every report is of one moment."""
    while not done.is_set():
        status = pool.status()
        assert status.total == status.empty + status.cached + status.active == pool.num_blocks
        assert status.available == status.empty + status.cached
        assert status.active == status.mutable + status.immutable
        assert status.allocations == status.allocations_from_empty + status.evictions
        assert min(status) >= 0
        states = np.bincount(pool.block_states(), minlength=9)
        assert states.sum() == states[[1, 2, 4, 8]].sum() == pool.num_blocks
        assert all(hold.blocks > 0 for hold in pool.outstanding())
        pool.check_invariants()


@pytest.mark.parametrize("duplicates", ["share", "keep"])
def test_threads_that_share_a_pool_see_whole_states_and_leave_nothing_behind(duplicates, run_together):
    pool = BlockPool(num_blocks=40, block_size=4, duplicates=duplicates, event_capacity=100)
    done = threading.Event()
    workers = [lambda seed=seed: serve_requests(pool, seed, 4000) for seed in range(6)]

    def work():
        try:
            run_together(*workers)
        finally:
            done.set()

    run_together(work, lambda: check_reports(pool, done))
    pool.check_invariants()
    assert (pool.status().active, pool.outstanding()) == (0, [])
    numbers = [event.sequence_number for event in pool.events()]
    assert numbers == list(range(numbers[0], numbers[0] + 100))
    assert pool.status().evictions > 0


def test_threads_that_use_two_pools_at_once_mix_nothing_up(run_together):
    pools = [BlockPool(num_blocks=60, block_size=4), BlockPool(num_blocks=40, block_size=4)]
    run_together(*(lambda seed=seed: serve_requests(pools[seed % 2], seed, 1000) for seed in range(8)))

    def alternate(seed):
        for i in range(1000):
            a, b = pools[(seed + i) % 2], pools[(seed + i + 1) % 2]
            with contextlib.suppress(NotEnoughBlocksAvailable):
                held = a.allocate_blocks(2), b.allocate_blocks(3)
                assert [handle.ids.max() < pool.num_blocks for handle, pool in zip(held, (a, b), strict=True)] == [
                    True
                ] * 2

    run_together(*(lambda seed=seed: alternate(seed) for seed in range(4)))
    for pool in pools:
        pool.check_invariants()
        assert pool.status().active == 0


def test_no_block_is_ever_held_by_two_threads_at_once(run_together):
    pool = BlockPool(num_blocks=24)
    owners = [0] * 24

    def own(me):
        for _ in range(3000):
            with contextlib.suppress(NotEnoughBlocksAvailable), pool.allocate_blocks(3) as blocks:
                ids = blocks.ids.tolist()
                for i in ids:
                    assert owners[i] == 0
                    owners[i] = me
                for i in ids:
                    assert owners[i] == me
                    owners[i] = 0

    run_together(*(lambda me=me: own(me) for me in range(1, 9)))
    assert pool.available_blocks == 24


def test_blocks_allocated_in_one_thread_can_be_dropped_in_another(run_together):
    pool = BlockPool(num_blocks=64, block_size=4)
    passed = queue.Queue(maxsize=8)

    def allocate(seed):
        chance = random.Random(seed)
        for i in range(2000):
            blocks = pool.allocate_blocks(chance.randint(1, 3), timeout=300)
            if i % 3 == 0:
                blocks = pool.register_blocks(blocks, [chance.randrange(30) for _ in blocks])
            passed.put(blocks)
            del blocks
        passed.put(None)

    def drop():
        while (blocks := passed.get()) is not None:
            view = blocks[0]
            del blocks
            del view

    run_together(lambda: allocate(1), lambda: allocate(2), drop, drop)
    pool.check_invariants()
    assert (pool.status().active, pool.status().waiting) == (0, 0)


def test_threads_that_wait_for_blocks_all_get_them(run_together):
    pool = BlockPool(num_blocks=10)

    def wait(seed):
        chance = random.Random(seed)
        for _ in range(200):
            blocks = pool.allocate_blocks(chance.randint(1, 10), timeout=300)
            assert len(set(blocks.ids.tolist())) == len(blocks)
            del blocks

    run_together(*(lambda seed=seed: wait(seed) for seed in range(12)))
    assert (pool.available_blocks, pool.status().waiting) == (10, 0)


def test_one_handle_closed_by_several_threads_gives_its_blocks_back_once(run_together):
    pool = BlockPool(num_blocks=16)
    others = pool.allocate_blocks(6)
    for i in range(300):
        mutable, views = pool.allocate_blocks(4), pool.allocate_blocks(2)
        immutable = pool.register_blocks(pool.allocate_blocks(4), range(i, i + 4))

        def close(mutable=mutable, views=views, immutable=immutable):
            mutable.release()
            views[0].release()
            views[::-1].release()
            immutable.release()

        run_together(close, close, close)
        assert (pool.status().active, pool.available_blocks) == (6, 10)
    pool.check_invariants()
    del others


def test_one_handle_used_while_another_thread_closes_it_is_whole_or_stale(run_together):
    pool = BlockPool(num_blocks=16, block_size=4)
    for i in range(200):
        blocks = pool.register_blocks(pool.allocate_blocks(4), range(4 * i, 4 * i + 4))
        fresh = pool.allocate_blocks(4)

        def use(blocks=blocks, fresh=fresh, i=i):
            with contextlib.suppress(BlockPoolError):
                for _ in range(20):
                    assert [block.sequence_hash for block in blocks[1:]] == [4 * i + 1, 4 * i + 2, 4 * i + 3]
                    fresh[0].reset()
                    fresh[:2].fill(range(8))[0].reset()
                    fresh[1].reset()

        def register(fresh=fresh, i=i):
            with contextlib.suppress(BlockPoolError):
                pool.register_blocks(fresh[2:], [10**6 + i, 10**7 + i]).release()

        def close(blocks=blocks, fresh=fresh):
            with contextlib.suppress(StaleHandle):
                list(blocks)
            blocks.release()
            fresh.release()

        run_together(use, register, close)
        assert pool.status().active == 0
    pool.check_invariants()


def test_one_block_registered_by_several_threads_is_registered_once(run_together):
    pool = BlockPool(num_blocks=16)
    for i in range(200):
        fresh = pool.allocate_blocks(3)
        won = []

        def register(fresh=fresh, won=won, i=i):
            with contextlib.suppress(BlockPoolError):
                won.append(pool.register_blocks(fresh, [3 * i, 3 * i + 1, 3 * i + 2]))

        run_together(register, register, register, register)
        assert len(won) == 1
        won.clear()
        assert pool.status().active == 0
    assert pool.status().registrations == 600


def test_sixty_four_threads_get_along(run_together):
    pool = BlockPool(num_blocks=256, block_size=4)
    run_together(*(lambda seed=seed: serve_requests(pool, seed, 60) for seed in range(64)))
    pool.check_invariants()
    assert (pool.status().active, pool.outstanding()) == (0, [])
