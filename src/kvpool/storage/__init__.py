"""The memory of blocks: layouts, storages, and what moves, fills and checks blocks."""

from kvpool.storage.block_checksums import BlockChecksums, block_checksums
from kvpool.storage.dtype import DType
from kvpool.storage.engines import flashinfer_layout, sglang_layout, vllm_layout
from kvpool.storage.external_storage import ExternalStorage
from kvpool.storage.fully_contiguous import FullyContiguous
from kvpool.storage.host_storage import HostStorage
from kvpool.storage.layer_separate import LayerSeparate
from kvpool.storage.layout import Layout
from kvpool.storage.layout_config import LayoutConfig
from kvpool.storage.mapped_file_storage import MappedFileStorage
from kvpool.storage.moving import block_runs, copy_blocks, copy_runs, gather_blocks, scatter_blocks
from kvpool.storage.null_storage import NullStorage
from kvpool.storage.outer_separate import OuterSeparate
from kvpool.storage.pinned_storage import PinnedStorage
from kvpool.storage.scrubbing import new_scrub_ledger, scrub_blocks
from kvpool.storage.shared_memory_storage import SharedMemoryStorage
from kvpool.storage.storage import Storage

__all__ = [
    "BlockChecksums",
    "DType",
    "ExternalStorage",
    "FullyContiguous",
    "HostStorage",
    "LayerSeparate",
    "Layout",
    "LayoutConfig",
    "MappedFileStorage",
    "NullStorage",
    "OuterSeparate",
    "PinnedStorage",
    "SharedMemoryStorage",
    "Storage",
    "block_checksums",
    "block_runs",
    "copy_blocks",
    "copy_runs",
    "flashinfer_layout",
    "gather_blocks",
    "new_scrub_ledger",
    "scatter_blocks",
    "scrub_blocks",
    "sglang_layout",
    "vllm_layout",
]
