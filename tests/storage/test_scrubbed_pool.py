"""Whoever is handed blocks reads zeros, or what was his own: by each rule, whichever call hands them out."""

import asyncio

import numpy as np
import pytest

from kvpool import AsyncBlockPool, BlockPool, SequenceBatch, StaleHandle
from kvpool.storage import FullyContiguous, HostStorage, LayerSeparate, LayoutConfig, NullStorage

NUM_BLOCKS, BLOCK_SIZE = 16, 4
PATIENCE = 30.0  # seconds that a test waits at most


def new_storage(kind=FullyContiguous, **options):
    config = LayoutConfig(NUM_BLOCKS, 2, 2, BLOCK_SIZE, 6, "uint8", 32)
    return HostStorage(kind(config, **options))


def new_pool(scrub=None, kind=FullyContiguous, max_namespaces=2, **options):
    pool = BlockPool(
        NUM_BLOCKS, BLOCK_SIZE, max_namespaces=max_namespaces, storage=new_storage(kind, **options), scrub=scrub
    )
    for name in ("acme", "other")[:max_namespaces]:
        pool.namespace(name)
    return pool


def layers(pool):
    """Every byte of every block: an array for each layer and outer, over all blocks."""
    return [np.from_dlpack(pool.layer_view(layer, outer)) for layer in (0, 1) for outer in (0, 1)]


def write(pool, ids, value):
    for layer in layers(pool):
        layer[np.asarray(ids)] = value


def values(pool, ids):
    """The values that the blocks have anywhere."""
    return {int(value) for layer in layers(pool) for value in np.unique(layer[np.asarray(ids)])}


def dirty(pool, namespace="acme"):
    """Have a namespace write to all blocks, each its own value, and give them back."""
    with pool.allocate_blocks(NUM_BLOCKS, namespace=namespace) as blocks:
        for block_id in blocks.ids.tolist():
            write(pool, [block_id], 100 + block_id)


def open_for(pool, tokens, namespace):
    return pool.open_sequence(range(1000, 1000 + tokens), namespace=namespace)


def by_allocation(pool, namespace):
    return pool.allocate_blocks(3, namespace=namespace), slice(0, 3)


def by_opening(pool, namespace):
    return open_for(pool, 11, namespace), slice(0, 3)


def by_appending(pool, namespace):
    sequence = open_for(pool, 3, namespace)
    write(pool, sequence.block_table[:1], 55)
    sequence.append_tokens(range(9))
    return sequence, slice(1, 3)


def by_reserving(pool, namespace):
    sequence = open_for(pool, 3, namespace)
    write(pool, sequence.block_table[:1], 55)
    sequence.reserve(9)
    return sequence, slice(1, 3)


def by_resuming(pool, namespace):
    sequence = open_for(pool, 11, namespace)
    sequence.preempt()
    dirty(pool)
    sequence.resume()
    return sequence, slice(0, 3)


WAYS = [by_allocation, by_opening, by_appending, by_reserving, by_resuming]


def ids_of(handle):
    return (handle.ids if hasattr(handle, "ids") else handle.block_table).tolist()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    "layout", [(FullyContiguous, {}), (LayerSeparate, {"outer_contiguous": True}), (LayerSeparate, {})]
)
def test_blocks_of_another_namespace_are_zeros_and_their_neighbours_as_they_were(way, layout):
    kind, options = layout
    pool = new_pool(kind=kind, **options)
    assert pool.scrub == "namespaces"
    dirty(pool)
    handle, fresh = way(pool, "other")
    ids = ids_of(handle)
    assert values(pool, ids[fresh]) == {0}
    for block_id in set(range(NUM_BLOCKS)) - set(ids):
        assert values(pool, [block_id]) == {100 + block_id}
    handle.release()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_blocks_of_the_same_namespace_are_left_as_they_were(way):
    pool = new_pool()
    dirty(pool)
    handle, fresh = way(pool, "acme")
    assert 0 not in values(pool, ids_of(handle)[fresh])
    handle.release()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_block_that_is_handed_out_is_zeros_by_the_rule_allocate(way):
    pool = new_pool("allocate")
    dirty(pool)
    handle, fresh = way(pool, "acme")
    assert values(pool, ids_of(handle)[fresh]) == {0}
    handle.release()


