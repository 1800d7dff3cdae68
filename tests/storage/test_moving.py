"""Copies, gathers and scatters against NumPy, for random ids and layouts."""

import ctypes
import itertools
import threading

import numpy as np
import pytest
from storage_model import KINDS, config_of, content, fill_at_random, lazy, parts_of

from kvpool import BlockPool
from kvpool.storage import (
    FullyContiguous,
    LayerSeparate,
    LayoutConfig,
    NullStorage,
    Storage,
    block_runs,
    copy_blocks,
    copy_runs,
    gather_blocks,
    scatter_blocks,
)


def filled(kind, seed, **sizes):
    storage = lazy(kind(config_of(**{"num_blocks": 40, **sizes})))
    fill_at_random(storage, seed)
    return storage


@pytest.mark.parametrize(("one", "two"), list(itertools.product(KINDS, KINDS)))
def test_a_copy_moves_these_blocks_and_no_other_byte(one, two):
    generator = np.random.default_rng(7)
    source, destination = filled(KINDS[one], 1), filled(KINDS[two], 2, num_blocks=30, alignment=16)
    for threads in (None, 1, 2, 5):
        n = int(generator.integers(1, 31))
        source_ids = generator.integers(0, 40, n)  # a block may be read more than once
        destination_ids = generator.permutation(30)[:n].astype(np.int32)
        expected = content(destination)
        expected[destination_ids] = content(source)[source_ids]
        model = lazy(destination.layout)
        for part, was in zip(model.memory.owner, parts_of(destination), strict=True):
            np.frombuffer(part, np.uint8)[:] = was
        copy_blocks(source, source_ids, destination, destination_ids, threads=threads)
        assert np.array_equal(content(destination), expected)
        scatter_blocks(model, range(30), expected.reshape(30, -1))  # the gaps stay as they were
        assert all(map(np.array_equal, parts_of(destination), parts_of(model)))


def test_a_copy_within_a_storage_may_not_read_what_it_writes(kind):
    storage = filled(kind, 3)
    expected = content(storage)
    expected[[10, 11, 12]] = expected[[3, 1, 1]]
    copy_blocks(storage, [3, 1, 1], storage, [10, 11, 12])
    assert np.array_equal(content(storage), expected)
    for source_ids, destination_ids in (([1, 2], [2, 3]), ([5], [5]), ([0, 9], [9, 8])):
        with pytest.raises(ValueError, match=r"source_ids\[\d\] = \d is among destination_ids"):
            copy_blocks(storage, source_ids, storage, destination_ids)
    assert np.array_equal(content(storage), expected)


def test_a_block_is_written_once_by_a_copy(kind):
    source, destination = filled(kind, 4), filled(kind, 5)
    before = content(destination)
    with pytest.raises(ValueError, match=r"destination_ids\[3\] = 8 is named twice"):
        copy_blocks(source, [0, 1, 2, 3], destination, [9, 8, 7, 8])
    with pytest.raises(ValueError, match="named twice"):
        scatter_blocks(destination, [4, 4], bytes(2 * destination.layout.block_bytes))
    assert np.array_equal(content(destination), before)


def test_memory_seen_through_two_layouts_is_not_copied_onto_itself():
    storage = filled(FullyContiguous, 6)
    other = Storage(
        LayerSeparate(config_of(num_blocks=10)), [storage.memory.bases[0] + i * 4800 for i in range(3)], storage
    )
    with pytest.raises(ValueError, match="share memory"):
        copy_blocks(storage, [0], other, [9])
    buffer = np.frombuffer(storage.memory.owner[0], np.uint8)
    with pytest.raises(ValueError, match="the buffer is a part of the storage"):
        gather_blocks(storage, [30], out=buffer[:480])
    with pytest.raises(ValueError, match="the buffer is a part of the storage"):
        gather_blocks(storage, [30], out=buffer[481:961])
    with pytest.raises(ValueError, match="the buffer is a part of the storage"):
        scatter_blocks(storage, [30], buffer[-480:])


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 40], IndexError, r"ids\[1\] = 40 is not in \[0, 39\]"),
        ([-1], IndexError, r"ids\[0\] = -1 is not in \[0, 39\]"),
        (np.array([0, 2**32]), IndexError, r"ids\[1\] = 4294967296 is not in"),
        (np.array([2**64 - 1], np.uint64), IndexError, r"ids\[0\] = 18446744073709551615 is not in"),
        ([0.0], TypeError, "must be integers, not float64"),
        ([True], TypeError, "must be integers, not bool"),
        (["0"], TypeError, "must be integers"),
        ([[0]], ValueError, "has 2 dimensions, not 1"),
        (0, ValueError, "has 0 dimensions, not 1"),
    ],
)
def test_an_id_that_is_not_a_blocks_is_named_and_nothing_is_changed(ids, error, message):
    source, destination = filled(FullyContiguous, 8), filled(LayerSeparate, 9)
    before = content(destination)
    n = np.size(ids)
    for call in (
        lambda: copy_blocks(source, ids, destination, range(n)),
        lambda: copy_blocks(source, range(n), destination, ids),
        lambda: gather_blocks(source, ids),
        lambda: scatter_blocks(destination, ids, bytes(n * 480)),
        lambda: block_runs(source, ids),
        lambda: copy_runs(source, ids, destination, range(n)),
    ):
        with pytest.raises(error, match=message):
            call()
    assert np.array_equal(content(destination), before)


