"""Handles that four threads close at once."""

import contextlib
import threading

import numpy as np
import pytest

from kvpool import BlockPool, BlockPoolError, InvalidMutableBlock, StaleHandle
from kvpool.storage import FullyContiguous, HostStorage, LayoutConfig

HANDLES = 20_000


def make_mutable(pool):
    return [pool.allocate_blocks(1) for _ in range(HANDLES)]


def make_views(pool):
    whole = pool.allocate_blocks(HANDLES)
    return [whole[i : i + 1] for i in range(HANDLES)]


def make_blocks(pool):
    return list(pool.allocate_blocks(HANDLES))


def make_immutable(pool):
    return [pool.register_blocks(pool.allocate_blocks(1), [i]) for i in range(HANDLES)]


def make_immutable_blocks(pool):
    return [handle[0] for handle in make_immutable(pool)]


def make_scattered(pool):
    return [pool.match_scattered([i, HANDLES + i]) for i, _ in enumerate(make_immutable(pool))]


def make_pins(pool):
    return [pool.pin([i]) for i, _ in enumerate(make_immutable(pool))]


def make_sequences(pool):
    return [pool.open_sequence([i, 1]) for i in range(HANDLES)]


KINDS = [
    make_mutable,
    make_views,
    make_blocks,
    make_immutable,
    make_immutable_blocks,
    make_scattered,
    make_pins,
    make_sequences,
]


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__.removeprefix("make_"))
def test_each_handle_that_four_threads_close_at_once_is_returned_once(make, run_together):
    pool = BlockPool(num_blocks=HANDLES, block_size=4, max_pinned_blocks=HANDLES)
    handles = make(pool)
    assert pool.available_blocks == 0

    def close():
        for handle in handles:
            handle.release()

    run_together(close, close, close, close)
    pool.check_invariants()
    assert (pool.available_blocks, pool.status().active, pool.outstanding()) == (HANDLES, 0, [])
    assert all(handle.released for handle in handles)
    assert np.unique(pool.allocate_blocks(HANDLES).ids).size == HANDLES  # none is there twice


def test_each_handle_that_is_dropped_where_others_are_closed_is_returned_once(run_together):
    pool = BlockPool(num_blocks=HANDLES, block_size=4)
    handles = make_immutable(pool)
    stock = list(handles)

    def drop():
        with contextlib.suppress(IndexError):
            while True:
                stock.pop()

    def close():
        for handle in reversed(handles):
            handle.release()
        handles.clear()

    run_together(drop, close, drop, close)
    pool.check_invariants()
    assert pool.available_blocks == HANDLES


def test_one_block_that_four_threads_register_join_and_close_goes_to_one_of_them(run_together):
    pool = BlockPool(num_blocks=64)
    handles = [pool.allocate_blocks(2) for _ in range(20)]
    for i in range(12):
        pairs = [(handle, pool.allocate_blocks(1)) for handle in handles]
        winners = []

        def register(pairs=pairs, winners=winners, i=i):
            for at, (handle, _) in enumerate(pairs):
                with contextlib.suppress(InvalidMutableBlock):
                    winners.append(pool.register_blocks(handle, [10**6 * at + 2 * i, 10**6 * at + 2 * i + 1]))

        def join(pairs=pairs, winners=winners):
            for handle, other in pairs:
                with contextlib.suppress(InvalidMutableBlock):
                    winners.append(other + handle)

        def close(pairs=pairs):
            for handle, _ in pairs:
                handle.release()

        run_together(register, join, register, join, close)
        assert all(handle.released for handle, _ in pairs)
        ids = [block for winner in winners for block in winner.ids.tolist()]
        assert len(ids) == len(set(ids))  # nobody has what another has
        pool.check_invariants()
        del pairs, winners, register, join, close
        handles = [pool.allocate_blocks(2) for _ in range(20)]


def test_what_a_closing_thread_fills_with_zeros_is_not_what_another_was_handed_by_then(run_together):
    config = LayoutConfig(8, num_layers=1, outer_dim=1, page_size=4, inner_dim=64, dtype="uint8")
    pool = BlockPool(8, 4, storage=HostStorage(FullyContiguous(config)), scrub="free")
    rounds = 50
    handles = [None] * rounds
    made = threading.Barrier(4)

    def close():
        for i in range(rounds):
            made.wait()
            handles[i].release()
            made.wait()

    def use():
        for i in range(rounds):
            handles[i] = pool.allocate_blocks(8)
            made.wait()
            for _ in range(20):
                with contextlib.suppress(BlockPoolError), pool.allocate_blocks(2) as blocks:
                    for block in blocks:
                        memory = np.asarray(block.block_view())
                        assert not memory.any()
                        memory[:] = 7
                        assert (memory == 7).all()
                        del memory
            made.wait()

    run_together(close, close, close, use)
    pool.check_invariants()


def test_a_released_handle_says_so_to_every_thread(run_together):
    pool = BlockPool(num_blocks=4)
    for i in range(20):
        handle = pool.register_blocks(pool.allocate_blocks(1), [i])
        told = threading.Barrier(2)

        def close(handle=handle, told=told):
            handle.release()
            told.wait()

        def look(handle=handle, told=told):
            told.wait()
            assert handle.released
            with pytest.raises(StaleHandle):
                list(handle.sequence_hashes)

        run_together(close, look)
