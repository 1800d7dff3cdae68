"""A view holds its blocks, and so does every array made from it."""

import gc
import threading
import weakref

import numpy as np
import pytest

from kvpool import BlockPool, Hold, NotEnoughBlocksAvailable, ResetError, StorageInUse
from kvpool.storage import FullyContiguous, LayerSeparate, LayoutConfig

CONFIG = LayoutConfig(8, 2, 2, 4, 16, dtype="float32")

WAYS = {
    "a view": lambda view: view,
    "dlpack": np.from_dlpack,
    "buffer": memoryview,
    "asarray": np.asarray,
    "capsule": lambda view: view.__dlpack__(max_version=(1, 3)),
    "legacy capsule": lambda view: view.__dlpack__(),
    "part of an array": lambda view: np.from_dlpack(view)[0, 1:2],
    "another type": lambda view: view.as_dtype("uint8"),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def see(request):
    return request.param


@pytest.fixture
def pool():
    pool = BlockPool(8, 4, event_capacity=64)
    pool.register_buffer(np.zeros((8, 2, 2, 4, 16), np.float32), layout=FullyContiguous(CONFIG))
    yield pool
    pool.check_invariants()


def test_a_released_mutable_block_is_nobody_elses_before_its_view_goes(pool, see):
    blocks = pool.allocate_blocks(2)
    seen = see(blocks[1].layer_view(0))
    blocks.release()
    assert blocks.released
    assert pool.available_blocks == 7
    assert pool.outstanding() == [Hold(None, "view", 1, pytest.approx(0, abs=60))]
    rest = pool.allocate_blocks(7)
    assert 1 not in rest.ids
    with pytest.raises(NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(1)
    assert ("view", 1) in [(hold.kind, hold.blocks) for hold in caught.value.holders]
    del seen
    assert pool.allocate_blocks(1).ids.tolist() == [1]


def test_a_cached_block_is_not_evicted_before_its_view_goes(pool, see):
    blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
    seen = see(blocks.layer_view(1, 1))
    del blocks
    assert pool.available_blocks == 6
    with pytest.raises(NotEnoughBlocksAvailable):
        pool.allocate_blocks(7)
    assert len(pool.match_sequence_hashes([1, 2])) == 2
    del seen
    assert pool.allocate_blocks(8).evicted.sequence_hashes.tolist() == [2, 1]


def test_a_view_of_the_second_block_keeps_the_prefix_that_leads_to_it(pool, see):
    blocks = pool.register_blocks(pool.allocate_blocks(3), [1, 2, 3])
    seen = see(blocks[1].layer_view(0))
    del blocks
    assert pool.allocate_blocks(6).evicted.sequence_hashes.tolist() == [3]
    assert pool.contains([1, 2]).all()
    del seen


def test_a_view_from_before_the_registration_still_writes(pool, see):
    mutable = pool.allocate_blocks(1)
    array = np.from_dlpack(mutable[0].layer_view(0))
    seen = see(mutable[0].layer_view(0))
    blocks = pool.register_blocks(mutable, [1])
    array[:] = 9
    assert np.asarray(blocks[0].layer_view(0)).sum() == 9 * 64
    del array, blocks, mutable
    assert pool.status().cached == 0
    del seen
    assert pool.status().cached == 1


def test_a_duplicate_that_was_replaced_goes_back_with_its_view(pool, see):
    first = pool.register_blocks(pool.allocate_blocks(1), [1])
    fresh = pool.allocate_blocks(1)
    seen = see(fresh[0].layer_view(0))
    assert pool.register_blocks(fresh, [1]).ids.tolist() == first.ids.tolist()
    assert pool.status().empty == 6
    del seen
    assert pool.status().empty == 7


def test_the_view_may_go_first(pool, see):
    blocks = pool.allocate_blocks(2)
    seen = see(blocks.layer_view(0))
    del seen
    assert pool.available_blocks == 6
    assert not blocks.released
    np.from_dlpack(blocks.layer_view(0))[:] = 1


def test_the_pool_may_go_first(see):
    parts = [np.full((2, 8, 4, 16), 5, np.float32) for _ in range(2)]
    pool = BlockPool(8, 4)
    pool.register_buffer(parts, layout=LayerSeparate(CONFIG))
    memory = weakref.ref(parts[1])
    blocks = pool.register_blocks(pool.allocate_blocks(2), [1, 2])
    view = blocks[0].layer_view(1)
    seen = see(view)
    gone = weakref.ref(pool)
    del pool, blocks, parts, view
    gc.collect()
    assert memory() is not None
    if hasattr(seen, "sum"):
        assert seen.min() == 5
    del seen
    for _ in range(10):  # memory whose last tensor went is given up at the interpreter's next steps
        pass
    assert memory() is None
    assert gone() is None


def test_the_pool_does_not_outlive_its_last_handle_because_of_an_array():
    pool = BlockPool(8, 4)
    pool.register_buffer(np.ones((8, 2, 2, 4, 16), np.float32), layout=FullyContiguous(CONFIG))
    array = np.from_dlpack(pool.allocate_blocks(1)[0].layer_view(0))
    gone = weakref.ref(pool)
    del pool
    assert gone() is None
    assert array.sum() == 64


def test_a_storage_is_not_taken_away_while_views_live(pool, see):
    with pool.allocate_blocks(2) as blocks:
        seen = [see(block.layer_view(0)) for block in blocks]
        seen.append(see(pool.layer_view(1)))
    for expected in (3, 2):
        assert pool.num_views == expected
        with pytest.raises(StorageInUse, match=f"{expected} views of the storage are alive") as caught:
            pool.unregister_buffer()
        assert caught.value.views == expected
        seen.pop()
    with pytest.raises(StorageInUse, match="1 view of the storage is alive"):
        pool.detach_storage()
    assert pool.allocate_blocks(1)[0].layer_view(0).nbytes == 256  # nothing has changed
    seen.clear()
    pool.unregister_buffer()
    assert pool.storage is None


def test_reset_is_refused_while_a_view_holds_a_block(pool, see):
    seen = see(pool.register_blocks(pool.allocate_blocks(1), [1])[0].layer_view(0))
    with pytest.raises(ResetError):
        pool.reset()
    assert pool.reset_blocks([1]).not_reset.tolist() == [1]
    del seen
    pool.reset()


def test_views_may_go_in_any_thread(pool, see):
    blocks = pool.allocate_blocks(8)
    seen = [see(block.layer_view(0)) for block in blocks]
    blocks.release()

    def drop():
        while seen:
            try:
                seen.pop()
            except IndexError:
                return

    threads = [threading.Thread(target=drop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pool.available_blocks == 8


def test_threads_that_make_and_drop_arrays_lose_no_block(pool):
    shared = pool.register_blocks(pool.allocate_blocks(4), [1, 2, 3, 4])
    errors = []

    def work():
        try:
            for _ in range(300):
                mine = pool.allocate_blocks(1)
                arrays = [np.from_dlpack(block.layer_view(1)) for block in shared]
                own = np.from_dlpack(mine[0].layer_view(0))
                mine.release()
                own[:] = threading.get_ident() % 1000
                assert (own == own[0, 0]).all()
                del arrays, own  # or a thread has two blocks when it asks for the next, and four of them all eight
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    shared.release()
    assert pool.available_blocks == 8
    assert pool.num_views == 0


def test_a_view_in_a_cycle_goes_with_it(pool, see):
    class Node:
        pass

    node = Node()
    node.itself, node.seen = node, see(pool.allocate_blocks(3).layer_view(0))
    del node
    gc.collect()
    assert pool.available_blocks == 8


def test_a_view_that_cannot_be_made_holds_nothing(pool):
    before = pool.num_views
    for _ in range(10):
        with pytest.raises(IndexError):
            pool.allocate_blocks(1)[0].layer_view(2)
    assert (pool.available_blocks, pool.num_views) == (8, before)


@pytest.mark.parametrize("name", WAYS)
def test_the_interpreter_ends_well_with_views_in_globals(run_python, name):
    ways = {
        "a view": "view",
        "dlpack": "np.from_dlpack(view)",
        "buffer": "memoryview(view)",
        "asarray": "np.asarray(view)",
        "capsule": "view.__dlpack__(max_version=(1, 3))",
        "legacy capsule": "view.__dlpack__()",
        "part of an array": "np.from_dlpack(view)[0, 1:2]",
        "another type": "view.as_dtype('uint8')",
    }
    run_python(
        f"""
        import sys
        import numpy as np
        from kvpool import BlockPool
        from kvpool.storage import FullyContiguous, LayoutConfig

        pool = BlockPool(8, 4)
        layout = FullyContiguous(LayoutConfig(8, 2, 2, 4, 16, dtype="float32"))
        pool.register_buffer(np.zeros(layout.part_shape, np.float32), layout=layout)
        view = pool.allocate_blocks(2).layer_view(0)
        seen = {ways[name]}
        sys.kept = [seen, pool, view]
        cycle = [seen]
        cycle.append(cycle)
        del pool, view
        """
    )
