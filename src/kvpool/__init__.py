"""The block pool of an LLM server's KV cache."""

from kvpool._core.block_sequence import BlockSequence
from kvpool._core.block_view import BlockView
from kvpool._core.hashing import block_hashes, positional_lineage_hashes, sequence_hashes
from kvpool._core.immutable_block import ImmutableBlock
from kvpool._core.immutable_blocks import ImmutableBlocks
from kvpool._core.mutable_block import MutableBlock
from kvpool._core.mutable_blocks import MutableBlocks
from kvpool._core.namespace import Namespace
from kvpool._core.pin import Pin
from kvpool._core.pool import BlockPool
from kvpool._core.scattered_blocks import ScatteredBlocks
from kvpool._core.sequence_batch import SequenceBatch
from kvpool._core.weak_block import WeakBlock
from kvpool.aio import AsyncBlockPool, Backoff
from kvpool.errors import (
    AllocationTimeout,
    BlockNotComplete,
    BlockPoolError,
    CorruptionError,
    ForeignHandle,
    IndexFileError,
    InvalidMutableBlock,
    NotEnoughBlocksAvailable,
    PinLimitExceeded,
    ResetError,
    StaleHandle,
    StorageInUse,
)
from kvpool.events import CallbackEventManager, EventManager, ListEventManager, NullEventManager
from kvpool.policies import EVICTION_POLICIES, Candidate, Candidates, EvictionPolicy
from kvpool.prefetch import Prefetch, Prefetcher
from kvpool.pressure import BackgroundEvictor
from kvpool.progress import ProgressEngine, Subscription
from kvpool.tokens import TokenBlock, TokenBlockSequence, keyed_salt_hash, router_salt_hash
from kvpool.types import (
    Admission,
    AgeHistogram,
    BlockState,
    BlockTable,
    CloseReport,
    EventBatch,
    EventStatistics,
    EvictedBlocks,
    EvictionMode,
    EvictionReason,
    Hold,
    LatencyHistogram,
    PoolEvent,
    PoolEventKind,
    PoolStatus,
    PrefetchStatistics,
    ResetBlocksResult,
    ReuseStatistics,
)

__all__ = [
    "EVICTION_POLICIES",
    "Admission",
    "AgeHistogram",
    "AllocationTimeout",
    "AsyncBlockPool",
    "BackgroundEvictor",
    "Backoff",
    "BlockNotComplete",
    "BlockPool",
    "BlockPoolError",
    "BlockSequence",
    "BlockState",
    "BlockTable",
    "BlockView",
    "CallbackEventManager",
    "Candidate",
    "Candidates",
    "CloseReport",
    "CorruptionError",
    "EventBatch",
    "EventManager",
    "EventStatistics",
    "EvictedBlocks",
    "EvictionMode",
    "EvictionPolicy",
    "EvictionReason",
    "ForeignHandle",
    "Hold",
    "ImmutableBlock",
    "ImmutableBlocks",
    "IndexFileError",
    "InvalidMutableBlock",
    "LatencyHistogram",
    "ListEventManager",
    "MutableBlock",
    "MutableBlocks",
    "Namespace",
    "NotEnoughBlocksAvailable",
    "NullEventManager",
    "Pin",
    "PinLimitExceeded",
    "PoolEvent",
    "PoolEventKind",
    "PoolStatus",
    "Prefetch",
    "PrefetchStatistics",
    "Prefetcher",
    "ProgressEngine",
    "ResetBlocksResult",
    "ResetError",
    "ReuseStatistics",
    "ScatteredBlocks",
    "SequenceBatch",
    "StaleHandle",
    "StorageInUse",
    "Subscription",
    "TokenBlock",
    "TokenBlockSequence",
    "WeakBlock",
    "block_hashes",
    "keyed_salt_hash",
    "positional_lineage_hashes",
    "router_salt_hash",
    "sequence_hashes",
]
