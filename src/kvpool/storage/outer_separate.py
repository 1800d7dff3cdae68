"""The keys and the values of each layer in places of their own."""

from __future__ import annotations

from kvpool.storage.layout import Layout
from kvpool.storage.layout_config import LayoutConfig

__all__ = ["OuterSeparate"]


class OuterSeparate(Layout):
    """One allocation for each layer and outer index, ``[block][page][inner]``: part ``layer * outer_dim + outer``.

    Parameters
    ----------
    config : LayoutConfig

    Raises
    ------
    ValueError
        A product of the sizes is more than ``2**63 - 1`` bytes.
    """

    def __init__(self, config: LayoutConfig) -> None:
        super().__init__(config, "separate")

    def _part_axes(self) -> list[tuple[int, int]]:
        return [(self.config.num_blocks, self.geometry.block_stride)]
