"""What a view shows, and what it says of itself."""

import copy
import gc
import pickle

import numpy as np
import pytest

from kvpool import BlockPool, BlockPoolError, BlockView, InvalidMutableBlock, StaleHandle
from kvpool.storage import FullyContiguous, LayerSeparate, LayoutConfig


def places():
    return [(layer, outer) for layer in range(3) for outer in range(2)]


def test_a_layer_view_is_the_region_that_the_layout_says(viewed, layout, parts, find_region):
    for block in viewed.allocate_blocks(8):
        for layer, outer in places():
            view = block.layer_view(layer, outer)
            expected = find_region(layout, parts, block.id, layer, outer)
            assert view.address == expected.ctypes.data == viewed.storage.address(block.id, layer, outer)
            assert np.array_equal(np.from_dlpack(view), expected)
            assert np.array_equal(np.asarray(view), expected)
            assert np.array_equal(memoryview(view), expected)


def test_a_run_of_blocks_has_an_axis_for_them(viewed, layout, parts, find_region):
    blocks = viewed.allocate_blocks(8)
    for run in (blocks[2:6], blocks[1::3], blocks[5:6], blocks[::-1]):
        for layer, outer in places():
            array = np.asarray(run.layer_view(layer, outer))
            assert array.shape == (len(run), 4, 16)
            for row, block in zip(array, run.ids, strict=True):
                assert np.array_equal(row, find_region(layout, parts, block, layer, outer))


def test_a_view_of_a_whole_block_has_its_layers_and_outers_in_front(viewed, layout, parts, find_region):
    blocks = viewed.allocate_blocks(3)
    if not isinstance(layout, FullyContiguous):
        with pytest.raises(BufferError, match=r"not in one place, but in [36]: use layer_view"):
            blocks[0].block_view()
        assert viewed.num_views == 0
        return
    array = np.from_dlpack(blocks[1].block_view())
    run = np.from_dlpack(blocks.block_view())
    assert array.shape == (3, 2, 4, 16)
    assert run.shape == (3, 3, 2, 4, 16)
    assert np.array_equal(run[1], array)
    for layer, outer in places():
        assert np.array_equal(array[layer, outer], find_region(layout, parts, blocks[1].id, layer, outer))


def test_the_memory_of_all_blocks_is_a_view_that_holds_none(viewed, layout, parts, find_region):
    for layer, outer in places():
        array = np.from_dlpack(viewed.layer_view(layer, outer))
        assert array.shape == (8, 4, 16)
        for block in range(8):
            assert np.array_equal(array[block], find_region(layout, parts, block, layer, outer))
    assert viewed.available_blocks == 8
    assert viewed.num_views == 1


