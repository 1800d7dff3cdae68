"""Every layout against ndarrays of the shapes it claims, and at the ends of 64-bit arithmetic."""

import itertools
import re

import numpy as np
import pytest
from storage_model import KINDS, config_of, lazy

from kvpool.storage import (
    FullyContiguous,
    LayerSeparate,
    Layout,
    LayoutConfig,
    NullStorage,
    OuterSeparate,
    flashinfer_layout,
    sglang_layout,
    vllm_layout,
)


def addresses(layout):
    """Part and offset of every element, shape (blocks, layers, outer, elements), by the layout's own word."""
    config = layout.config
    size = layout.config.dtype.itemsize
    found = np.empty((config.num_blocks, config.num_layers, config.outer_dim, config.page_size * config.inner_dim, 2))
    for block, layer, outer in itertools.product(*map(range, found.shape[:3])):
        part, offset, nbytes = layout.region(block, layer, outer)
        assert nbytes == found.shape[3] * size
        found[block, layer, outer, :, 0] = part
        found[block, layer, outer, :, 1] = offset + size * np.arange(found.shape[3])
    return found


def slow_addresses(layout, index_of):
    """The same out of ndarrays: index_of(block, layer, outer) gives the part and the index of a region in it."""
    config = layout.config
    parts = [np.zeros(layout.part_bytes, np.uint8) for _ in range(layout.num_parts)]
    arrays = [np.ndarray(layout.part_shape, config.dtype.numpy, part, 0, layout.part_strides) for part in parts]
    found = np.empty((config.num_blocks, config.num_layers, config.outer_dim, config.page_size * config.inner_dim, 2))
    for block, layer, outer in itertools.product(*map(range, found.shape[:3])):
        part, index = index_of(block, layer, outer)
        region = arrays[part][index]
        assert region.shape == config.region_shape
        start = region.__array_interface__["data"][0] - parts[part].ctypes.data
        places = np.zeros(region.shape)
        for axis, stride in enumerate(region.strides):
            places += np.expand_dims(
                stride * np.arange(region.shape[axis]), tuple(a for a in range(region.ndim) if a != axis)
            )
        found[block, layer, outer, :, 0] = part
        found[block, layer, outer, :, 1] = start + places.ravel()
    return found


INDEX_OF = {
    "contiguous": lambda block, layer, outer: (0, (block, layer, outer)),
    "outer contiguous": lambda block, layer, outer: (layer, (outer, block)),
    "block contiguous": lambda block, layer, outer: (layer, (block, outer)),
    "separate": lambda block, layer, outer: (None, (block,)),
}


@pytest.mark.parametrize("name", list(KINDS))
@pytest.mark.parametrize("dtype", ["uint8", "float16", "float64"])
@pytest.mark.parametrize("alignment", [1, 4, 64])
@pytest.mark.parametrize("heads", [{}, {"num_heads": 5}, {"num_heads": 5, "order": "HND"}])
@pytest.mark.parametrize("outer_dim", [1, 2])
def test_every_element_is_where_an_array_of_that_shape_has_it(name, dtype, alignment, heads, outer_dim):
    layout = KINDS[name](config_of(dtype=dtype, alignment=alignment, outer_dim=outer_dim, **heads))

    def index_of(block, layer, outer):
        part, index = INDEX_OF[name](block, layer, outer)
        return layer * outer_dim + outer if part is None else part, index

    assert np.array_equal(addresses(layout), slow_addresses(layout, index_of))


def test_no_two_regions_share_a_byte_and_all_lie_in_their_parts(kind):
    for alignment in (1, 32):
        layout = kind(config_of(alignment=alignment))
        taken = np.zeros((layout.num_parts, layout.part_bytes), np.uint8)
        for place in itertools.product(range(7), range(3), range(2)):
            part, offset, size = layout.region(*place)
            assert offset % alignment == 0
            taken[part, offset : offset + size] += 1
        assert taken.max() == 1
        assert taken.sum() == 7 * layout.block_bytes
        assert layout.nbytes == taken.size


def test_without_alignment_there_are_no_gaps(kind):
    layout = kind(config_of())
    assert layout.nbytes == 7 * layout.block_bytes == 7 * 3 * 2 * 4 * 10 * 2


def test_strides_are_rounded_up_to_the_alignment(kind):
    geometry = kind(config_of(alignment=64)).geometry
    assert (geometry.region_bytes, geometry.region_stride) == (80, 128)
    assert all(stride % 64 == 0 for stride in (geometry.block_stride, geometry.layer_stride, geometry.outer_stride))