def test_a_row_of_a_batch_gets_zeros():
    pool = new_pool()
    dirty(pool)
    batch = SequenceBatch(pool, max_sequences=2, max_blocks_per_sequence=4)
    first, second = open_for(pool, 4, "other"), open_for(pool, 6, "acme")
    batch.add(first)
    batch.add(second)
    batch.append([1, 1])
    assert len(first.block_table) == 2
    assert values(pool, first.block_table[1:]) == {0}
    assert 0 not in values(pool, second.block_table[1:])


def test_a_fork_and_a_copy_after_a_cut_get_zeros_to_copy_to():
    pool = new_pool()
    dirty(pool)
    first = open_for(pool, 10, "other")
    first.commit(10)
    second, copies = first.fork()
    assert values(pool, copies[:, 1]) == {0}
    write(pool, second.block_table, 9)
    third = open_for(pool, 10, "other")
    pairs = third.truncate(6)
    assert pairs.shape == (1, 2)
    assert values(pool, pairs[:, 1]) == {0}
    for sequence in (first, second, third):
        sequence.release()


def test_who_waited_in_a_loop_gets_zeros():
    pool = new_pool()

    async def wait():
        held = pool.allocate_blocks(NUM_BLOCKS, namespace="acme")
        write(pool, held.ids, 77)
        task = asyncio.create_task(AsyncBlockPool(pool).allocate_blocks(3, timeout=PATIENCE, namespace="other"))
        while pool.status().waiting == 0:
            await asyncio.sleep(0)
        held.release()
        return await task

    blocks = asyncio.run(wait())
    assert values(pool, blocks.ids) == {0}


def test_what_is_released_is_zeros_by_the_rule_free_unless_a_view_shows_it():
    pool = new_pool("free", max_namespaces=0)
    with pool.allocate_blocks(4) as blocks:
        ids = blocks.ids.tolist()
        write(pool, ids, 5)
        assert values(pool, ids) == {5}
    assert values(pool, ids) == {0}
    with pool.allocate_blocks(4) as blocks:
        ids = blocks.ids.tolist()
        write(pool, ids, 6)
        shown = np.from_dlpack(blocks[0].layer_view(0, 0))
    assert set(np.unique(shown)) == {6}
    del shown
    with pool.allocate_blocks(4) as blocks:
        assert values(pool, blocks.ids) == {0}


def test_what_was_evicted_is_zeros_when_it_is_handed_out_by_the_rule_free():
    pool = new_pool("free", max_namespaces=0)
    fresh = pool.allocate_blocks(NUM_BLOCKS)
    write(pool, fresh.ids, 5)
    pool.register_blocks(fresh, range(1, NUM_BLOCKS + 1)).release()
    with pool.match_sequence_hashes([1, 2]) as cached:
        assert values(pool, cached.ids) == {5}
    with pool.allocate_blocks(3) as blocks:
        assert values(pool, blocks.ids) == {0}


def test_nothing_is_filled_by_the_rule_never_nor_in_a_pool_of_one_tenant():
    for pool in (new_pool("never"), new_pool(max_namespaces=0)):
        assert pool.scrub == "never"
        with pool.allocate_blocks(NUM_BLOCKS) as blocks:
            write(pool, blocks.ids, 5)
        with pool.allocate_blocks(3) as blocks:
            assert values(pool, blocks.ids) == {5}


def test_rules_that_cannot_be_kept_are_refused():
    with pytest.raises(ValueError, match="rule = 'often' is not one of"):
        new_pool("often")
    with pytest.raises(ValueError, match="scrub = 'allocate', but there is no storage"):
        BlockPool(4, scrub="allocate")
    config = LayoutConfig(NUM_BLOCKS, 2, 2, BLOCK_SIZE, 6, "uint8", 32)
    device = NullStorage(FullyContiguous(config), device=(2, 0))
    with pytest.raises(ValueError, match="needs a scrub_hook"):
        BlockPool(NUM_BLOCKS, BLOCK_SIZE, storage=device, scrub="allocate")
    assert BlockPool(NUM_BLOCKS, BLOCK_SIZE, storage=device, max_namespaces=2).scrub == "never"


def test_a_device_is_filled_by_its_hook():
    config = LayoutConfig(NUM_BLOCKS, 2, 2, BLOCK_SIZE, 6, "uint8", 32)
    device = NullStorage(FullyContiguous(config), device=(2, 0))
    filled = []
    device.scrub_hook = lambda storage, ids: filled.extend(ids.tolist())
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE, storage=device, scrub="allocate")
    with pool.allocate_blocks(3) as blocks:
        ids = blocks.ids.tolist()
    assert filled == ids


