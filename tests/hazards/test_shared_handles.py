"""Handles that several threads have, and what knows a pool weakly."""

import threading
import weakref

import pytest

from kvpool import BlockPool

NUM_HANDLES = 20_000


def test_twenty_thousand_handles_that_four_threads_close_are_given_back_once_each():
    pool = BlockPool(NUM_HANDLES + 100, 4)
    blocks = pool.allocate_blocks(NUM_HANDLES)
    fresh = [blocks[i] for i in range(0, NUM_HANDLES, 2)]
    stored = list(pool.register_blocks(blocks[1::2], range(NUM_HANDLES // 2)))
    handles = [handle for pair in zip(fresh, stored, strict=True) for handle in pair]
    others = pool.allocate_blocks(50)
    barrier = threading.Barrier(4)

    def close():
        barrier.wait()
        for handle in handles:
            handle.release()

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(handle.released for handle in handles)
    assert pool.available_blocks == NUM_HANDLES + 50
    pool.check_invariants()
    assert [hold.blocks for hold in pool.outstanding()] == [50]
    assert len(set(pool.allocate_blocks(NUM_HANDLES + 50).ids.tolist()) | set(others.ids.tolist())) == NUM_HANDLES + 100


def test_a_weak_reference_to_a_pool_is_dead_when_its_end_is_told():
    seen = []
    pool = BlockPool(8, 4)
    reference = weakref.ref(pool, lambda dying: seen.append((dying(), weakref.getweakrefcount(reference))))
    weakref.finalize(pool, seen.append, "finalized")
    handle = pool.allocate_blocks(1)
    del pool
    assert seen == []  # a handle keeps its pool
    del handle
    assert ("finalized" in seen, [entry for entry in seen if entry != "finalized"]) == (True, [(None, 0)])


def test_a_weak_reference_to_a_handle_cannot_bring_it_back():
    pool = BlockPool(8, 4)
    blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
    for handle in (blocks, blocks[0], blocks[0].downgrade(), pool.allocate_blocks(1), pool.pin([1])):
        with pytest.raises(TypeError, match="weak reference"):
            weakref.ref(handle)
    seen = []
    sequence = pool.open_sequence(range(5))  # the only kind that others may know weakly
    reference = weakref.ref(sequence, lambda dying: seen.append(dying()))
    del handle, sequence
    assert seen == [None]
    assert reference() is None
    assert len(pool.outstanding()) == 1
    assert pool.outstanding()[0].blocks == 2
