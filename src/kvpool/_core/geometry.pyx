"""Addresses of a layout."""

cimport cython
from libc.stdint cimport uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.libkvp cimport KVP_MAX_BLOCKS, KVP_OK
from kvpool._core.libkvp_storage cimport (KVP_LAYOUT_CONTIGUOUS, KVP_LAYOUT_LAYER_BLOCKS, KVP_LAYOUT_LAYER_OUTERS,
                                          KVP_LAYOUT_SEPARATE, kvp_layout_block_bytes, kvp_layout_config,
                                          kvp_layout_init, kvp_layout_offset, kvp_layout_part)

import math
import operator

cdef dict KINDS = {
    "contiguous": KVP_LAYOUT_CONTIGUOUS,
    "layer_blocks": KVP_LAYOUT_LAYER_BLOCKS,
    "layer_outers": KVP_LAYOUT_LAYER_OUTERS,
    "separate": KVP_LAYOUT_SEPARATE,
}
cdef enum:
    MAX_LAYERS = 4096
cdef object MAX_BYTES = 2**63 - 1


cdef Py_ssize_t parse_index(object value, str name, uint64_t count) except -1:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not bool")
    number = operator.index(value)
    if not 0 <= number < count:
        raise IndexError(f"{name} = {number} is not in [0, {count - 1}]")
    return number


def check_sizes(num_blocks, num_layers, outer_dim, page_size, inner_dim, alignment):
    """Raise TypeError or ValueError for a size that is not in its bounds; return all as ints."""
    sizes = (
        parse_int(num_blocks, "num_blocks", 1, KVP_MAX_BLOCKS),
        parse_int(num_layers, "num_layers", 1, MAX_LAYERS),
        parse_int(outer_dim, "outer_dim", 1, 2),
        parse_int(page_size, "page_size", 1, MAX_BYTES),
        parse_int(inner_dim, "inner_dim", 1, MAX_BYTES),
        parse_int(alignment, "alignment", 1, 2**62),
    )
    if sizes[5] & (sizes[5] - 1):
        raise ValueError(f"alignment = {sizes[5]} is not a power of two in [1, 2**62]")
    return sizes


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class Geometry:
    """Where the bytes of each (block, layer, outer) are: a part, and an offset in it.

    Parameters
    ----------
    kind : {"contiguous", "layer_blocks", "layer_outers", "separate"}
        One part ``[block][layer][outer]``; one for each layer, ``[block][outer]`` or ``[outer][block]``; one for each
        layer and outer, ``[block]``.
    num_blocks, num_layers, outer_dim, page_size, inner_dim, item_size, alignment : int
        As in :class:`kvpool.storage.LayoutConfig`; item_size in bytes.

    Raises
    ------
    ValueError
        A size is out of its bounds, or a product of them is more than ``2**63 - 1`` bytes.
    """

    def __cinit__(self, str kind, num_blocks, num_layers, outer_dim, page_size, inner_dim, item_size, alignment):
        cdef kvp_layout_config config
        cdef const char *product
        sizes = check_sizes(num_blocks, num_layers, outer_dim, page_size, inner_dim, alignment)
        config.num_blocks, config.num_layers, config.outer_dim = sizes[:3]
        config.page_size, config.inner_dim, config.alignment = sizes[3:]
        config.item_size = parse_int(item_size, "item_size", 1, 65536)
        config.kind = KINDS[kind]
        if kvp_layout_init(&self.layout, &config, &product) != KVP_OK:
            values = dict(config, itemsize=config.item_size)
            region = math.prod((config.page_size, config.inner_dim, config.item_size))
            values["region_stride"] = -(-region // config.alignment) * config.alignment
            name = product.decode()
            value = math.prod(map(values.get, name.split(" * ")))
            raise ValueError(f"{name} = {value} is more than 2**63 - 1 = {MAX_BYTES}")

    def __reduce__(self):
        raise TypeError("Geometry cannot be copied or pickled: make one of the same sizes")

    cdef int parse_indices(self, object block, object layer, object outer, Py_ssize_t *indices) except -1:
        indices[0] = parse_index(block, "block", self.layout.config.num_blocks)
        indices[1] = parse_index(layer, "layer", self.layout.config.num_layers)
        indices[2] = parse_index(outer, "outer", self.layout.config.outer_dim)
        return 0

    def locate(self, block, layer, outer):
        """Return the (part, offset in bytes) at which a region begins."""
        cdef Py_ssize_t indices[3]
        self.parse_indices(block, layer, outer, indices)
        return (kvp_layout_part(&self.layout, indices[1], indices[2]),
                kvp_layout_offset(&self.layout, indices[0], indices[1], indices[2]))

    @property
    def region_bytes(self):
        """Bytes of a region, without what is behind it."""
        return self.layout.region_bytes

    @property
    def region_stride(self):
        """Bytes of a region, rounded up to a multiple of the alignment."""
        return self.layout.region_stride

    @property
    def block_stride(self):
        """Bytes from a block to the next in the same part."""
        return self.layout.block_stride

    @property
    def layer_stride(self):
        """Bytes from a layer to the next; 0 when each has a part of its own."""
        return self.layout.layer_stride

    @property
    def outer_stride(self):
        """Bytes from an outer index to the next; 0 when each has a part of its own."""
        return self.layout.outer_stride

    @property
    def num_parts(self):
        """Allocations that the memory consists of."""
        return self.layout.num_parts

    @property
    def part_bytes(self):
        """Bytes of each part."""
        return self.layout.part_bytes

    @property
    def block_bytes(self):
        """Bytes of a block without what is between its regions."""
        return kvp_layout_block_bytes(&self.layout)
