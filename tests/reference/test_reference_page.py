"""The page of the reference design, snippet by snippet, in Python.

Dynamo's Block Pool page shows its pool in twenty-six snippets of Rust. Each test says in its docstring which section it
runs, in the page's order; `test_page_coverage.py` has the list, and what is not there yet.
"""

import asyncio
import threading
import time

import numpy as np
import pytest

from kvpool import (
    AllocationTimeout,
    AsyncBlockPool,
    Backoff,
    BlockNotComplete,
    BlockPool,
    BlockPoolError,
    BlockState,
    EventManager,
    EvictionMode,
    EvictionPolicy,
    InvalidMutableBlock,
    NotEnoughBlocksAvailable,
    PoolEventKind,
    sequence_hashes,
)
from kvpool.metrics import BlockManagerMetrics
from kvpool.storage import FullyContiguous, HostStorage, LayoutConfig


@pytest.fixture
def pool():
    return BlockPool(num_blocks=16, block_size=4)


def prompt(num_blocks, first=0):
    """Tokens of num_blocks blocks of four."""
    return list(range(first, first + 4 * num_blocks))


def cache(pool, hashes, **retention):
    """Register blocks under the hashes and let them go."""
    pool.register_blocks(pool.allocate_blocks(len(hashes)), hashes, **retention).release()


def test_allocated_blocks_are_a_list_of_that_length(pool):
    """Core Operations / Block Allocation"""
    blocks = pool.allocate_blocks(4)
    assert len(blocks) == 4
    assert blocks.ids.dtype == np.int32
    assert all(pool.block_state(block.id) == BlockState.ALLOCATED for block in blocks)


def test_coroutines_allocate_as_well(pool):
    """Core Operations / Block Allocation"""
    blocks = asyncio.run(AsyncBlockPool(pool).allocate_blocks(4))
    assert len(blocks) == 4


def test_registered_blocks_tell_their_sequence_hashes(pool):
    """Core Operations / Block Registration"""
    mutable = pool.allocate_blocks(4).fill(prompt(4))
    immutable = pool.register_blocks(mutable)
    assert len(immutable) == 4
    hashes = [block.sequence_hash for block in immutable]
    assert hashes == sequence_hashes(prompt(4), block_size=4).tolist() == immutable.sequence_hashes.tolist()


@pytest.mark.parametrize("num_cached", [4, 3, 0])
def test_match_finds_as_much_of_the_prefix_as_is_cached(pool, num_cached):
    """Core Operations / Block Matching"""
    hashes = sequence_hashes(prompt(4), block_size=4)
    cache(pool, hashes[:num_cached])
    matched = pool.match_sequence_hashes(hashes)
    assert len(matched) == num_cached
    assert matched.sequence_hashes.tolist() == hashes[:num_cached].tolist()


def test_new_pool_has_all_its_blocks_available():
    """Pool Configuration / Basic Pool Setup"""
    pool = BlockPool(num_blocks=128, block_size=32)
    assert (pool.total_blocks, pool.available_blocks, pool.block_size) == (128, 128, 32)


def test_named_pool_remembers_events_and_counts():
    """Pool Configuration / Advanced Pool Configuration"""
    pool = BlockPool(num_blocks=16, block_size=4, event_capacity=64, name="my_pool")
    cache(pool, [1, 2])
    assert pool.name == "my_pool"
    assert [event.kind for event in pool.events()] == [PoolEventKind.STORED, PoolEventKind.STORED]
    assert pool.status().registrations == 2


def test_a_pool_is_given_its_event_manager_and_its_metrics():
    """Pool Configuration / Advanced Pool Configuration"""

    class MyEventManager(EventManager):
        def __init__(self):
            self.stored = []

        def publish(self, batch):
            self.stored += [event.sequence_hash for event in batch if event.kind == PoolEventKind.STORED]

    manager, metrics = MyEventManager(), BlockManagerMetrics()
    pool = BlockPool(16, 4, event_manager=manager, pool_metrics=metrics.pool("my_pool"))
    cache(pool, [1, 2])
    pool.close()
    assert manager.stored == [1, 2]
    assert metrics.pool("my_pool").read().status.registrations == 2


def test_mutable_blocks_are_filled_one_by_one(pool):
    """Block Lifecycle Management / 1. Allocation Phase"""
    mutable = pool.allocate_blocks(3)
    kv_data = np.zeros((pool.num_blocks, 4))
    parent = None
    for position, block in enumerate(mutable):
        kv_data[block.id] = position + 1  # the memory is the caller's, the id says where
        block.init_sequence(parent=parent)
        block.add_tokens(prompt(1, first=4 * position))
        block.commit()
        parent = block.sequence_hash
    assert all(block.is_complete for block in mutable)
    assert kv_data[mutable.ids, 0].tolist() == [1, 2, 3]
    assert [block.sequence_hash for block in mutable] == sequence_hashes(prompt(3), block_size=4).tolist()


