"""The sizes of a block pool's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kvpool._core.arguments import as_int
from kvpool._core.geometry import check_sizes
from kvpool.storage.dtype import DType

__all__ = ["LayoutConfig"]


@dataclass(frozen=True)
class LayoutConfig:
    """The sizes of the memory of a pool's blocks.

    Each block has, for every layer and outer index, a *region* of ``page_size * inner_dim`` elements.

    Parameters
    ----------
    num_blocks : int
        Blocks, in [1, 2**31 - 103].
    num_layers : int
        Layers of the model, in [1, 4096].
    outer_dim : int
        2 where keys and values are apart, 1 where a token has one vector (as with MLA).
    page_size : int
        Tokens of a block.
    inner_dim : int
        Elements of a token in a region: heads times the size of a head.
    dtype : str or numpy.dtype or torch.dtype or DType, default "float16"
        Any number type of NumPy, ``bfloat16``, ``float8_e4m3fn`` or ``float8_e5m2``.
    alignment : int, default 1
        Bytes, a power of two: every region begins at a multiple of it, counted from the start of its part. 1 leaves no
        gaps, as in the tensors of the engines.
    num_heads : int, optional
        Heads that `inner_dim` consists of. Without it the elements of a token are one vector.
    order : {"NHD", "HND"}, default "NHD"
        Whether a region is ``(page_size, num_heads, head_dim)`` or ``(num_heads, page_size, head_dim)``.

    Raises
    ------
    TypeError, ValueError
        A size is of the wrong kind or out of its bounds, which the message names.

    Examples
    --------
    >>> from kvpool.storage import LayoutConfig
    >>> config = LayoutConfig(8, 2, 2, page_size=16, inner_dim=512, dtype="bfloat16", num_heads=4, order="HND")
    >>> config.region_shape
    (4, 16, 128)
    """

    num_blocks: int
    num_layers: int
    outer_dim: int
    page_size: int
    inner_dim: int
    dtype: Any = "float16"  # a DType from here on
    alignment: int = 1
    num_heads: int | None = None
    order: str = "NHD"

    def __post_init__(self) -> None:
        names = ("num_blocks", "num_layers", "outer_dim", "page_size", "inner_dim", "alignment")
        sizes = check_sizes(*(getattr(self, name) for name in names))
        for name, size in zip(names, sizes, strict=True):
            object.__setattr__(self, name, size)
        object.__setattr__(self, "dtype", DType.of(self.dtype))
        if self.order not in ("NHD", "HND"):
            raise ValueError(f"order = {self.order!r} is neither 'NHD' nor 'HND'")
        if self.num_heads is not None:
            object.__setattr__(self, "num_heads", as_int(self.num_heads, "num_heads", 1, self.inner_dim))
            if self.inner_dim % self.num_heads:
                raise ValueError(f"inner_dim = {self.inner_dim} is not a multiple of num_heads = {self.num_heads}")
        elif self.order == "HND":
            raise ValueError("order = 'HND' needs num_heads")

    @property
    def region_shape(self) -> tuple[int, ...]:
        """Shape of a region: ``(page_size, inner_dim)``, or with heads that of `order`."""
        if self.num_heads is None:
            return (self.page_size, self.inner_dim)
        head_dim = self.inner_dim // self.num_heads
        if self.order == "HND":
            return (self.num_heads, self.page_size, head_dim)
        return (self.page_size, self.num_heads, head_dim)

    @property
    def region_strides(self) -> tuple[int, ...]:
        """Bytes from an element of a region to the next, along each axis of `region_shape`."""
        strides = [self.dtype.itemsize]
        for size in self.region_shape[:0:-1]:
            strides.insert(0, strides[0] * size)
        return tuple(strides)
