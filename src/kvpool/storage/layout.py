"""Where the blocks of a pool are in memory."""

from __future__ import annotations

from kvpool._core.geometry import Geometry
from kvpool.storage.layout_config import LayoutConfig

__all__ = ["Layout"]


class Layout:
    """Where the bytes of each (block, layer, outer) are. Base of the layouts; use one of these.

    The memory is one or several *parts*, each an allocation of its own. All addresses are 64-bit, and checked to fit
    when the layout is made.

    Parameters
    ----------
    config : LayoutConfig
    kind : str
        Which :class:`Geometry` it has.

    Attributes
    ----------
    config : LayoutConfig
    geometry : Geometry
        The sizes and strides in bytes, as the core has them.
    """

    config: LayoutConfig
    geometry: Geometry

    def __init__(self, config: LayoutConfig, kind: str) -> None:
        if not isinstance(config, LayoutConfig):
            raise TypeError(f"config must be a LayoutConfig, not {type(config).__name__}")
        self.config = config
        self.geometry = Geometry(
            kind,
            config.num_blocks,
            config.num_layers,
            config.outer_dim,
            config.page_size,
            config.inner_dim,
            config.dtype.itemsize,
            config.alignment,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.config}>"

    @property
    def num_parts(self) -> int:
        """Allocations that the memory consists of."""
        return self.geometry.num_parts

    @property
    def part_bytes(self) -> int:
        """Bytes of each part, gaps included."""
        return self.geometry.part_bytes

    @property
    def nbytes(self) -> int:
        """Bytes of all parts, gaps included."""
        return self.geometry.num_parts * self.geometry.part_bytes

    @property
    def region_bytes(self) -> int:
        """Bytes of a region: ``page_size * inner_dim`` elements."""
        return self.geometry.region_bytes

    @property
    def block_bytes(self) -> int:
        """Bytes of a block, without gaps."""
        return self.geometry.block_bytes

    @property
    def part_shape(self) -> tuple[int, ...]:
        """Shape of a part as one array, the axes of a region last: the tensor that an engine would make."""
        return tuple(size for size, _ in self._part_axes()) + self.config.region_shape

    @property
    def part_strides(self) -> tuple[int, ...]:
        """Strides of `part_shape` in bytes."""
        return tuple(stride for _, stride in self._part_axes()) + self.config.region_strides

    def region(self, block: int, layer: int, outer: int) -> tuple[int, int, int]:
        """Return the (part, offset, size) of a region, the last two in bytes.

        Raises
        ------
        IndexError
            An index is out of its bounds; the message names both.
        """
        part, offset = self.geometry.locate(block, layer, outer)
        return part, offset, self.geometry.region_bytes

    def _part_axes(self) -> list[tuple[int, int]]:
        """Count and stride of the axes before those of a region; the outermost has the largest stride."""
        raise NotImplementedError
