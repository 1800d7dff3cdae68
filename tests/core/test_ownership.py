"""Each block is given back exactly once, whatever happens to its handle."""

import copy
import gc
import pickle
import random
import threading
import weakref

import numpy as np
import pytest

import kvpool
from kvpool import BlockPool, CorruptionError, ForeignHandle, InvalidMutableBlock, StaleHandle

HANDLE_TYPES = [
    kvpool.MutableBlocks,
    kvpool.MutableBlock,
    kvpool.ImmutableBlocks,
    kvpool.ImmutableBlock,
    kvpool.ScatteredBlocks,
    kvpool.WeakBlock,
]


@pytest.fixture
def handles(pool, store):
    """One of each kind."""
    blocks = store(pool, [1, 2])
    fresh = pool.allocate_blocks(2)
    return [fresh, fresh[0], fresh[1:], blocks, blocks[0], pool.match_scattered([1, 9]), blocks[0].downgrade()]


# Giving back ----------------------------------------------------------------------------------------------------------


def test_a_closed_handle_gives_nothing_back_again_from_any_thread(pool, store):
    blocks, fresh = store(pool, [1]), pool.allocate_blocks(2)
    others = pool.match_sequence_hashes([1]), blocks[0]

    def close():
        for _ in range(1000):
            blocks.release()
            fresh.release()
            fresh[0].release()

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (pool.status().active, pool.status().empty) == (1, 15)
    del others


@pytest.mark.parametrize("seed", range(20))
def test_all_orders_of_letting_go_end_with_every_block_back(seed):
    chance = random.Random(seed)
    pool = BlockPool(num_blocks=12, block_size=4)
    handles = []
    for _ in range(300):
        act = chance.randrange(9)
        if act == 0 and pool.available_blocks >= 3:
            handles.append(pool.allocate_blocks(chance.randint(1, 3)))
        elif act == 1 and pool.available_blocks >= 2:
            start = chance.randrange(6)
            handles.append(pool.register_blocks(pool.allocate_blocks(2), [start, start + 1]))
        elif act == 2:
            handles.append(pool.match_sequence_hashes([chance.randrange(7)]))
        elif act == 3:
            handles.append(pool.match_scattered([chance.randrange(7) for _ in range(3)]))
        elif handles:
            i = chance.randrange(len(handles))
            if act == 4:
                handles[i].release()
            elif act == 5:
                with handles[i]:
                    pass
            elif act == 6:
                handles.append([handles.pop(i)])
                handles[-1].append(handles[-1])
                handles.pop()
                gc.collect()
            elif act == 7 and not handles[i].released and len(handles[i]) and not hasattr(handles[i], "hits"):
                handles.append(handles[i][: chance.randint(0, 2)])
            else:
                handles.pop(i)
        pool.check_invariants()
    handles.clear()
    assert (pool.status().active, pool.outstanding()) == (0, [])


def test_a_handle_undoes_what_it_took_whatever_happened_to_its_block_meanwhile(store):
    pool = BlockPool(num_blocks=8, block_size=4)
    first = store(pool, [1], priority=10)
    again = store(pool, [1], priority=90, ttl=5)
    pool.touch([1])
    part = again[0]
    first.release()
    pool.reset_blocks([1])
    part.release()
    assert pool.status().active == 1
    again.release()
    assert (pool.status().active, pool.status().cached) == (0, 1)
    pool.check_invariants()


def test_a_handle_in_a_cycle_is_given_back_by_the_collector(pool, store):
    for make in (lambda: pool.allocate_blocks(2), lambda: store(pool, [1]), lambda: store(pool, [1])[0]):
        cycle = [make()]
        cycle.append(cycle)
        del cycle
        gc.collect()
        assert pool.status().active == 0


def test_a_pool_in_a_cycle_with_its_clock_is_collected():
    class Clock:
        def __call__(self):
            return 0.0

    clock = Clock()
    clock.pool = BlockPool(num_blocks=4, clock=clock)
    gone = weakref.ref(clock)
    del clock
    gc.collect()
    assert gone() is None