def test_registered_blocks_are_immutable_and_can_be_shared(pool):
    """Block Lifecycle Management / 2. Registration Phase"""
    mutable = pool.allocate_blocks(3).fill(prompt(3))
    immutable = pool.register_blocks(mutable)
    stored = [block.sequence_hash for block in immutable]
    assert mutable.released
    with pytest.raises(InvalidMutableBlock):
        mutable[0].add_token(1)
    shared = pool.match_sequence_hashes(stored)
    assert shared.ids.tolist() == immutable.ids.tolist()
    immutable.release()
    assert all(block.state == BlockState.ACTIVE for block in shared)


def test_matched_blocks_lead_to_the_data_that_was_put_there(pool):
    """Block Lifecycle Management / 3. Usage Phase"""
    sizes = LayoutConfig(pool.num_blocks, num_layers=2, outer_dim=2, page_size=4, inner_dim=8, dtype="float32")
    pool.attach_storage(HostStorage(FullyContiguous(sizes)))
    hashes = sequence_hashes(prompt(3), block_size=4)
    mutable = pool.allocate_blocks(3)
    for number, block in enumerate(mutable):
        np.from_dlpack(block.layer_view(0, 0))[:] = number
        np.from_dlpack(block.block_view())[1] = 10 + number
    pool.register_blocks(mutable, hashes).release()
    matched = pool.match_sequence_hashes(hashes)
    assert [np.from_dlpack(block.layer_view(0, 0)).tolist() for block in matched] == [[[n] * 8] * 4 for n in range(3)]
    assert [float(np.from_dlpack(block.block_view())[1].max()) for block in matched] == [10, 11, 12]


def test_dropped_blocks_are_back_before_the_next_statement(pool):
    """Block Lifecycle Management / 4. Cleanup Phase"""
    blocks = pool.allocate_blocks(16)
    assert pool.available_blocks == 0
    del blocks
    with pool.register_blocks(pool.allocate_blocks(16).fill(prompt(16))) as blocks:
        assert pool.available_blocks == 0
    assert blocks.released
    assert pool.available_blocks == 16
    assert len(pool.match_sequence_hashes(sequence_hashes(prompt(16), block_size=4))) == 16


def test_least_recently_used_block_is_evicted_first():
    """Eviction Strategies / LRU (Least Recently Used)"""
    pool = BlockPool(num_blocks=3)
    for one in (1, 2, 3):
        cache(pool, [one])
    pool.match_sequence_hashes([1]).release()  # used again: now the most recent one
    assert pool.allocate_blocks(1).evicted.sequence_hashes.tolist() == [2]
    assert pool.contains([1, 2, 3]).tolist() == [True, False, True]


def test_block_of_lower_priority_is_evicted_first():
    """Eviction Strategies / Priority-Based Eviction"""
    pool = BlockPool(num_blocks=3)
    for one, priority in ((1, 80), (2, 10), (3, None)):
        cache(pool, [one], priority=priority)
    assert pool.allocate_blocks(3).evicted.sequence_hashes.tolist() == [2, 3, 1]


def test_cached_blocks_stay_until_an_allocation_needs_their_room():
    """Eviction Strategies / Memory Pressure Eviction"""
    pool = BlockPool(num_blocks=4)
    cache(pool, [1], priority=90)
    cache(pool, [2], priority=5)
    relaxed = pool.allocate_blocks(2)  # empty blocks go first
    assert relaxed.evicted.num_blocks == 0
    assert pool.allocate_blocks(1).evicted.sequence_hashes.tolist() == [2]
    assert pool.contains([1, 2]).tolist() == [True, False]


def test_hit_rate_is_blocks_found_for_each_hash_asked(pool):
    """Performance Optimizations / Block Reuse"""
    assert pool.cache_hit_rate == 0.0
    cache(pool, [1, 2, 3])
    pool.match_sequence_hashes([1, 2, 3, 4])
    assert pool.cache_hit_rate == 0.75
    assert f"Cache hit rate: {pool.cache_hit_rate:.2%}" == "Cache hit rate: 75.00%"


def test_usage_rate_is_the_share_of_blocks_in_use(pool):
    """Performance Optimizations / Memory Efficiency"""
    held = pool.allocate_blocks(4)
    used = pool.total_blocks - pool.available_blocks
    assert used == len(held)
    assert pool.usage_rate == used / pool.total_blocks == 0.25


def test_coroutines_allocate_register_and_match(pool):
    """Performance Optimizations / Async Operations"""

    async def serve(pool):
        mutable = await pool.allocate_blocks(10)
        immutable = await pool.register_blocks(mutable.fill(prompt(10)))
        matched = await pool.match_sequence_hashes(immutable.sequence_hashes)
        return len(immutable), len(matched)

    assert asyncio.run(serve(AsyncBlockPool(pool))) == (10, 10)


