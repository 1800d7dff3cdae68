"""The exchange itself: capsules, versions, devices, streams, and deleters in threads that Python does not know."""

import ctypes
import textwrap
import threading

import numpy as np
import pytest

from kvpool import BlockPool, StorageInUse
from kvpool.storage import FullyContiguous, LayerSeparate, LayoutConfig

CONFIG = LayoutConfig(8, 2, 2, 4, 16, dtype="float32")
VERSION = (1, 3)


@pytest.fixture
def pool():
    pool = BlockPool(8, 4)
    pool.register_buffer(np.zeros((8, 2, 2, 4, 16), np.float32), layout=FullyContiguous(CONFIG))
    yield pool
    pool.check_invariants()


@pytest.fixture
def view(pool):
    return pool.allocate_blocks(2).layer_view(1)


@pytest.mark.parametrize("is_readonly", [False, True])
def test_a_versioned_tensor_tells_all(pool, consumer, is_readonly):
    blocks = pool.allocate_blocks(2)
    if is_readonly:
        blocks = pool.register_blocks(blocks, [1, 2])
    view = blocks.layer_view(1, 1)
    managed = consumer.take(view.__dlpack__(max_version=VERSION))
    tensor = managed.tensor
    assert (managed.major, managed.minor, managed.flags) == (1, 3, int(is_readonly))
    assert (tensor.device_type, tensor.device_id, tensor.ndim) == (1, 0, 3)
    assert (tensor.code, tensor.bits, tensor.lanes, tensor.byte_offset) == (2, 32, 1, 0)
    assert tensor.shape[:3] == [2, 4, 16]
    assert tensor.strides[:3] == [256, 16, 1]
    assert tensor.data == view.address
    consumer.end(managed)


@pytest.mark.parametrize("version", [None, (0, 8)])
def test_who_does_not_know_versions_gets_the_older_form(view, consumer, version):
    managed = consumer.take(view.__dlpack__(max_version=version), versioned=False)
    assert managed.tensor.strides[:3] == [256, 16, 1]
    assert managed.tensor.data == view.address
    consumer.end(managed)


def test_an_empty_tensor_has_no_data_but_strides(pool, consumer):
    managed = consumer.take(pool.allocate_blocks(0).layer_view(0).__dlpack__(max_version=VERSION))
    assert managed.tensor.data is None
    assert managed.tensor.shape[:3] == [0, 4, 16]
    assert managed.tensor.strides[1:3] == [16, 1]
    consumer.end(managed)


@pytest.mark.parametrize("version", [VERSION, None])
def test_a_capsule_that_nobody_took_gives_its_share_back(pool, version):
    view = pool.allocate_blocks(2).layer_view(0)
    capsules = [view.__dlpack__(max_version=version) for _ in range(3)]
    del view
    while capsules:
        assert pool.available_blocks == 6
        capsules.pop()
    assert pool.available_blocks == 8


@pytest.mark.parametrize("version", [VERSION, None])
def test_a_capsule_that_was_taken_does_not(pool, consumer, version):
    capsule = pool.allocate_blocks(2).layer_view(0).__dlpack__(max_version=version)
    managed = consumer.take(capsule, version is not None)
    del capsule
    assert pool.available_blocks == 6
    consumer.end(managed)
    assert pool.available_blocks == 8


def test_a_capsule_is_taken_only_once(pool):
    class Once:
        def __init__(self, view):
            self.capsule = view.__dlpack__(max_version=VERSION)

        def __dlpack__(self, **arguments):
            return self.capsule

        def __dlpack_device__(self):
            return (1, 0)

    once = Once(pool.allocate_blocks(2).layer_view(0))
    array = np.from_dlpack(once)
    with pytest.raises((ValueError, BufferError)):
        np.from_dlpack(once)
    del once
    assert pool.available_blocks == 6
    del array
    assert pool.available_blocks == 8


def test_what_would_take_a_copy_is_refused(view):
    with pytest.raises(BufferError, match="copy = True"):
        view.__dlpack__(copy=True)
    with pytest.raises(BufferError, match=r"dl_device = \(2, 0\): the memory is on device \(1, 0\)"):
        view.__dlpack__(dl_device=(2, 0))
    for arguments in ({"copy": False}, {"copy": None}, {"dl_device": (1, 0)}):
        assert view.__dlpack__(**arguments) is not None
    with pytest.raises((BufferError, ValueError)):
        np.from_dlpack(view, copy=True)