@pytest.fixture
def device_pool():
    """A pool of a device, and a list of what its hook does: functions of the ids, one for each call, then nothing."""
    config = LayoutConfig(NUM_BLOCKS, 2, 2, BLOCK_SIZE, 6, "uint8", 32)
    device = NullStorage(FullyContiguous(config), device=(2, 0))
    to_do, asked = [], []

    def fill(storage, ids):
        asked.extend(ids.tolist())
        if to_do:
            to_do.pop(0)(ids)

    device.scrub_hook = fill
    pool = BlockPool(NUM_BLOCKS, BLOCK_SIZE, storage=device, scrub="namespaces", max_namespaces=1)
    pool.namespace("acme")
    yield pool, to_do, asked
    pool.check_invariants()
    assert not to_do  # all of it was called
    assert pool.available_blocks == NUM_BLOCKS
    assert not pool.outstanding()


def be_ill(ids):
    raise RuntimeError("the device is ill")


def grow(sequence):
    sequence.append_tokens(range(2 * BLOCK_SIZE))


def take_back(sequence):
    sequence.truncate(BLOCK_SIZE + 1)


def take_room(sequence):
    sequence.reserve(2 * BLOCK_SIZE)


def open_two(pool):
    """Two sequences that share two blocks, the second of which is continued by one of them."""
    sequence = open_for(pool, 2 * BLOCK_SIZE, "acme")
    sequence.commit(2 * BLOCK_SIZE)
    return sequence, open_for(pool, 2 * BLOCK_SIZE + 1, "acme")


@pytest.mark.parametrize("change", [grow, take_back, take_room])
def test_a_sequence_whose_blocks_could_not_be_filled_has_them_and_they_are_filled_next_time(device_pool, change):
    pool, to_do, asked = device_pool
    sequence, other = open_two(pool)
    before = set(sequence.block_table.tolist())
    to_do.append(be_ill)
    with pytest.raises(RuntimeError, match="the device is ill"):
        change(sequence)
    pool.check_invariants()
    unfilled = set(sequence.block_table.tolist()) - before
    assert unfilled
    assert sum(hold.blocks for hold in pool.outstanding()) == len(sequence.block_table) + len(other.block_table)
    sequence.release()
    other.release()
    asked.clear()
    with pool.allocate_blocks(NUM_BLOCKS, namespace="acme"):
        assert unfilled <= set(asked)


@pytest.mark.parametrize("call", [by_allocation, by_opening])
def test_a_call_that_could_not_fill_blocks_has_given_them_back(device_pool, call):
    pool, to_do, _ = device_pool
    to_do.append(be_ill)
    with pytest.raises(RuntimeError, match="the device is ill"):
        call(pool, "acme")


@pytest.mark.parametrize("change", [grow, take_back, take_room])
def test_a_hook_may_release_the_sequence_that_it_fills_for(device_pool, change):
    pool, to_do, _ = device_pool
    sequence, other = open_two(pool)
    to_do.append(lambda ids: sequence.release())
    change(sequence)
    assert sequence.released
    other.release()


def test_a_hook_may_release_the_sequence_that_is_resumed(device_pool):
    pool, to_do, _ = device_pool
    sequence, other = open_two(pool)
    other.release()
    sequence.append_tokens(range(3))
    sequence.preempt()
    with pool.allocate_blocks(NUM_BLOCKS):  # in another namespace, so that all must be filled
        pass
    to_do.append(lambda ids: sequence.release())
    with pytest.raises(StaleHandle, match="released"):
        sequence.resume()


def test_a_hook_may_take_the_rows_away_that_it_fills_for(device_pool):
    pool, to_do, asked = device_pool
    batch = SequenceBatch(pool, 4, NUM_BLOCKS)
    rows = [open_for(pool, BLOCK_SIZE, namespace) for namespace in ("acme", None, "acme")]
    for sequence in rows:
        batch.add(sequence)

    def take_away(ids):
        while len(batch):
            batch.remove(0)
        for sequence in rows:
            sequence.release()

    to_do.append(take_away)
    asked.clear()
    batch.append(np.arange(3))
    assert len(batch) == 0
    assert len(asked) == 3
