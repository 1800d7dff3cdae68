"""What the pool reports: states, reasons and snapshots."""

from kvpool.types.admission import Admission
from kvpool.types.age_histogram import AgeHistogram
from kvpool.types.block_state import BlockState
from kvpool.types.block_table import BlockTable
from kvpool.types.close_report import CloseReport
from kvpool.types.event_batch import EventBatch
from kvpool.types.event_statistics import EventStatistics
from kvpool.types.evicted_blocks import EvictedBlocks
from kvpool.types.eviction_mode import EvictionMode
from kvpool.types.eviction_reason import EvictionReason
from kvpool.types.hold import Hold
from kvpool.types.latency_histogram import LatencyHistogram
from kvpool.types.pool_event import PoolEvent, PoolEventKind
from kvpool.types.pool_status import PoolStatus
from kvpool.types.prefetch_statistics import PrefetchStatistics
from kvpool.types.reset_blocks_result import ResetBlocksResult
from kvpool.types.reuse_statistics import ReuseStatistics

__all__ = [
    "Admission",
    "AgeHistogram",
    "BlockState",
    "BlockTable",
    "CloseReport",
    "EventBatch",
    "EventStatistics",
    "EvictedBlocks",
    "EvictionMode",
    "EvictionReason",
    "Hold",
    "LatencyHistogram",
    "PoolEvent",
    "PoolEventKind",
    "PoolStatus",
    "PrefetchStatistics",
    "ResetBlocksResult",
    "ReuseStatistics",
]