@pytest.mark.parametrize(
    ("device", "stream", "error"),
    [
        ((1, 0), None, None),
        ((1, 0), -1, None),
        ((1, 0), 1, BufferError),
        ((1, 0), True, TypeError),
        ((1, 0), "1", TypeError),
        ((2, 0), None, None),
        ((2, 0), 0, ValueError),
        ((2, 0), 1, None),
        ((2, 0), 2, None),
        ((2, 0), -1, None),
        ((2, 0), -2, ValueError),
        ((2, 0), 0x7F00DEADBEE0, None),
        ((2, 0), 2**63, OverflowError),
        ((10, 0), 0, None),
        ((10, 0), 1, ValueError),
        ((10, 0), 2, ValueError),
        ((10, 0), 5, None),
    ],
)
def test_streams_are_those_of_the_device(producer, device, stream, error):
    pool = BlockPool(8, 4)
    pool.register_buffer(producer((8, 2, 2, 4, 16), 0x70000000, device=device), layout=FullyContiguous(CONFIG))
    view = pool.allocate_blocks(1)[0].layer_view(0)
    if error is None or error is OverflowError:  # a handle of 64 bits is one as well
        assert view.__dlpack__(stream=stream) is not None
        return
    with pytest.raises(error, match="stream"):
        view.__dlpack__(stream=stream)


def test_a_deleter_without_the_gil_gives_the_blocks_back(pool, consumer):
    for end in (consumer.end, consumer.end_in_c_thread):
        for versioned in (True, False):
            capsule = pool.allocate_blocks(8).layer_view(0).__dlpack__(max_version=VERSION if versioned else None)
            managed = consumer.take(capsule, versioned)
            assert pool.available_blocks == 0
            end(managed)
            assert len(pool.allocate_blocks(8)) == 8


def test_a_deleter_in_a_c_thread_wakes_who_waits_for_the_blocks(pool, consumer):
    managed = consumer.take(pool.allocate_blocks(8).layer_view(0).__dlpack__(max_version=VERSION))
    got = []
    waiting = threading.Thread(target=lambda: got.append(len(pool.allocate_blocks(3, timeout=60))))
    waiting.start()
    while pool.status().waiting == 0:
        pass
    consumer.end_in_c_thread(managed)
    waiting.join(30)
    assert got == [3]


def test_a_deleter_in_a_c_thread_wakes_coroutines_that_wait_for_the_blocks(pool, consumer):
    import asyncio

    from kvpool import AsyncBlockPool

    managed = consumer.take(pool.allocate_blocks(8).layer_view(0).__dlpack__(max_version=VERSION))

    async def main():
        waiting = asyncio.ensure_future(AsyncBlockPool(pool).allocate_blocks(3, timeout=60))
        while pool.status().waiting == 0:
            await asyncio.sleep(0)
        await asyncio.to_thread(consumer.end_in_c_thread, managed)
        return len(await asyncio.wait_for(waiting, 30))

    assert asyncio.run(main()) == 3


def test_deleters_in_c_threads_while_the_pool_works_lose_no_block(pool, consumer):
    libc = ctypes.CDLL(None)
    expected = pool.available_blocks
    for _ in range(200):
        blocks = pool.allocate_blocks(2, timeout=60)
        managed = consumer.take(blocks.layer_view(0).__dlpack__(max_version=VERSION))
        thread = ctypes.c_ulong()
        begun = libc.pthread_create(
            ctypes.byref(thread), None, ctypes.c_void_p(managed.deleter), ctypes.c_void_p(ctypes.addressof(managed))
        )
        assert begun == 0
        libc.pthread_detach(thread)
        blocks.release()
    assert len(pool.allocate_blocks(expected, timeout=60)) == expected


def test_memory_whose_last_tensor_ends_in_a_c_thread_is_let_go(consumer):
    import weakref

    part = np.zeros((8, 2, 2, 4, 16), np.float32)
    gone = weakref.ref(part)
    pool = BlockPool(8, 4)
    pool.register_buffer(part, layout=FullyContiguous(CONFIG))
    managed = consumer.take(pool.allocate_blocks(1)[0].layer_view(0).__dlpack__(max_version=VERSION))
    del pool, part
    assert gone() is not None
    consumer.end_in_c_thread(managed)
    for _ in range(10):  # it is given up at the interpreter's next steps
        pass
    assert gone() is None


