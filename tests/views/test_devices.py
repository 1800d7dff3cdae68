"""Memory of devices that are not there: its addresses are passed on, and never looked at."""

import numpy as np
import pytest

from kvpool import BlockPool
from kvpool.storage import FullyContiguous, LayerSeparate, LayoutConfig

CONFIG = LayoutConfig(8, 2, 2, 4, 16, dtype="float32")
SHAPE = (8, 2, 2, 4, 16)
ADDRESS = 0x7F0000000000  # whoever reads there ends with a segmentation fault


def cuda_pool(tensor, config=CONFIG):
    pool = BlockPool(8, 4)
    pool.register_buffer(tensor, layout=FullyContiguous(config))
    return pool


@pytest.fixture(params=["dlpack", "interface"])
def tensor(request, producer, cuda_array):
    return producer(SHAPE, ADDRESS) if request.param == "dlpack" else cuda_array(SHAPE, ADDRESS)


def test_a_view_is_on_the_device_of_the_tensor(tensor):
    pool = cuda_pool(tensor)
    block = pool.allocate_blocks(4)[3]
    view = block.layer_view(1, 1)
    assert pool.storage.device == view.device == view.__dlpack_device__() == (2, 0)
    assert view.address == ADDRESS + 4 * (3 * 256 + 3 * 64)
    assert view.__cuda_array_interface__ == {
        "version": 3,
        "shape": (4, 16),
        "strides": (64, 4),
        "typestr": "<f4",
        "data": (view.address, False),
    }


def test_immutable_blocks_are_read_only_there_as_well(tensor):
    pool = cuda_pool(tensor)
    view = pool.register_blocks(pool.allocate_blocks(2), [1, 2]).layer_view(0)
    assert view.__cuda_array_interface__["data"] == (ADDRESS, True)
    assert view.readonly


def test_the_processor_is_not_shown_what_it_cannot_read(tensor):
    pool = cuda_pool(tensor)
    view = pool.allocate_blocks(1)[0].layer_view(0)
    assert not hasattr(view, "__array_interface__")
    for see in (memoryview, np.asarray):
        with pytest.raises((BufferError, TypeError), match=r"on device \(2, 0\), where the processor cannot read"):
            see(view)
    with pytest.raises((BufferError, RuntimeError)):
        np.from_dlpack(view)
    with pytest.raises(BufferError, match=r"dl_device = \(1, 0\)"):
        view.__dlpack__(dl_device=(1, 0))
    assert view.__dlpack__(dl_device=(2, 0)) is not None


@pytest.mark.parametrize("device", [(2, 0), (2, 3), (13, 1), (10, 0), (8, 0), (14, 2)])
def test_the_device_is_passed_on(producer, consumer, device):
    pool = cuda_pool(producer(SHAPE, ADDRESS, device=device))
    blocks = pool.allocate_blocks(2)
    view = blocks.layer_view(0)
    managed = consumer.take(view.__dlpack__(max_version=(1, 3), stream=None))
    assert (managed.tensor.device_type, managed.tensor.device_id) == device
    assert managed.tensor.data == ADDRESS
    assert hasattr(view, "__cuda_array_interface__") == (device[0] in (2, 13))
    blocks.release()
    del view
    assert pool.available_blocks == 6
    consumer.end_in_c_thread(managed)
    assert pool.available_blocks == 8


def test_tvm_takes_what_is_on_a_device_without_touching_it(producer):
    tvm = pytest.importorskip("tvm_ffi", reason="apache-tvm-ffi is not installed")
    pool = cuda_pool(producer(SHAPE, ADDRESS))
    block = pool.allocate_blocks(2)[1]
    seen = tvm.from_dlpack(block.block_view())
    assert (seen.data_ptr(), tuple(seen.shape)) == (ADDRESS + 4 * 256, SHAPE[1:])
    again = BlockPool(2, 4)  # whose blocks are the layers of the one block
    sizes = LayoutConfig(2, 1, 2, 4, 16, dtype="float32")
    again.register_buffer([seen], layout=LayerSeparate(sizes, outer_contiguous=False))
    assert again.storage.device == (2, 0)
    assert again.allocate_blocks(2)[1].layer_view(0, 1).address == ADDRESS + 4 * (256 + 128 + 64)
    del block, seen
    assert pool.available_blocks == 7
    again.unregister_buffer()
    assert pool.available_blocks == 8


def test_what_a_producer_says_of_its_stream_is_asked_without_waiting(producer):
    tensor = producer(SHAPE, ADDRESS)
    cuda_pool(tensor)
    assert tensor.asked == [{"stream": -1, "max_version": (1, 3), "copy": False}]
    host = producer(SHAPE, np.zeros(SHAPE, np.float32).ctypes.data, device=(1, 0))
    cuda_pool(host)
    assert host.asked == [{"stream": None, "max_version": (1, 3), "copy": False}]


def test_the_device_of_an_interface_is_the_one_that_its_object_tells(cuda_array):
    tensor = cuda_array(SHAPE, ADDRESS)
    tensor.device = type("Device", (), {"id": 3})
    assert cuda_pool(tensor).storage.device == (2, 3)


def test_a_read_only_interface_gives_read_only_views(cuda_array):
    pool = cuda_pool(cuda_array(SHAPE, ADDRESS, readonly=True))
    assert not pool.storage.is_writable
    assert pool.allocate_blocks(1)[0].layer_view(0).readonly


def test_nothing_is_done_for_a_block_when_a_buffer_is_registered(producer):
    """A million blocks of 256 TiB: whoever looked at each would be seen."""
    layout = FullyContiguous(LayoutConfig(2**20, 64, 2, 16, 65536, dtype="float16"))
    tensor = producer(layout.part_shape, ADDRESS, bits=16)
    pool = BlockPool(2**20, 16)
    pool.register_buffer(tensor, layout=layout)
    assert layout.nbytes == 2**48
    last = pool.register_blocks(pool.allocate_blocks(2**20), np.arange(2**20, dtype=np.uint64) + 1)[2**20 - 1]
    assert last.layer_view(63, 1).address == ADDRESS + 2**48 - 2**21
    assert last.block_view().nbytes == 2**28