def test_every_public_method_works_while_the_collector_gives_handles_back(run_python):
    run_python("""
        import gc, faulthandler, random
        from kvpool import BlockPool, BlockPoolError

        faulthandler.dump_traceback_later(120, exit=True)
        pool = BlockPool(num_blocks=64, block_size=4, event_capacity=32, clock=lambda: 0.0)
        chance = random.Random(3)

        class Request:
            pass

        def make_garbage():
            for _ in range(4):
                cycle = [pool.allocate_blocks(1, owner=Request())]
                cycle += [pool.register_blocks(pool.allocate_blocks(2), [chance.randrange(40), 41], priority=3)]
                cycle += [cycle, Request(), cycle[1][0], cycle[1][0].downgrade(), pool.match_scattered([1, 41])]

        calls = [
            lambda: pool.allocate_blocks(3, owner="x").evicted,
            lambda: pool.allocate_blocks(1000),
            lambda: pool.allocate_blocks(2, timeout=1).fill(range(8))[0].tokens,
            lambda: list(pool.allocate_blocks(2)[::-1]),
            lambda: (pool.allocate_blocks(2) + pool.allocate_blocks(1)).ids,
            lambda: pool.register_blocks(pool.allocate_blocks(2), [1, 2], parent=41, ttl=4),
            lambda: pool.register_blocks([pool.allocate_blocks(1), pool.allocate_blocks(1)[0]], (3, 4)),
            lambda: list(pool.match_sequence_hashes([1, 2, 3], owner=Request())),
            lambda: pool.match_sequence_hashes([1])[:].sequence_hashes,
            lambda: list(pool.match_scattered([1, 9, 2])),
            lambda: pool.contains(range(50)),
            lambda: pool.match_lengths([[1], [2]]),
            lambda: pool.touch([1, 2]),
            lambda: pool.reset(),
            lambda: pool.reset_blocks(range(20)),
            lambda: pool.status(),
            lambda: pool.outstanding(),
            lambda: pool.block_state(3),
            lambda: pool.block_states(),
            lambda: pool.events(),
            lambda: pool.check_invariants(),
            lambda: repr(pool),
        ]
        for threshold in (1, 2, 3, 5, 8, 13):
            for _ in range(30):
                for call in calls:
                    gc.disable()
                    try:
                        make_garbage()
                        gc.set_threshold(threshold, 1, 1)
                        gc.enable()
                        call()
                    except BlockPoolError:
                        pass
        gc.collect()
        assert pool.status().active == 0, pool.status()
        assert pool.outstanding() == []
        pool.check_invariants()
        """)


# Consumed, foreign and stale handles ----------------------------------------------------------------------------------


def test_a_list_with_a_foreign_a_closed_or_a_doubled_handle_changes_nothing(pool, unchanged):
    other = BlockPool(num_blocks=4, block_size=4)
    good, closed, foreign = pool.allocate_blocks(1), pool.allocate_blocks(1), other.allocate_blocks(1)
    closed.release()
    for bad, error in ((closed, InvalidMutableBlock), (foreign, ForeignHandle), (good, InvalidMutableBlock)):
        with unchanged(pool), unchanged(other), pytest.raises(error):
            pool.register_blocks([good, bad], [1, 2])
    assert not good.released


def test_a_stale_handle_never_releases_the_next_owner(pool, store):
    fresh = pool.allocate_blocks(16)
    views = [fresh[0], fresh[1:3], fresh]
    pool.register_blocks(fresh, range(16)).release()
    taken = pool.allocate_blocks(16)
    for view in views:
        view.release()
    del fresh, view
    views.clear()
    assert pool.status().mutable == 16
    del taken