def test_a_storage_that_a_c_thread_lets_go_of_can_be_taken_away(pool, consumer):
    managed = consumer.take(pool.layer_view(0).__dlpack__(max_version=VERSION))
    with pytest.raises(StorageInUse):
        pool.unregister_buffer()
    consumer.end_in_c_thread(managed)
    pool.unregister_buffer()


def test_every_allocation_of_an_export_may_fail(held):
    testing = pytest.importorskip("_testcapi")
    if not hasattr(testing, "set_nomemory"):
        pytest.skip("this interpreter cannot make allocations fail")
    pool = held()
    block = pool.allocate_blocks(1)[0]
    view = block.layer_view(0)
    failures = 0
    for n in range(30):
        for call in (view.__dlpack__, lambda: block.layer_view(1)):
            testing.set_nomemory(n, n + 1)
            try:
                call()
            except MemoryError:
                failures += 1
            finally:
                testing.remove_mem_hooks()
    assert failures > 0
    assert pool.num_views == 1
    assert pool.outstanding()[-1].blocks == 1
    del view
    assert pool.num_views == 0
    pool.check_invariants()


AT_EXIT = """
import ctypes, sys
import numpy as np
from kvpool import BlockPool
from kvpool.storage import FullyContiguous, LayoutConfig

python = ctypes.pythonapi
python.PyCapsule_GetPointer.restype = ctypes.c_void_p
python.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
python.PyCapsule_SetName.argtypes = (ctypes.py_object, ctypes.c_char_p)
pool = BlockPool(8, 4)
layout = FullyContiguous(LayoutConfig(8, 2, 2, 4, 16, dtype="float32"))
pool.register_buffer(np.zeros(layout.part_shape, np.float32), layout=layout)
view = pool.allocate_blocks(2).layer_view(0)
used = b"used_dltensor_versioned"
for _ in range(3):
    capsule = view.__dlpack__(max_version=(1, 3))
    address = python.PyCapsule_GetPointer(capsule, b"dltensor_versioned")
    python.PyCapsule_SetName(capsule, used)
    deleter = ctypes.c_void_p.from_address(address + 16).value
    # What the C library runs when the process ends, after the interpreter.
    assert ctypes.CDLL(None).__cxa_atexit(ctypes.c_void_p(deleter), ctypes.c_void_p(address), None) == 0
"""


@pytest.mark.parametrize("kept", ["", "del view", "del view, pool", "sys.kept = (view, pool); del view, pool"])
def test_deleters_may_run_after_the_interpreter(run_python, kept):
    run_python(textwrap.dedent(AT_EXIT) + kept)


def test_pinned_memory_is_seen_by_the_processor_as_its_own(consumer, producer):
    memory = np.zeros((8, 2, 2, 4, 16), np.float32)
    pool = BlockPool(8, 4)
    pool.register_buffer(producer(memory.shape, memory.ctypes.data, device=(3, 0)), layout=FullyContiguous(CONFIG))
    block = pool.allocate_blocks(1)[0]
    view = block.layer_view(0)
    assert view.__dlpack_device__() == (3, 0)
    managed = consumer.take(view.__dlpack__(max_version=VERSION, dl_device=(1, 0)))
    assert (managed.tensor.device_type, managed.tensor.device_id) == (1, 0)
    consumer.end(managed)
    np.asarray(view)[:] = 1
    assert memory[block.id, 0, 0].sum() == 64


def test_layers_of_one_part_each_go_out_alone(consumer):
    pool = BlockPool(8, 4)
    parts = [np.full((2, 8, 4, 16), layer, np.float32) for layer in range(2)]
    pool.register_buffer(parts, layout=LayerSeparate(CONFIG))
    blocks = pool.allocate_blocks(8)
    for layer in range(2):
        managed = consumer.take(blocks.layer_view(layer).__dlpack__(max_version=VERSION))
        assert managed.tensor.data == parts[layer].ctypes.data
        consumer.end(managed)