def test_failed_allocation_says_how_many_there_are_and_that_many_can_be_had(pool):
    """Error Handling / Allocation Errors"""
    held = pool.allocate_blocks(10, owner="another")
    with pytest.raises(NotEnoughBlocksAvailable, match="requested 8 blocks, but 6 are available") as caught:
        pool.allocate_blocks(8)
    error = caught.value
    assert (error.requested, error.available) == (8, 6)
    assert [(hold.owner, hold.blocks) for hold in error.holders] == [("another", len(held))]
    partial = pool.allocate_blocks(error.available)
    assert len(partial) == 6
    assert isinstance(error, BlockPoolError)


def test_incomplete_blocks_and_blocks_registered_before_are_refused(pool):
    """Error Handling / Registration Errors"""
    half = pool.allocate_blocks(1).fill([1, 2])
    with pytest.raises(BlockNotComplete):
        pool.register_blocks(half)
    half[0].add_tokens([3, 4])
    half[0].commit()
    assert len(pool.register_blocks(half)) == 1  # the failure changed nothing
    with pytest.raises(InvalidMutableBlock, match="registered or released"):
        pool.register_blocks(half)
    with pytest.raises(BlockPoolError):
        pool.register_blocks(pool.allocate_blocks(1))


def test_status_is_one_moment_and_adds_up(pool):
    """Monitoring and Metrics / Pool Metrics"""
    cache(pool, [1, 2, 3])
    held = pool.allocate_blocks(2)
    status = pool.status()
    assert status.total == status.empty + status.cached + status.active == pool.total_blocks
    assert (status.cached, status.active, status.available) == (3, len(held), pool.available_blocks)
    assert status.total - status.available == 2


def test_allocation_of_a_hundred_blocks_can_be_timed():
    """Monitoring and Metrics / Performance Metrics"""
    pool = BlockPool(num_blocks=128)
    start = time.perf_counter()
    blocks = pool.allocate_blocks(100)
    duration = time.perf_counter() - start
    assert len(blocks) == 100
    assert duration / 100 < 1e-3  # seconds a block; benchmarks/ has figures


def test_threads_share_a_pool_without_sharing_a_block():
    """Thread Safety"""
    pool = BlockPool(num_blocks=8, block_size=4)
    taken, all_hold, may_go = [], threading.Barrier(5), threading.Barrier(5)

    def task():
        blocks = pool.allocate_blocks(2)
        taken.extend(blocks.ids.tolist())
        all_hold.wait(60)
        may_go.wait(60)

    tasks = [threading.Thread(target=task) for _ in range(4)]
    for one in tasks:
        one.start()
    all_hold.wait(60)
    assert sorted(taken) == list(range(8))
    assert pool.available_blocks == 0
    may_go.wait(60)
    for one in tasks:
        one.join()
    assert pool.available_blocks == 8


def test_a_policy_says_which_blocks_should_go():
    """Advanced Features / Custom Eviction Policies"""

    class CustomEvictionPolicy(EvictionPolicy):
        def should_evict(self, block):
            return block.last_access_time < now - 300

    now = 0.0
    pool = BlockPool(num_blocks=3, eviction=CustomEvictionPolicy(), clock=lambda: now)
    cache(pool, [1])
    now = 400.0
    cache(pool, [2])
    cache(pool, [3])
    pool.retain([1], priority=90)  # LRU with priorities would keep it
    assert pool.allocate_blocks(1).evicted.sequence_hashes.tolist() == [1]


def test_predicted_blocks_are_held_and_the_missing_ones_allocated(pool):
    """Advanced Features / Block Prefetching"""

    def prefetch(predicted):
        matched = pool.match_sequence_hashes(predicted)
        missing = pool.allocate_blocks(len(predicted) - len(matched))
        return matched + pool.register_blocks(missing, predicted[len(matched) :])  # after computing them

    predicted = sequence_hashes(prompt(6), block_size=4)
    cache(pool, predicted[:4])
    ready = prefetch(predicted)
    assert ready.sequence_hashes.tolist() == predicted.tolist()
    assert pool.status().evictions == 0


def test_a_loader_computes_and_registers_what_is_missing(pool):
    """Advanced Features / Block Prefetching"""
    predicted = sequence_hashes(prompt(4), block_size=4)
    cache(pool, predicted[:2])
    pool.prefetcher.loader = lambda blocks, hashes: len(blocks)  # pre-computes them

    async def prefetch_blocks(pool, predicted_hashes):
        return await pool.prefetch(predicted_hashes, wait=True)

    prefetched = asyncio.run(prefetch_blocks(AsyncBlockPool(pool), predicted))
    assert (prefetched.num_cached, prefetched.num_loaded) == (2, 2)
    assert len(pool.match_sequence_hashes(predicted)) == 4
    pool.close()


