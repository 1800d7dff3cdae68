"""All layers of a block in one place."""

from __future__ import annotations

from kvpool.storage.layout import Layout
from kvpool.storage.layout_config import LayoutConfig

__all__ = ["FullyContiguous"]


class FullyContiguous(Layout):
    """One allocation, ``[block][layer][outer][page][inner]``: a block is one piece, which suits sends and disks.

    Parameters
    ----------
    config : LayoutConfig

    Raises
    ------
    ValueError
        A product of the sizes is more than ``2**63 - 1`` bytes.

    Examples
    --------
    >>> from kvpool.storage import FullyContiguous, LayoutConfig
    >>> layout = FullyContiguous(LayoutConfig(8, num_layers=2, outer_dim=2, page_size=16, inner_dim=512))
    >>> layout.region(block=3, layer=1, outer=0)
    (0, 229376, 16384)
    """

    def __init__(self, config: LayoutConfig) -> None:
        super().__init__(config, "contiguous")

    def _part_axes(self) -> list[tuple[int, int]]:
        config, geometry = self.config, self.geometry
        return [
            (config.num_blocks, geometry.block_stride),
            (config.num_layers, geometry.layer_stride),
            (config.outer_dim, geometry.outer_stride),
        ]
