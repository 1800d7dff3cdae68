"""Tensors of others as the memory of blocks: what is taken, and what is refused."""

import gc
import sys
import weakref

import numpy as np
import pytest

from kvpool import BlockPool, BlockPoolError
from kvpool._core.external_tensor import ExternalTensor
from kvpool.storage import ExternalStorage, FullyContiguous, LayerSeparate, LayoutConfig, OuterSeparate, Storage

CONFIG = LayoutConfig(8, 3, 2, 4, 16, dtype="float32", num_heads=2)


def arrays(layout, dtype=np.float32):
    return [np.zeros(layout.part_shape, dtype) for _ in range(layout.num_parts)]


def pool_of(layout, tensors):
    pool = BlockPool(8, 4)
    pool.register_buffer(tensors, layout=layout)
    return pool


def test_one_tensor_need_not_be_in_a_list():
    layout = FullyContiguous(CONFIG)
    (part,) = arrays(layout)
    for tensors in (part, [part], (part,)):
        assert pool_of(layout, tensors).storage.memory.bases == (part.ctypes.data,)


def test_keys_and_values_may_be_pairs_or_one_after_the_other():
    layout = OuterSeparate(CONFIG)
    parts = arrays(layout)
    expected = tuple(part.ctypes.data for part in parts)
    assert pool_of(layout, parts).storage.memory.bases == expected
    assert pool_of(layout, list(zip(parts[::2], parts[1::2], strict=True))).storage.memory.bases == expected


def test_a_region_may_be_given_as_one_axis_or_two():
    layout = LayerSeparate(CONFIG)
    for shape in ((4, 2, 8), (4, 16), (64,)):
        parts = [np.zeros((2, 8, *shape), np.float32) for _ in range(3)]
        assert pool_of(layout, parts).allocate_blocks(1)[0].layer_view(0).shape == (4, 2, 8)


def test_types_that_numpy_lacks_are_taken_as_unsigned_integers():
    layout = FullyContiguous(LayoutConfig(8, 3, 2, 4, 16, dtype="bfloat16"))
    assert pool_of(layout, arrays(layout, np.uint16)).allocate_blocks(1)[0].layer_view(0).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: [np.zeros((2, 8, 4, 2, 8), np.float32)] * 2, ValueError, "2 tensors were given for the 3 parts of"),
        (list, ValueError, "0 tensors were given for the 3 parts"),
        (
            lambda: [np.zeros((2, 7, 4, 2, 8), np.float32)] * 3,
            ValueError,
            r"tensor 0 has the shape \(2, 7, 4, 2, 8\), not",
        ),
        (lambda: [np.zeros((8, 2, 4, 2, 8), np.float32)] * 3, ValueError, r"not \(2, 8, 4, 2, 8\)"),
        (lambda: [np.zeros((2, 8, 2, 4, 8), np.float32)] * 3, ValueError, "tensor 0 has the shape"),
        (
            lambda: [np.zeros((2, 8, 4, 2, 8), np.float64)] * 3,
            ValueError,
            r"DLPack type \(2, 64\), not of \(2, 32\) \(float32\)",
        ),
        (lambda: [np.zeros((2, 8, 4, 2, 8), np.int32)] * 3, ValueError, r"DLPack type \(0, 32\)"),
        (lambda: [np.zeros((2, 8, 4, 2, 16), np.float32)[..., ::2]] * 3, ValueError, "axis 0 does not lie as"),
        (lambda: [np.zeros((2, 8, 4, 8, 2), np.float32).swapaxes(3, 4)] * 3, ValueError, "axis 3 does not lie as"),
        (lambda: [np.zeros((2, 8, 4, 2, 8), np.float32)] * 3, ValueError, "overlap"),
        (lambda: ["a string"] * 3, TypeError, "str speaks neither DLPack nor __cuda_array_interface__"),
        (lambda: {1: 2}, TypeError, "dict speaks neither"),
        (lambda: None, TypeError, "NoneType speaks neither"),
    ],
)
def test_what_is_not_as_the_layout_says_is_refused(make, error, message):
    pool = BlockPool(8, 4)
    with pytest.raises(error, match=message):
        pool.register_buffer(make(), layout=LayerSeparate(CONFIG))
    assert pool.storage is None