def test_a_consumed_handle_cannot_be_used_in_a_sum(pool, store):
    fresh, other = pool.allocate_blocks(1), pool.allocate_blocks(1)
    pool.register_blocks(fresh, [1])
    with pytest.raises(InvalidMutableBlock):
        other + fresh
    blocks = pool.match_sequence_hashes([1])
    blocks.release()
    with pytest.raises(StaleHandle):
        blocks + pool.match_sequence_hashes([1])


# What outlives what ---------------------------------------------------------------------------------------------------


def test_arrays_outlive_their_handles_and_the_pool(store):
    pool = BlockPool(num_blocks=8, block_size=4)
    fresh = pool.allocate_blocks(2)
    blocks = store(pool, [1, 2])
    scattered = pool.match_scattered([2, 9])
    evicting = pool.allocate_blocks(4)
    arrays = [fresh.ids, fresh[::-1].ids, blocks.ids, blocks.sequence_hashes, scattered.ids, scattered.hits]
    arrays += [*evicting.evicted, pool.contains([1]), pool.block_states(), blocks.ids[1:]]
    expected = [array.tolist() for array in arrays]
    blocks.release()
    del fresh, blocks, scattered, evicting
    pool.allocate_blocks(8).fill(range(32))
    del pool
    gc.collect()
    garbage = [np.full(16, 77) for _ in range(1000)]
    assert [array.tolist() for array in arrays] == expected
    del garbage


def test_an_array_of_ids_holds_no_blocks(pool):
    ids = pool.allocate_blocks(4).ids
    assert pool.available_blocks == 16
    assert ids.tolist() == [0, 1, 2, 3]


def test_handles_outlive_the_name_of_the_pool(store):
    pool = BlockPool(num_blocks=4, block_size=4)
    blocks, fresh = store(pool, [1]), pool.allocate_blocks(1)
    del pool
    gc.collect()
    assert blocks[0].sequence_hash == 1
    assert fresh[0].remaining == 4
    fresh.fill(range(4))
    del blocks, fresh


def test_views_and_iterators_outlive_the_handle_they_came_from(pool, store):
    items = iter(pool.allocate_blocks(3))
    first = next(items)
    parts = iter(store(pool, [1, 2]))
    assert next(parts).sequence_hash == 1
    assert (first.id, [block.id for block in items]) == (0, [1, 2])
    assert [block.sequence_hash for block in parts] == [2]
    del items, first, parts
    assert pool.status().active == 0


def test_an_error_does_not_keep_the_blocks_of_the_call_that_raised_it(pool):
    with pytest.raises(kvpool.NotEnoughBlocksAvailable) as caught:
        pool.allocate_blocks(17)
    with pytest.raises(ValueError, match="hashes") as also_caught:
        pool.register_blocks(pool.allocate_blocks(3), [1])
    assert pool.status().active == 0
    del caught, also_caught


# Copies and forgeries -------------------------------------------------------------------------------------------------


def test_handles_and_pools_cannot_be_copied_or_pickled(pool, handles, unchanged):
    for thing in [*handles, pool]:
        for duplicate in (
            copy.copy,
            copy.deepcopy,
            pickle.dumps,
            lambda x: x.__reduce__(),
            lambda x: x.__reduce_ex__(4),
        ):
            with unchanged(pool), pytest.raises(TypeError, match="cannot be copied or pickled"):
                duplicate(thing)


def test_handles_have_no_state_that_could_be_forged(pool, handles, unchanged):
    for thing in [*handles, pool]:
        assert not [name for name in dir(thing) if "cython" in name or name == "__setstate__"]
        for name in ("pool", "lease", "root", "entry", "is_view", "id", "ids", "owner", "generation", "shared", "more"):
            with unchanged(pool), pytest.raises((AttributeError, TypeError)):
                object.__setattr__(thing, name, 5)