def test_both_lists_of_ids_have_the_same_length():
    storage = filled(FullyContiguous, 8)
    with pytest.raises(ValueError, match="2 source_ids are given for 1 destination_ids"):
        copy_blocks(storage, [0, 1], storage, [2])


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_layers": 2},
        {"outer_dim": 1},
        {"page_size": 8},
        {"inner_dim": 20},
        {"dtype": "bfloat16"},
        {"dtype": "uint8"},
    ],
)
def test_blocks_of_other_sizes_are_not_copied(sizes):
    with pytest.raises(ValueError, match="are not"):
        copy_blocks(filled(FullyContiguous, 1), [0], filled(FullyContiguous, 2, **sizes), [0])


def test_blocks_in_another_order_of_heads_are_not_copied():
    nhd, hnd = filled(FullyContiguous, 1, num_heads=5), filled(FullyContiguous, 2, num_heads=5, order="HND")
    with pytest.raises(
        ValueError, match=r"regions of \(4, 5, 2\) float16 are not those of the destination, \(5, 4, 2\)"
    ):
        copy_blocks(nhd, [0], hnd, [0])


def test_no_ids_is_a_copy_of_nothing(kind):
    source, destination = filled(kind, 1), filled(kind, 2)
    before = content(destination)
    copy_blocks(source, [], destination, np.array([], np.int64))
    assert gather_blocks(source, []).shape == (0, 480)
    scatter_blocks(destination, [], b"")
    assert [len(array) for array in block_runs(source, [])] == [0, 0]
    assert np.array_equal(content(destination), before)


@pytest.mark.parametrize("threads", [0, 65, -1, 1.0, True])
def test_a_number_of_threads_is_checked(threads):
    source, destination = filled(FullyContiguous, 1), filled(FullyContiguous, 2)
    with pytest.raises((ValueError, TypeError), match="threads"):
        copy_blocks(source, [0], destination, [0], threads=threads)


def test_a_gather_is_every_block_without_gaps_and_a_scatter_its_way_back(kind):
    source, destination = filled(kind, 11, alignment=32), filled(kind, 12)
    ids = np.random.default_rng(1).permutation(40)[:23]
    packed = gather_blocks(source, ids)
    assert packed.dtype == np.uint8
    assert np.array_equal(packed, content(source)[ids].reshape(23, -1))
    expected = content(destination)
    expected[ids[::-1]] = content(source)[ids]
    scatter_blocks(destination, ids[::-1], packed)
    assert np.array_equal(content(destination), expected)


def test_a_gather_may_name_a_block_twice_and_fill_a_buffer_of_the_callers():
    storage = filled(LayerSeparate, 13)
    room = bytearray(3 * storage.layout.block_bytes)
    packed = gather_blocks(storage, [5, 5, 2], out=room)
    assert np.array_equal(packed, content(storage)[[5, 5, 2]].reshape(3, -1))
    assert bytes(room) == packed.tobytes()
    for wrong in (bytearray(3 * 480 - 1), bytearray(3 * 480 + 1), bytearray()):
        with pytest.raises(ValueError, match=f"the buffer has {len(wrong)} bytes, not the 1440 of 3 blocks"):
            gather_blocks(storage, [5, 5, 2], out=wrong)
    with pytest.raises(BufferError):
        gather_blocks(storage, [0], out=bytes(480))


def test_runs_are_the_gather_without_a_copy(kind):
    storage = filled(kind, 14)
    ids = [3, 4, 5, 20, 7, 8]
    addresses, sizes = block_runs(storage, ids)
    joined = b"".join(ctypes.string_at(int(a), int(n)) for a, n in zip(addresses, sizes, strict=True))
    assert joined == gather_blocks(storage, ids).tobytes()


def test_neighbours_are_one_run_where_they_lie_together():
    contiguous, layers = filled(FullyContiguous, 15), filled(LayerSeparate, 16)
    assert block_runs(contiguous, [3, 4, 5, 20, 7, 8])[1].tolist() == [3 * 480, 480, 2 * 480]
    assert len(block_runs(layers, [3, 4])[0]) == 12
    sources, destinations, sizes = copy_runs(layers, [3, 4, 9], layers, [20, 21, 22])
    assert sizes.tolist() == [160, 80] * 6
    assert sources[0] == layers.address(3, 0, 0)
    assert destinations[1] == layers.address(22, 0, 0)


