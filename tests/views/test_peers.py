"""Libraries that take views, and whose tensors pools take: those that are installed."""

import numpy as np
import pytest

from kvpool import BlockPool
from kvpool.storage import FullyContiguous, LayerSeparate, LayoutConfig, OuterSeparate

SHAPE = (2, 8, 4, 16)  # of the part of a layer


def import_torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def import_jax():
    pytest.importorskip("jax", reason="jax is not installed")
    import jax.numpy

    return jax.numpy


def import_tvm():
    return pytest.importorskip("tvm_ffi", reason="apache-tvm-ffi is not installed")


def import_ctypes_dlpack():
    return pytest.importorskip("ctypes_dlpack", reason="ctypes-dlpack is not installed")


def pool_of(parts, dtype="float32"):
    pool = BlockPool(8, 4)
    pool.register_buffer(parts, layout=LayerSeparate(LayoutConfig(8, len(parts), 2, 4, 16, dtype=dtype)))
    return pool


def test_torch_reads_and_writes_what_is_in_the_block():
    torch = import_torch()
    parts = [np.zeros(SHAPE, np.float32)]
    pool = pool_of(parts)
    blocks = pool.allocate_blocks(2)
    tensor = torch.from_dlpack(blocks.layer_view(0, 1))
    assert tensor.shape == (2, 4, 16)
    assert tensor.data_ptr() == blocks.layer_view(0, 1).address
    tensor[1, 2] = 7
    assert parts[0][1, blocks.ids[1], 2].tolist() == [7.0] * 16
    part = tensor[0].T
    blocks.release()
    del tensor
    assert pool.available_blocks == 6
    del part
    assert pool.available_blocks == 8


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "float32", "int8"])
def test_torch_has_all_types_of_caches(name):
    torch = import_torch()
    tensors = [torch.zeros(SHAPE, dtype=getattr(torch, name))]
    pool = pool_of(tensors, name)
    block = pool.allocate_blocks(1)[0]
    seen = torch.from_dlpack(block.layer_view(0))
    assert seen.dtype == tensors[0].dtype
    seen.view(torch.uint8).fill_(1)
    assert int(tensors[0].view(torch.uint8).sum()) == 64 * seen.element_size()
    unsigned = f"uint{8 * seen.element_size()}"
    assert np.asarray(block.layer_view(0).as_dtype(unsigned)).size == 64


def test_tensors_of_torch_are_kept_alive_and_given_up():
    torch = import_torch()
    import weakref

    tensors = [torch.zeros(SHAPE) for _ in range(3)]
    pool = pool_of(tensors)
    storages = [tensor.untyped_storage() for tensor in tensors]
    addresses = [tensor.data_ptr() for tensor in tensors]
    gone = [weakref.ref(tensor) for tensor in tensors]
    del tensors
    assert [pool.storage.address(0, layer, 0) for layer in range(3)] == addresses
    assert torch.from_dlpack(pool.layer_view(2)).sum() == 0
    pool.unregister_buffer()
    assert [ref() for ref in gone] == [None] * 3
    assert len(storages) == 3


def test_a_part_of_a_larger_tensor_of_torch_is_taken_where_it_is():
    torch = import_torch()
    whole = torch.zeros((3, *SHAPE))
    pool = pool_of([whole[1]])
    torch.from_dlpack(pool.allocate_blocks(8).layer_view(0)).fill_(1)
    assert whole.sum(dim=(1, 2, 3, 4)).tolist() == [0, 8 * 64, 0]


def test_jax_takes_views_without_a_copy():
    jnp = import_jax()
    raw = np.zeros(8 * 2 * 1024 * 4 + 64, np.uint8)
    start = -raw.ctypes.data % 64  # jax copies what is not a multiple of 64
    part = raw[start : start + 8 * 2 * 1024 * 4].view(np.float32).reshape(2, 8, 16, 64)
    pool = BlockPool(8, 16)
    pool.register_buffer([part], layout=LayerSeparate(LayoutConfig(8, 1, 2, 16, 64, dtype="float32")))
    blocks = pool.allocate_blocks(1)
    part[0, blocks.ids[0]] = 3
    array = jnp.from_dlpack(blocks[0].layer_view(0))
    assert array.shape == (16, 64)
    assert float(array.sum()) == 3 * 1024
    assert array.unsafe_buffer_pointer() == blocks[0].layer_view(0).address
    blocks.release()
    assert pool.available_blocks == 7
    del array
    assert pool.available_blocks == 8