@pytest.mark.parametrize(
    ("place", "name", "bound"),
    [
        ((7, 0, 0), "block = 7", "[0, 6]"),
        ((-1, 0, 0), "block = -1", "[0, 6]"),
        ((0, 3, 0), "layer = 3", "[0, 2]"),
        ((0, -1, 0), "layer = -1", "[0, 2]"),
        ((0, 0, 2), "outer = 2", "[0, 1]"),
        ((2**70, 0, 0), f"block = {2**70}", "[0, 6]"),
    ],
)
def test_an_index_out_of_range_is_named_with_its_bound(kind, place, name, bound):
    layout = kind(config_of())
    storage = NullStorage(layout)
    for look in (layout.region, storage.address):
        with pytest.raises(IndexError, match=re.escape(f"{name} is not in {bound}")):
            look(*place)


@pytest.mark.parametrize("value", [True, 1.0, "1", None])
def test_an_index_that_is_not_an_int_is_refused(kind, value):
    for place in ((value, 0, 0), (0, value, 0), (0, 0, value)):
        with pytest.raises(TypeError):
            kind(config_of()).region(*place)


@pytest.mark.parametrize(
    ("sizes", "product", "value"),
    [
        ({"page_size": 2**32, "inner_dim": 2**32}, "page_size * inner_dim", 2**64),
        ({"page_size": 2**32, "inner_dim": 2**31}, "page_size * inner_dim", 2**63),
        ({"page_size": 2**31, "inner_dim": 2**31}, "page_size * inner_dim * itemsize", 2**63),
        ({"page_size": 2**62 + 1, "inner_dim": 1, "alignment": 2**62, "dtype": "uint8"}, "region_stride", 2**63),
        (
            {"page_size": 2**30, "inner_dim": 2**24, "num_blocks": 43},
            "num_blocks * num_layers * outer_dim * region_stride",
            43 * 6 * 2**55,
        ),
    ],
)
def test_each_product_that_is_too_large_is_named_with_its_value_and_the_bound(kind, sizes, product, value):
    with pytest.raises(ValueError, match=re.escape(f"{product} = {value} is more than 2**63 - 1 = {2**63 - 1}")):
        kind(config_of(**sizes))


def test_one_block_less_than_too_large_fits(kind):
    assert kind(config_of(page_size=2**30, inner_dim=2**24, num_blocks=42)).nbytes == 42 * 6 * 2**55


def test_the_largest_memory_that_can_be_counted_is_counted_exactly(kind):
    config = LayoutConfig(1, 1, 1, page_size=2**63 - 1, inner_dim=1, dtype="uint8")
    layout = kind(config)
    assert layout.nbytes == 2**63 - 1
    assert layout.region(0, 0, 0) == (0, 0, 2**63 - 1)


