"""What users write, checked by ``mypy --strict``; never run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

from kvpool import (
    AsyncBlockPool,
    Backoff,
    BlockPool,
    BlockState,
    BlockTable,
    CloseReport,
    EventBatch,
    EventManager,
    EventStatistics,
    EvictedBlocks,
    Hold,
    ImmutableBlock,
    ImmutableBlocks,
    LatencyHistogram,
    MutableBlock,
    MutableBlocks,
    NotEnoughBlocksAvailable,
    PoolEvent,
    Prefetch,
    PrefetchStatistics,
    ScatteredBlocks,
    Subscription,
    TokenBlockSequence,
    sequence_hashes,
)
from kvpool.metrics import BlockManagerMetrics


def admit(pool: BlockPool, tokens: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    hashes = assert_type(sequence_hashes(tokens, block_size=pool.block_size), npt.NDArray[np.uint64])
    cached = assert_type(pool.match_sequence_hashes(hashes, owner="request-1"), ImmutableBlocks)
    fresh = assert_type(pool.allocate_blocks(len(hashes) - len(cached), timeout=1.0), MutableBlocks)
    assert_type(fresh.evicted, EvictedBlocks)
    filled = pool.register_blocks(fresh, hashes[len(cached) :], parent=cached, priority=80, ttl=60)
    assert_type(filled[0], ImmutableBlock)
    assert_type(filled[:2] + cached, ImmutableBlocks)
    return np.concatenate([cached.ids, filled.ids])


def fill_one(pool: BlockPool) -> None:
    with pool.allocate_blocks(1) as blocks:
        block = assert_type(blocks[0], MutableBlock)
        block.init_sequence(salt_hash=1337)
        block.add_tokens([1, 2, 3])
        assert_type(block.pop_token(), int)
        assert_type(block.state, BlockState)


def look(pool: BlockPool) -> None:
    found = assert_type(pool.match_scattered(TokenBlockSequence(range(64))), ScatteredBlocks)
    assert_type(found[0], ImmutableBlock | None)
    assert_type(pool.contains([1, 2]), npt.NDArray[np.bool_])
    assert_type(pool.outstanding(), list[Hold])
    try:
        pool.allocate_blocks(10**6)
    except NotEnoughBlocksAvailable as error:
        assert_type(error.requested, int)


async def serve(pool: BlockPool, hashes: npt.NDArray[np.uint64]) -> None:
    shared = AsyncBlockPool(pool)
    fresh = assert_type(await shared.allocate_blocks(2, timeout=1.0, owner="request-1"), MutableBlocks)
    assert_type(await shared.register_blocks(fresh, hashes[:2]), ImmutableBlocks)
    assert_type(await shared.allocate_blocks(2, retry=Backoff(retries=3)), MutableBlocks)
    prefetch = assert_type(await shared.prefetch(hashes, wait=True), Prefetch)
    cached, reserved = prefetch.take()
    assert_type(cached, ImmutableBlocks)
    assert_type(reserved, MutableBlocks)
    assert_type(pool.prefetcher.statistics(), PrefetchStatistics)


class MyEventManager(EventManager):
    def publish(self, batch: EventBatch) -> None:
        for event in batch:
            assert_type(event, PoolEvent)
            assert_type(event.token_ids, tuple[int, ...] | None)


def follow(metrics: BlockManagerMetrics) -> None:
    with BlockPool(64, event_manager=MyEventManager(), pool_metrics=metrics.pool("my_pool")) as pool:
        assert_type(pool, BlockPool)
        subscription = assert_type(pool.subscribe(lambda batch: batch.first, snapshot=True), Subscription)
        assert_type(subscription.missed, int)
        assert_type(pool.snapshot(), EventBatch)
        assert_type(pool.event_statistics(), EventStatistics)
        assert_type(pool.latencies(), dict[str, LatencyHistogram])
        assert_type(pool.blocks(), BlockTable)
        assert_type(pool.close(), CloseReport)
    assert_type(metrics.exposition(), bytes)
