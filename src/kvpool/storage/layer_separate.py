"""Each layer in a place of its own."""

from __future__ import annotations

from kvpool.storage.layout import Layout
from kvpool.storage.layout_config import LayoutConfig

__all__ = ["LayerSeparate"]


class LayerSeparate(Layout):
    """One allocation for each layer, as attention kernels take them.

    Parameters
    ----------
    config : LayoutConfig
    outer_contiguous : bool, default True
        True: ``[outer][block][page][inner]``, all keys before all values. False: ``[block][outer][page][inner]``, the
        keys and values of a block side by side.

    Raises
    ------
    ValueError
        A product of the sizes is more than ``2**63 - 1`` bytes.
    """

    def __init__(self, config: LayoutConfig, *, outer_contiguous: bool = True) -> None:
        self.outer_contiguous = bool(outer_contiguous)
        super().__init__(config, "layer_outers" if outer_contiguous else "layer_blocks")

    def _part_axes(self) -> list[tuple[int, int]]:
        axes = [
            (self.config.outer_dim, self.geometry.outer_stride),
            (self.config.num_blocks, self.geometry.block_stride),
        ]
        return axes if self.outer_contiguous else axes[::-1]