def test_handles_name_their_blocks():
    pool = BlockPool(40, block_size=4)
    source, destination = filled(FullyContiguous, 17), filled(LayerSeparate, 18)
    fresh = pool.allocate_blocks(3)
    copy_blocks(source, [1, 2, 3], destination, fresh)
    assert np.array_equal(content(destination)[fresh.ids], content(source)[[1, 2, 3]])


def test_a_large_copy_by_several_threads_is_exact():
    config = LayoutConfig(96, 4, 2, page_size=16, inner_dim=1023)  # 24 MiB; regions that begin anywhere
    config_of_runs = LayoutConfig(192, 4, 2, page_size=16, inner_dim=1023, alignment=64)
    source, destination = lazy(LayerSeparate(config)), lazy(FullyContiguous(config_of_runs))
    fill_at_random(source, 19)
    ids = np.random.default_rng(2).permutation(192)[:96]
    for threads in (1, 3):
        copy_blocks(source, range(96), destination, ids, threads=threads)
        assert np.array_equal(gather_blocks(destination, ids), gather_blocks(source, range(96)))


def test_a_large_copy_lets_other_threads_run():
    config = LayoutConfig(64, 8, 2, page_size=16, inner_dim=1024)  # 32 MiB
    source, destination = lazy(FullyContiguous(config)), lazy(FullyContiguous(config))
    is_done = threading.Event()
    steps = 0

    def copy():
        for _ in range(20):
            copy_blocks(source, range(64), destination, range(64))
        is_done.set()

    thread = threading.Thread(target=copy)
    thread.start()
    while not is_done.is_set():
        steps += 1
    thread.join()
    assert steps > 1000


def test_a_device_is_copied_by_the_hook_of_the_destination_or_of_the_source():
    host, device = filled(FullyContiguous, 20), NullStorage(LayerSeparate(config_of(num_blocks=40)), device=(2, 0))
    calls = []
    with pytest.raises(ValueError, match=r"devices \(1, 0\) and \(2, 0\) need the copy_hook"):
        copy_blocks(host, [0], device, [1])
    host.copy_hook = lambda *call: calls.append(("host", *call))
    copy_blocks(host, [0, 5], device, [1, 2])
    device.copy_hook = lambda *call: calls.append(("device", *call))
    copy_blocks(host, [0, 5], device, [1, 2])
    copy_blocks(device, [1, 2], host, [0, 5])
    assert [call[0] for call in calls] == ["host", "device", "host"]
    for call in calls:
        assert call[2].dtype == call[4].dtype == np.int32
    assert calls[0][1] is host
    assert calls[0][3] is device
    assert calls[0][2].tolist() == [0, 5]
    assert calls[0][4].tolist() == [1, 2]


def test_a_hook_is_not_asked_for_what_is_wrong():
    host, device = filled(FullyContiguous, 21), NullStorage(LayerSeparate(config_of(num_blocks=40)), device=(2, 0))
    device.copy_hook = lambda *call: pytest.fail("the hook was called")
    with pytest.raises(IndexError, match=r"source_ids\[0\] = 40"):
        copy_blocks(host, [40], device, [1])
    with pytest.raises(ValueError, match="named twice"):
        copy_blocks(host, [1, 2], device, [1, 1])


def test_a_hook_can_copy_the_runs_itself():
    """As a device's own function would: here plain memory that claims to be of a device."""
    host, room = filled(FullyContiguous, 22), filled(LayerSeparate, 23)
    device = Storage(room.layout, room.memory.bases, room.memory, device=(2, 0), is_host=False)

    def copy(source, source_ids, destination, destination_ids):
        for run in zip(*copy_runs(source, source_ids, destination, destination_ids), strict=True):
            ctypes.memmove(int(run[1]), int(run[0]), int(run[2]))

    device.copy_hook = copy
    copy_blocks(host, [1, 2, 9], device, [4, 5, 6])
    assert np.array_equal(content(room)[[4, 5, 6]], content(host)[[1, 2, 9]])
    for call in (lambda: gather_blocks(device, [0]), lambda: scatter_blocks(device, [0], bytes(480))):
        with pytest.raises(ValueError, match=r"device \(2, 0\) is not the host's"):
            call()


def test_a_closed_storage_is_not_copied():
    source, destination = filled(FullyContiguous, 1), filled(FullyContiguous, 2)
    source.close()
    with pytest.raises(ValueError, match="closed"):
        copy_blocks(source, [0], destination, [0])