def test_arrays_of_jax_are_registered_as_what_nobody_may_write():
    jnp = import_jax()
    pool = pool_of([jnp.arange(2 * 8 * 4 * 16, dtype=jnp.float32).reshape(SHAPE)])
    view = pool.allocate_blocks(1)[0].layer_view(0)
    assert np.array_equal(np.from_dlpack(view), np.arange(64, dtype=np.float32).reshape(4, 16))


def test_tvm_takes_views_and_gives_tensors():
    tvm = import_tvm()
    parts = [np.zeros(SHAPE, np.float32)]
    tensor = tvm.from_dlpack(parts[0])
    pool = pool_of([tensor])
    del tensor
    blocks = pool.allocate_blocks(2)
    seen = tvm.from_dlpack(blocks.layer_view(0))
    assert tuple(seen.shape) == (2, 4, 16)
    assert seen.data_ptr() == parts[0].ctypes.data
    np.from_dlpack(seen)[:] = 2
    assert parts[0].sum() == 2 * 128
    blocks.release()
    assert pool.available_blocks == 6
    del seen
    assert pool.available_blocks == 8


def test_ctypes_dlpack_reads_every_field_that_we_write():
    peer = import_ctypes_dlpack()
    parts = [np.zeros(SHAPE, np.float32)]
    pool = pool_of(parts)
    view = pool.register_blocks(pool.allocate_blocks(2), [1, 2]).layer_view(0, 1)
    pointer = peer.array_as_dlpack(view, max_version=(1, 3))
    tensor = pointer.contents.dl_tensor
    assert pointer.contents.flags == peer.DLPACK_FLAG_BITMASK_READ_ONLY
    assert (tensor.data, tensor.ndim, tensor.byte_offset) == (view.address, 3, 0)
    assert (tensor.shape[:3], tensor.strides[:3]) == ([2, 4, 16], [64, 16, 1])
    assert (tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes) == (2, 32, 1)
    again = np.from_dlpack(peer.DLPackArray(pointer))
    assert again.ctypes.data == view.address
    assert not again.flags.writeable
    del view
    assert pool.available_blocks == 6
    del again
    assert pool.available_blocks == 8


def test_arrays_of_ctypes_dlpack_are_registered():
    peer = import_ctypes_dlpack()
    part = np.zeros(SHAPE, np.float32)
    pool = pool_of([peer.DLPackArray(peer.array_as_dlpack(part, max_version=(1, 3)))])
    np.from_dlpack(pool.allocate_blocks(1)[0].layer_view(0))[:] = 1
    assert part.sum() == 64


def test_one_tensor_goes_from_library_to_library_through_the_pool():
    torch = import_torch()
    tvm = import_tvm()
    keys, values = torch.zeros(8, 4, 16), torch.zeros(8, 4, 16)
    pool = BlockPool(8, 4)
    pool.register_buffer([(keys, values)], layout=OuterSeparate(LayoutConfig(8, 1, 2, 4, 16, dtype="float32")))
    blocks = pool.allocate_blocks(8)
    torch.from_dlpack(tvm.from_dlpack(blocks.layer_view(0, 1))).fill_(1)
    assert (keys.sum(), values.sum()) == (0, 8 * 64)


def test_blocks_of_a_device_are_seen_there():
    torch = import_torch()
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    whole = torch.zeros((8, 2, 2, 4, 16), device="cuda")
    pool = BlockPool(8, 4)
    pool.register_buffer(whole, layout=FullyContiguous(LayoutConfig(8, 2, 2, 4, 16, dtype="float32")))
    block = pool.allocate_blocks(1)[0]
    seen = torch.from_dlpack(block.layer_view(1))
    assert seen.device == whole.device
    seen.fill_(3)
    assert float(whole[block.id, 1, 0].sum()) == float(whole.sum()) == 3 * 64
    assert torch.as_tensor(block.layer_view(1), device="cuda").data_ptr() == seen.data_ptr()
