"""Blocks in host memory that devices copy from and to directly."""

from __future__ import annotations

import importlib
from typing import Any

from kvpool.storage.layout import Layout
from kvpool.storage.storage import BASE_ALIGNMENT, Storage

__all__ = ["PinnedStorage"]

# DLPack's kDLCUDAHost.
_CUDA_HOST = 3


def _pin_with_torch(nbytes: int) -> tuple[int, Any]:
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        raise ImportError("torch is here, but it finds no CUDA device")
    tensor = torch.zeros(nbytes, dtype=torch.uint8, pin_memory=True)
    return int(tensor.data_ptr()), tensor


def _pin_with_cupy(nbytes: int) -> tuple[int, Any]:
    cupy: Any = importlib.import_module("cupy")
    if not cupy.cuda.is_available():
        raise ImportError("cupy is here, but it finds no CUDA device")
    memory = cupy.cuda.alloc_pinned_memory(nbytes)
    return int(memory.ptr), memory


def _pin(nbytes: int) -> tuple[int, Any]:
    """Return the address of so many pinned bytes, and what keeps them."""
    reasons = []
    for pin in (_pin_with_torch, _pin_with_cupy):
        try:
            return pin(nbytes)
        except ImportError as error:
            reasons.append(str(error))
    raise RuntimeError(f"pinned memory needs CUDA, by torch or cupy: {'; '.join(reasons)}")


class PinnedStorage(Storage):
    """Page-locked host memory, by torch or else cupy, where CUDA is there. The processor uses it as any other.

    Parameters
    ----------
    layout : Layout

    Raises
    ------
    RuntimeError
        There is neither torch nor cupy, or no CUDA device. :class:`HostStorage` does without.
    """

    def __init__(self, layout: Layout) -> None:
        alignment = max(BASE_ALIGNMENT, layout.config.alignment)
        pinned = [_pin(layout.part_bytes + alignment - 1) for _ in range(layout.num_parts)]
        bases = [-(-address // alignment) * alignment for address, _ in pinned]
        super().__init__(layout, bases, [owner for _, owner in pinned], device=(_CUDA_HOST, 0))