def test_a_tensor_that_is_not_aligned_is_refused():
    layout = FullyContiguous(LayoutConfig(8, 3, 2, 4, 16, dtype="float32", alignment=64))
    raw = np.zeros(layout.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64
    for offset, is_good in ((0, True), (64, True), (4, False), (32, False)):
        part = raw[start + offset :][: layout.nbytes].view(np.float32).reshape(layout.part_shape)
        if is_good:
            ExternalStorage(part, layout)
            continue
        with pytest.raises(
            ValueError, match=rf"tensor 0 begins at {part.ctypes.data:#x}, which is not a multiple of 64"
        ):
            ExternalStorage(part, layout)


def test_a_layout_is_needed():
    with pytest.raises(TypeError, match="layout must be a Layout, not LayoutConfig"):
        ExternalStorage(np.zeros(4), CONFIG)


def test_blocks_and_pages_must_be_those_of_the_pool():
    layout = FullyContiguous(CONFIG)
    (part,) = arrays(layout)
    for sizes, message in (
        ((9, 4), "the storage has 8 blocks, the pool 9"),
        ((8, 5), "blocks of 4 tokens, the pool of 5"),
    ):
        pool = BlockPool(*sizes)
        with pytest.raises(ValueError, match=message):
            pool.register_buffer(part, layout=layout)
        assert pool.storage is None


def test_a_pool_has_one_storage_at_a_time():
    layout = FullyContiguous(CONFIG)
    (part,) = arrays(layout)
    pool = pool_of(layout, part)
    first = pool.storage
    with pytest.raises(BlockPoolError, match="has a storage already"):
        pool.register_buffer(part, layout=layout)
    with pytest.raises(BlockPoolError, match="has a storage already"):
        pool.attach_storage(first)
    assert pool.storage is first
    pool.unregister_buffer()
    assert pool.storage is None
    assert first.is_closed
    with pytest.raises(BlockPoolError, match="no buffer is registered"):
        pool.unregister_buffer()
    with pytest.raises(BlockPoolError, match="nothing to take"):
        pool.detach_storage()
    pool.register_buffer(part, layout=layout)


def test_a_storage_is_attached_by_the_constructor_or_later_and_given_back():
    layout = FullyContiguous(CONFIG)
    (part,) = arrays(layout)
    storage = Storage(layout, [part.ctypes.data], part)
    pool = BlockPool(8, 4, storage=storage)
    assert pool.storage is storage
    np.from_dlpack(pool.allocate_blocks(1)[0].block_view())[:] = 1
    assert part.sum() == 3 * 2 * 64
    with pytest.raises(BlockPoolError, match="no buffer is registered"):
        pool.unregister_buffer()
    assert pool.detach_storage() is storage
    assert not storage.is_closed
    other = BlockPool(8, 4)
    other.attach_storage(storage)
    assert other.storage is storage
    with pytest.raises(TypeError, match="storage must be a Storage, not ndarray"):
        BlockPool(8, 4, storage=part)
    storage.close()
    with pytest.raises(ValueError, match="closed"):
        BlockPool(8, 4, storage=storage)


def test_tensors_are_kept_alive_until_they_are_unregistered():
    layout = LayerSeparate(CONFIG)
    parts = arrays(layout)
    pool = pool_of(layout, parts)
    gone = [weakref.ref(part) for part in parts]
    del parts
    gc.collect()
    assert all(ref() is not None for ref in gone)
    pool.unregister_buffer()
    assert all(ref() is None for ref in gone)


def test_a_refused_tensor_is_not_kept():
    part = np.zeros((2, 8, 4, 2, 8), np.float64)
    before = sys.getrefcount(part)
    for _ in range(3):
        with pytest.raises(ValueError, match="DLPack type"):
            BlockPool(8, 4).register_buffer([part] * 3, layout=LayerSeparate(CONFIG))
    gc.collect()
    assert sys.getrefcount(part) == before


def test_what_is_read_only_stays_so():
    layout = FullyContiguous(CONFIG)
    (part,) = arrays(layout)
    part.flags.writeable = False
    pool = pool_of(layout, part)
    assert not pool.storage.is_writable
    for view in (pool.allocate_blocks(1)[0].layer_view(0), pool.layer_view(0)):
        assert view.readonly
        assert not np.from_dlpack(view).flags.writeable


def test_a_tensor_says_what_it_is():
    tensor = ExternalTensor(np.zeros((2, 3), np.int16)[:, ::2])
    assert (tensor.shape, tensor.strides, tensor.dtype, tensor.device) == ((2, 2), (3, 2), (0, 16), (1, 0))
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        tensor.__reduce__()
