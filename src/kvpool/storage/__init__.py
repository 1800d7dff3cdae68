"""The memory of blocks: layouts, storages, and what moves and wipes blocks."""

from kvpool.storage.dtype import DType
from kvpool.storage.fully_contiguous import FullyContiguous
from kvpool.storage.layer_separate import LayerSeparate
from kvpool.storage.layout import Layout
from kvpool.storage.layout_config import LayoutConfig
from kvpool.storage.outer_separate import OuterSeparate
from kvpool.storage.storage import Storage

__all__ = [
    "DType",
    "FullyContiguous",
    "LayerSeparate",
    "Layout",
    "LayoutConfig",
    "OuterSeparate",
    "Storage",
]
