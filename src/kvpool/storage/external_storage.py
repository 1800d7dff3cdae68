"""Blocks in tensors that others have allocated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from kvpool._core.external_tensor import ExternalTensor
from kvpool.storage.layout import Layout
from kvpool.storage.storage import Storage

__all__ = ["ExternalStorage"]

_UNSIGNED = 1  # DLPack's type code
_HOST_DEVICES = {1, 3, 11}  # plain memory, and what CUDA and ROCm have pinned


def _is_tensor(value: object) -> bool:
    return hasattr(value, "__dlpack__") or hasattr(value, "__cuda_array_interface__")


def _parts(tensors: Any) -> Iterator[Any]:
    """Yield the tensors in their order, out of sequences of any depth."""
    if _is_tensor(tensors):
        yield tensors
    elif isinstance(tensors, (list, tuple)):
        for tensor in tensors:
            yield from _parts(tensor)
    else:
        raise TypeError(f"{type(tensors).__name__} speaks neither DLPack nor __cuda_array_interface__")


class ExternalStorage(Storage):
    """The memory of tensors that others have allocated, which it keeps alive.

    Parameters
    ----------
    tensors : tensor, sequence of tensors, or sequence of (keys, values)
        The parts of the layout, in their order.
    layout : Layout
        How the blocks lie in them.

    Raises
    ------
    TypeError
        Something speaks neither DLPack nor ``__cuda_array_interface__``.
    ValueError
        A tensor is not as the layout says, or not on the device of the others.

    Examples
    --------
    >>> import numpy as np
    >>> from kvpool.storage import ExternalStorage, LayerSeparate, LayoutConfig
    >>> config = LayoutConfig(4, num_layers=2, outer_dim=2, page_size=16, inner_dim=8, dtype="float32")
    >>> storage = ExternalStorage([np.zeros((2, 4, 16, 8), np.float32) for _ in range(2)], LayerSeparate(config))
    >>> storage.num_blocks, storage.device
    (4, (1, 0))
    """

    def __init__(self, tensors: Any, layout: Layout) -> None:
        if not isinstance(layout, Layout):
            raise TypeError(f"layout must be a Layout, not {type(layout).__name__}")
        parts = [ExternalTensor(tensor) for tensor in _parts(tensors)]
        if len(parts) != layout.num_parts:
            raise ValueError(f"{len(parts)} tensors were given for the {layout.num_parts} parts of {layout!r}")
        for number, part in enumerate(parts):
            self._check_part(number, part, layout)
            if part.device != parts[0].device:
                raise ValueError(f"tensor {number} is on device {part.device}, the first on {parts[0].device}")
        super().__init__(
            layout,
            [part.address for part in parts],
            parts,
            device=parts[0].device,
            is_writable=not any(part.is_readonly for part in parts),
            is_host=parts[0].device[0] in _HOST_DEVICES,
        )

    @staticmethod
    def _check_part(number: int, part: ExternalTensor, layout: Layout) -> None:
        config = layout.config
        bits = 8 * config.dtype.itemsize
        if part.dtype not in (config.dtype.dlpack, (_UNSIGNED, bits)):
            raise ValueError(
                f"tensor {number} has elements of DLPack type {part.dtype}, not of {config.dtype.dlpack} "
                f"({config.dtype.name}) or unsigned integers of {bits} bits"
            )
        front = len(layout.part_shape) - len(config.region_shape)
        axes, own = layout.part_shape[:front], config.region_shape
        regions = {own, (config.page_size, config.inner_dim), (math.prod(own),)}
        if part.shape[:front] != axes or part.shape[front:] not in regions:
            raise ValueError(f"tensor {number} has the shape {part.shape}, not {layout.part_shape}")
        expected = [stride // config.dtype.itemsize for stride in layout.part_strides[:front]]
        for size in range(front, len(part.shape)):
            expected.append(math.prod(part.shape[size + 1 :]))
        for axis, (size, stride, own_stride) in enumerate(zip(part.shape, part.strides, expected, strict=True)):
            if size > 1 and stride != own_stride:
                raise ValueError(
                    f"tensor {number} has strides of {part.strides} elements, not {tuple(expected)}: "
                    f"axis {axis} does not lie as the layout says"
                )
        alignment = max(config.alignment, config.dtype.itemsize)
        if part.address % alignment:
            raise ValueError(f"tensor {number} begins at {part.address:#x}, which is not a multiple of {alignment}")
