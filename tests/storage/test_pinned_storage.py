"""Against stand-ins for torch and cupy: they give out plain memory, at addresses that are not aligned."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from storage_model import config_of

from kvpool.storage import LayerSeparate, PinnedStorage, gather_blocks, scatter_blocks


class Memory:
    def __init__(self, nbytes):
        self.array = np.zeros(nbytes + 1, np.uint8)
        self.ptr = self.array.ctypes.data + 1

    def data_ptr(self):
        return self.ptr


def torch_like(is_available, made):
    def zeros(nbytes, dtype, pin_memory):
        assert (dtype, pin_memory) == ("uint8", True)
        made.append(Memory(nbytes))
        return made[-1]

    return SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: is_available), zeros=zeros, uint8="uint8")


def cupy_like(is_available, made):
    def alloc_pinned_memory(nbytes):
        made.append(Memory(nbytes))
        return made[-1]

    cuda = SimpleNamespace(is_available=lambda: is_available, alloc_pinned_memory=alloc_pinned_memory)
    return SimpleNamespace(cuda=cuda)


@pytest.mark.parametrize("library", ["torch", "cupy"])
def test_pinned_memory_is_the_librarys_aligned_and_used_like_any_other(monkeypatch, library):
    made = []
    monkeypatch.setitem(sys.modules, "torch", torch_like(library == "torch", made))
    monkeypatch.setitem(sys.modules, "cupy", cupy_like(library == "cupy", made))
    layout = LayerSeparate(config_of())
    storage = PinnedStorage(layout)
    assert storage.device == (3, 0)
    assert storage.is_host
    assert len(made) == 3
    for base, memory in zip(storage.memory.bases, made, strict=True):
        assert base % 256 == 0
        assert memory.ptr <= base
        assert base + layout.part_bytes <= memory.ptr + len(memory.array) - 1
    written = np.random.default_rng(1).integers(0, 256, (2, layout.block_bytes), dtype=np.uint8)
    scatter_blocks(storage, [1, 6], written)
    assert np.array_equal(gather_blocks(storage, [1, 6]), written)


def test_without_cuda_the_error_says_what_was_tried(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", torch_like(False, []))
    monkeypatch.setitem(sys.modules, "cupy", cupy_like(False, []))
    with pytest.raises(RuntimeError, match=r"needs CUDA.*torch is here, but.*cupy is here, but"):
        PinnedStorage(LayerSeparate(config_of()))
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RuntimeError, match=r"needs CUDA.*torch.*cupy"):
        PinnedStorage(LayerSeparate(config_of()))