@pytest.mark.parametrize("num_blocks", [2**16, 2**17, 2**31 - 103])
def test_addresses_are_exact_beyond_31_and_32_bits(kind, num_blocks):
    layout = kind(LayoutConfig(num_blocks, 2, 2, page_size=16, inner_dim=1024, dtype="bfloat16", alignment=256))
    if layout.nbytes > 2**62:
        with pytest.raises(ValueError, match="2\\*\\*62"):
            NullStorage(layout)
        return
    storage = NullStorage(layout)
    region = 32768
    for block, layer, outer in itertools.product((0, 1, num_blocks // 2, num_blocks - 1), range(2), range(2)):
        number, part = {
            "contiguous": ((block * 2 + layer) * 2 + outer, 0),
            "layer_outers": (outer * num_blocks + block, layer),
            "layer_blocks": (block * 2 + outer, layer),
            "separate": (block, layer * 2 + outer),
        }[
            "contiguous"
            if isinstance(layout, FullyContiguous)
            else "separate"
            if isinstance(layout, OuterSeparate)
            else "layer_outers"
            if layout.outer_contiguous
            else "layer_blocks"
        ]
        assert layout.region(block, layer, outer) == (part, number * region, region)
        assert storage.address(block, layer, outer) == storage.memory.bases[part] + number * region


def test_five_gigabytes_of_lazy_memory_are_reached_at_both_ends(kind):
    """Only the pages of the first and last bytes are touched."""
    layout = kind(LayoutConfig(40_000, 2, 2, page_size=16, inner_dim=1024, dtype="bfloat16"))
    assert layout.nbytes > 2**32
    storage = lazy(layout)
    places = list(itertools.product((0, 20_000, 39_999), range(2), range(2)))
    parts = [np.frombuffer(part, np.uint8) for part in storage.memory.owner]
    for number, place in enumerate(places, 1):
        part, offset, size = layout.region(*place)
        assert storage.address(*place) == parts[part].ctypes.data + offset
        parts[part][offset] = parts[part][offset + size - 1] = number
    for number, place in enumerate(places, 1):
        part, offset, size = layout.region(*place)
        assert parts[part][offset] == parts[part][offset + size - 1] == number
        assert parts[part][offset + 1] == 0


def test_a_layout_keeps_nothing_for_a_block(kind):
    small, large = (kind(config_of(num_blocks=blocks)) for blocks in (1, 2**31 - 103))
    assert small.geometry.__sizeof__() == large.geometry.__sizeof__()


def test_a_layout_is_made_of_a_config():
    with pytest.raises(TypeError, match="config must be a LayoutConfig, not dict"):
        FullyContiguous({"num_blocks": 1})


def test_a_layout_says_what_it_is():
    assert repr(FullyContiguous(config_of())).startswith("<FullyContiguous of LayoutConfig(num_blocks=7,")
    assert issubclass(FullyContiguous, Layout)


@pytest.mark.parametrize("order", ["NHD", "HND"])
@pytest.mark.parametrize("blocks_first", [False, True])
def test_vllm_has_a_tensor_for_each_layer(order, blocks_first):
    layout = vllm_layout(9, 2, 16, 4, 8, "float16", blocks_first=blocks_first, order=order)
    shape = (9, 2, 16, 4, 8) if blocks_first else (2, 9, 16, 4, 8)
    tensors = [np.zeros(shape, np.float16) for _ in range(2)]
    if order == "HND":  # the same shape to look at, and the heads before the tokens in memory
        tensors = [np.zeros((*shape[:2], 4, 16, 8), np.float16).transpose(0, 1, 3, 2, 4) for _ in range(2)]
    assert layout.num_parts == 2
    assert layout.part_bytes == tensors[0].nbytes
    for block, layer, outer in itertools.product(range(9), range(2), range(2)):
        region = tensors[layer][(block, outer) if blocks_first else (outer, block)]
        start = region.__array_interface__["data"][0] - tensors[layer].__array_interface__["data"][0]
        assert layout.region(block, layer, outer) == (layer, start, region.nbytes)
        strides = region.strides if order == "NHD" else region.transpose(1, 0, 2).strides
        assert layout.config.region_strides == strides


def test_vllm_has_one_vector_a_token_with_mla():
    layout = vllm_layout(9, 2, 16, 1, 576, mla=True)
    assert layout.part_shape == (1, 9, 16, 1, 576)
    assert layout.block_bytes == 2 * 16 * 576 * 2
    with pytest.raises(ValueError, match="num_kv_heads = 4"):
        vllm_layout(9, 2, 16, 4, 576, mla=True)


def test_vllm_has_one_tensor_across_layers():
    layout = vllm_layout(9, 2, 16, 4, 8, across_layers=True)
    assert (layout.num_parts, layout.part_shape) == (1, (9, 2, 2, 16, 4, 8))
    with pytest.raises(ValueError, match="HND"):
        vllm_layout(9, 2, 16, 4, 8, across_layers=True, order="HND")


def test_sglang_has_keys_and_values_of_a_layer_apart_and_a_slot_for_each_token():
    size, page_size = 64, 16
    layout = sglang_layout(size, 3, page_size, 4, 8, "float16")
    k_buffer = [np.zeros((size + page_size, 4, 8), np.float16) for _ in range(3)]
    assert layout.config.num_blocks == 5
    assert (layout.num_parts, layout.part_bytes) == (6, k_buffer[0].nbytes)
    for page in range(5):
        slots = k_buffer[1][page * page_size : (page + 1) * page_size]
        start = slots.ctypes.data - k_buffer[1].ctypes.data
        assert layout.region(page, 1, 0) == (2, start, slots.nbytes)
        assert layout.region(page, 1, 1) == (3, start, slots.nbytes)
    with pytest.raises(ValueError, match="size = 65 is not a multiple of page_size = 16"):
        sglang_layout(65, 3, 16, 4, 8)


@pytest.mark.parametrize("kv_layout", ["NHD", "HND"])
def test_flashinfer_has_pages_of_keys_and_values_or_a_tensor_for_each(kv_layout):
    page = (16, 4, 8) if kv_layout == "NHD" else (4, 16, 8)
    together = flashinfer_layout(9, 2, 16, 4, 8, kv_layout=kv_layout)
    assert isinstance(together, LayerSeparate)
    assert together.part_shape == (9, 2, *page)
    apart = flashinfer_layout(9, 2, 16, 4, 8, kv_layout=kv_layout, separate=True)
    assert (apart.num_parts, apart.part_shape) == (4, (9, *page))
    for layout in (together, apart):
        compact = np.zeros(layout.part_shape, np.uint16)
        assert layout.part_strides == compact.strides
        assert layout.part_bytes == compact.nbytes