def test_handles_are_not_made_by_calling_their_type(pool, handles, unchanged):
    for thing in handles:
        for arguments in ((), (1,), (pool,), (pool, [0])):
            with unchanged(pool), pytest.raises(TypeError):
                type(thing)(*arguments)
            with unchanged(pool), pytest.raises(TypeError):
                thing.__init__(*arguments)


@pytest.mark.parametrize("kind", [*HANDLE_TYPES, BlockPool])
def test_handles_and_pools_cannot_be_subclassed(kind):
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Mine", (kind,), {})


@pytest.mark.parametrize("kind", [*HANDLE_TYPES, BlockPool])
def test_types_cannot_be_changed(kind):
    with pytest.raises(TypeError):
        kind.release = lambda self: None


@pytest.mark.parametrize("kind", [kind.__name__ for kind in HANDLE_TYPES])
def test_an_object_made_past_the_constructor_is_inert(run_python, kind):
    run_python(f"""
        import contextlib
        import kvpool
        from kvpool import BlockPool

        pool = BlockPool(num_blocks=4, block_size=4)
        kind = kvpool.{kind}
        try:
            forged = kind.__new__(kind)
        except TypeError:
            raise SystemExit(0)
        uses = [
            repr, len, list, hash, iter, lambda x: x[0], lambda x: x[:], lambda x: x + x, lambda x: x == x,
            lambda x: pool.register_blocks(x, [1]), lambda x: pool.register_blocks([x], [1]),
            lambda x: pool.register_blocks(pool.allocate_blocks(1), [1], parent=x),
            lambda x: pool.allocate_blocks(1)[0].init_sequence(parent=x),
            lambda x: pool.allocate_blocks(1).fill([1], parent=x),
            lambda x: pool.match_sequence_hashes(x), lambda x: pool.match_sequence_hashes([1]) + x,
            lambda x: pool.allocate_blocks(1) + x, lambda x: x.init_sequence(), lambda x: x.add_token(1),
            lambda x: x.add_tokens([1]), lambda x: x.pop_tokens(1), lambda x: x.fill([]), lambda x: x.fill([1]),
            lambda x: x.__exit__(None, None, None),
        ]
        for use in uses:
            with contextlib.suppress(Exception):
                use(forged)
        for name in dir(kind):
            if not name.startswith("__"):
                with contextlib.suppress(Exception):
                    value = getattr(forged, name)
                    if callable(value):
                        value()
        del forged
        pool.check_invariants()
        assert pool.status().active == 0
        """)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("pool_core", "PoolCore"),
        ("pool_reports", "PoolReports"),
        ("handle", "Handle"),
        ("lease_ids", "LeaseIds"),
        ("registration", "Registration"),
        ("token_drafts", "TokenDrafts"),
        ("token_buffer", "TokenBuffer"),
    ],
)
def test_an_internal_object_made_past_the_constructor_is_inert(run_python, module, name):
    run_python(f"""
        import contextlib
        from kvpool._core.{module} import {name} as kind

        with contextlib.suppress(TypeError):
            forged = kind.__new__(kind)
            for use in (repr, memoryview, len, list):
                with contextlib.suppress(Exception):
                    use(forged)
            for attribute in dir(kind):
                if not attribute.startswith("__"):
                    with contextlib.suppress(Exception):
                        value = getattr(forged, attribute)
                        if callable(value):
                            value()
            del forged
        """)


def test_a_pool_cannot_be_made_again_in_place(pool, store, unchanged):
    held = store(pool, [1])
    with unchanged(pool):
        for arguments in ((4,), ()):
            try:
                pool.__init__(*arguments)
            except TypeError:
                continue
    assert pool.num_blocks == 16
    del held


def test_a_weak_reference_to_a_handle_is_not_needed_to_follow_it(pool, handles):
    for handle in handles:
        with pytest.raises(TypeError, match="weak reference"):
            weakref.ref(handle)


def test_corruption_is_an_error_of_its_own():
    assert issubclass(CorruptionError, kvpool.BlockPoolError)
    assert BlockPool(4).check_invariants() is None