def test_pressure_is_met_by_evicting_more_or_less(pool):
    """Advanced Features / Memory Pressure Handling"""

    def handle_memory_pressure(pool):
        usage = pool.usage_rate
        if usage > 0.9:
            return pool.trigger_eviction(EvictionMode.AGGRESSIVE)
        if usage > 0.7:
            return pool.trigger_eviction(EvictionMode.NORMAL)
        return None

    cache(pool, [1])
    cache(pool, [2])
    assert handle_memory_pressure(pool) is None
    held = [pool.allocate_blocks(12)]
    assert handle_memory_pressure(pool).sequence_hashes.tolist() == [1, 2]
    cache(pool, [3])
    held.append(pool.allocate_blocks(3))
    assert handle_memory_pressure(pool).sequence_hashes.tolist() == [3]


def test_usage_rate_tells_high_pressure_from_moderate(pool):
    """Advanced Features / Memory Pressure Handling"""

    def pressure():
        usage = pool.usage_rate
        return "high" if usage > 0.9 else "moderate" if usage > 0.7 else "low"

    held = [pool.allocate_blocks(8)]
    assert pressure() == "low"
    held.append(pool.allocate_blocks(4))
    assert pressure() == "moderate"
    held.append(pool.allocate_blocks(3))
    assert pressure() == "high"
    held.clear()
    assert pressure() == "low"


def test_only_what_is_missing_is_allocated(pool):
    """Best Practices / 1. Efficient Block Usage"""
    hashes = sequence_hashes(prompt(5), block_size=4)
    cache(pool, hashes[:3])
    matched = pool.match_sequence_hashes(hashes)
    fresh = pool.allocate_blocks(len(hashes) - len(matched))
    assert (len(matched), len(fresh)) == (3, 2)
    fresh = pool.register_blocks(fresh, hashes[len(matched) :])
    row = np.concatenate([matched.ids, fresh.ids])
    assert row.dtype == np.int32
    assert len(set(row.tolist())) == 5
    assert len(pool.match_sequence_hashes(hashes)) == 5


def test_health_is_read_from_two_properties(pool):
    """Best Practices / 2. Memory Management"""

    def warnings():
        found = []
        if pool.usage_rate > 0.8:
            found.append("high memory usage")
        if pool.cache_hit_rate < 0.5:
            found.append("low cache hit rate")
        return found

    cache(pool, [1])
    held = [pool.match_sequence_hashes([1])]
    assert warnings() == []
    held.append(pool.match_sequence_hashes([2, 3]))
    assert warnings() == ["low cache hit rate"]
    held.append(pool.allocate_blocks(13))
    assert warnings() == ["high memory usage", "low cache hit rate"]


def test_allocation_is_tried_again_until_blocks_come_back(pool):
    """Best Practices / 3. Error Recovery"""
    held = [pool.allocate_blocks(16)]

    def robust_allocation(count, max_retries=3):
        for retry in range(max_retries + 1):
            try:
                return pool.allocate_blocks(count)
            except NotEnoughBlocksAvailable:
                if retry == max_retries:
                    raise
                time.sleep(0.001 * 2**retry)
                if retry == 1:
                    held.clear()  # another request ends
        raise AssertionError

    assert len(robust_allocation(4)) == 4
    held.append(pool.allocate_blocks(16))
    with pytest.raises(NotEnoughBlocksAvailable):
        robust_allocation(1, max_retries=0)


def test_allocation_with_a_timeout_waits_for_blocks_to_come_back(pool):
    """Best Practices / 3. Error Recovery"""
    held = [pool.allocate_blocks(16)]
    with pytest.raises(AllocationTimeout) as caught:
        pool.allocate_blocks(4, timeout=0.01)
    assert isinstance(caught.value, TimeoutError)
    another_request = threading.Timer(0.02, held.clear)
    another_request.start()
    assert len(pool.allocate_blocks(4, timeout=60)) == 4
    another_request.join()


def test_coroutines_back_off_or_wait_in_turn(pool):
    """Best Practices / 3. Error Recovery"""
    held = [pool.allocate_blocks(16)]

    async def robust_block_allocation(pool, count):
        backoff = asyncio.create_task(pool.allocate_blocks(count, retry=Backoff(retries=3, initial=0.001)))
        with pytest.raises(NotEnoughBlocksAvailable):
            await backoff
        waiting = asyncio.create_task(pool.allocate_blocks(count, timeout=60))
        await asyncio.sleep(0)
        held.clear()  # another request ends
        return await waiting

    assert len(asyncio.run(robust_block_allocation(AsyncBlockPool(pool), 4))) == 4