def test_gaps_between_regions_are_not_shown():
    layout = FullyContiguous(LayoutConfig(8, 3, 2, 4, 5, dtype="float32", alignment=64))
    raw = np.zeros(layout.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    part = np.ndarray(layout.part_shape, np.float32, raw[start:], 0, layout.part_strides)
    pool = BlockPool(8, 4)
    pool.register_buffer(part, layout=layout)
    blocks = pool.allocate_blocks(8)
    np.from_dlpack(blocks.layer_view(1, 1))[:] = 1
    view = blocks[3].block_view()
    assert view.strides == part.strides[1:]
    assert np.array_equal(np.from_dlpack(view), part[3])
    assert raw.view(np.float32).sum() == 8 * 4 * 5
    with pytest.raises(BufferError, match="do not lie one behind the other"):
        np.frombuffer(view, np.uint8)


def test_heads_are_axes_of_their_own():
    for order, shape in (("NHD", (4, 2, 8)), ("HND", (2, 4, 8))):
        layout = LayerSeparate(LayoutConfig(8, 3, 2, 4, 16, dtype="float32", num_heads=2, order=order))
        parts = [np.zeros(layout.part_shape, np.float32) for _ in range(3)]
        pool = BlockPool(8, 4)
        pool.register_buffer(parts, layout=layout)
        assert pool.allocate_blocks(1)[0].layer_view(0).shape == shape


def test_views_of_mutable_blocks_write_and_those_of_immutable_ones_do_not(viewed, parts):
    mutable = viewed.allocate_blocks(2)
    for view in (mutable[0].layer_view(0), mutable.layer_view(0)):
        assert not view.readonly
        for array in (np.from_dlpack(view), np.asarray(view), np.asarray(memoryview(view))):
            assert array.flags.writeable
            array[:] = -5
    assert sum(np.count_nonzero(part == -5) for part in parts) == 2 * 64
    immutable = viewed.register_blocks(mutable, [1, 2])
    for view in (immutable[0].layer_view(0), immutable.layer_view(0)):
        assert view.readonly
        assert "read-only" in repr(view)
        assert np.array_equal(np.from_dlpack(view), np.full(view.shape, -5.0))
        for array in (np.from_dlpack(view), np.asarray(view), np.asarray(memoryview(view))):
            assert not array.flags.writeable
        with open("/dev/zero", "rb", buffering=0) as zeros, pytest.raises((BufferError, TypeError), match="read-write"):
            zeros.readinto(view)


def test_a_view_says_what_it_is(held):
    block = held().allocate_blocks(1)[0]
    view = block.layer_view(2, 1)
    assert (view.shape, view.strides, view.ndim) == ((4, 16), (64, 4), 2)
    assert (view.dtype, view.itemsize, view.nbytes) == ("float32", 4, 256)
    assert view.device == view.__dlpack_device__() == (1, 0)
    assert view.ids.tolist() == [block.id]
    assert repr(view) == "<BlockView of float32 (4, 16) on device (1, 0)>"
    assert view.__array_interface__["data"] == (view.address, False)
    assert not hasattr(view, "__cuda_array_interface__")


def test_a_view_of_no_blocks_has_no_address(viewed):
    for blocks in (viewed.allocate_blocks(0), viewed.match_sequence_hashes([1])):
        view = blocks.layer_view(0)
        assert (view.shape, view.address, view.nbytes) == ((0, 4, 16), 0, 0)
        assert np.from_dlpack(view).shape == np.asarray(view).shape == (0, 4, 16)
        assert view.ids.tolist() == []


@pytest.mark.parametrize(
    ("place", "error", "message"),
    [
        ((3,), IndexError, r"layer = 3 is not in \[0, 2\]"),
        ((-1,), IndexError, r"layer = -1 is not in \[0, 2\]"),
        ((0, 2), IndexError, r"outer = 2 is not in \[0, 1\]"),
        ((2**64, 0), IndexError, "layer = 18446744073709551616 is not in"),
        ((True,), TypeError, "layer must be an int, not bool"),
        ((None,), TypeError, "layer must be an int, not None"),
        ((1.0,), TypeError, "float"),
    ],
)
def test_a_place_that_is_not_there_is_refused(viewed, unchanged, place, error, message):
    mutable = viewed.allocate_blocks(2)
    immutable = viewed.register_blocks(viewed.allocate_blocks(2), [1, 2])
    item = immutable[0]
    with unchanged(viewed):
        for blocks in (mutable, mutable[0], immutable, item):
            with pytest.raises(error, match=message):
                blocks.layer_view(*place)
        if place[0] is not None:
            with pytest.raises(error, match=message):
                viewed.layer_view(*place)
    assert viewed.num_views == 0


def test_places_may_be_of_any_type_that_is_an_index(viewed):
    block = viewed.allocate_blocks(1)[0]
    assert block.layer_view(np.int64(2), np.uint8(1)).address == block.layer_view(2, 1).address


def test_blocks_that_are_not_evenly_apart_are_no_run(viewed, unchanged):
    blocks = viewed.allocate_blocks(4)
    odd = blocks[0:1] + blocks[1:2] + blocks[3:4]
    with unchanged(viewed), pytest.raises(BufferError, match="blocks 1 and 3 are not 1 apart"):
        odd.layer_view(0)
    assert viewed.num_views == 0


def test_blocks_that_went_have_no_view(viewed, unchanged):
    mutable = viewed.allocate_blocks(2)
    block = mutable[0]
    block.release()
    with unchanged(viewed):
        for gone in (block, mutable):
            with pytest.raises(InvalidMutableBlock, match="released or registered"):
                gone.layer_view(0)
    immutable = viewed.register_blocks(mutable[1:], [1])
    item = immutable[0]
    immutable.release()
    item.release()
    with unchanged(viewed):
        for gone in (immutable, item):
            with pytest.raises(StaleHandle, match="may be anyone's"):
                gone.layer_view(0)
        with pytest.raises(InvalidMutableBlock, match="released or registered"):
            mutable.layer_view(0)


def test_without_a_storage_there_is_nothing_to_see():
    pool = BlockPool(4)
    block = pool.allocate_blocks(1)[0]
    for see in (block.block_view, lambda: block.layer_view(0), lambda: pool.layer_view(0)):
        with pytest.raises(BlockPoolError, match="no memory for its blocks: attach_storage or register_buffer"):
            see()


def test_views_are_neither_made_nor_copied_nor_derived_from():
    with pytest.raises(TypeError, match="made by layer_view"):
        BlockView()
    with pytest.raises(TypeError, match="acceptable base type"):
        type("Derived", (BlockView,), {})
    raw = BlockView.__new__(BlockView)
    for use in (raw.__dlpack__, lambda: memoryview(raw), lambda: raw.as_dtype("uint8"), raw.__array__):
        with pytest.raises(BufferError, match="made past the pool"):
            use()
    assert repr(raw) == "<BlockView of nothing>"
    for use in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            use(raw)
    assert not gc.is_tracked(raw)


@pytest.mark.parametrize(
    ("dtype", "raw"), [("bfloat16", np.uint16), ("float8_e4m3fn", np.uint8), ("float8_e5m2", np.uint8)]
)
def test_what_numpy_does_not_have_is_seen_as_integers(held, dtype, raw):
    pool = held(dtype, raw)
    block = pool.allocate_blocks(1)[0]
    view = block.layer_view(0)
    name = np.dtype(raw).name
    assert view.dtype == dtype
    for see in (np.asarray, memoryview):
        with pytest.raises((BufferError, TypeError), match=rf"NumPy has no {dtype}: use as_dtype\('{name}'\)"):
            see(view)
    assert not hasattr(view, "__array_interface__")
    whole = view.as_dtype(name)
    np.from_dlpack(whole)[:] = 3
    assert np.asarray(whole).dtype == raw
    assert np.asarray(block.layer_view(0).as_dtype("uint8")).sum() == 3 * 64
    assert whole.as_dtype(dtype).dtype == dtype


def test_elements_can_be_divided_into_smaller_ones(held):
    pool = held()
    block = pool.allocate_blocks(1)[0]
    np.asarray(block.layer_view(0))[:] = np.arange(64, dtype=np.float32).reshape(4, 16)
    halves = block.layer_view(0).as_dtype(np.uint16)
    assert (halves.shape, halves.strides) == ((4, 32), (64, 2))
    assert np.array_equal(np.from_dlpack(halves).view(np.float32), np.asarray(block.layer_view(0)))
    with pytest.raises(ValueError, match=r"elements of 8 bytes \(float64\) do not divide those of 4 \(float32\)"):
        block.layer_view(0).as_dtype("float64")
    with pytest.raises(ValueError, match="dtype = 'nothing'"):
        block.layer_view(0).as_dtype("nothing")


def test_another_type_of_a_view_holds_the_blocks_as_well(held):
    pool = held()
    view = pool.allocate_blocks(2).layer_view(0).as_dtype("uint8")
    assert pool.available_blocks == 6
    assert view.ids.tolist() == [0, 1]
    del view
    assert pool.available_blocks == 8


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint16", "int32", "uint64", "float16", "float64", "complex64", "complex128"]
)
def test_every_type_of_numpy_is_the_same_on_both_ways(held, dtype):
    view = held(dtype, dtype).allocate_blocks(1)[0].layer_view(0)
    assert np.asarray(view).dtype == np.from_dlpack(view).dtype == np.dtype(dtype)
