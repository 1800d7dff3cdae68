"""What the tests of storages share: sizes, layouts, and a slow model in NumPy."""

import numpy as np

from kvpool.storage import FullyContiguous, HostStorage, LayerSeparate, LayoutConfig, OuterSeparate

KINDS = {
    "contiguous": FullyContiguous,
    "outer contiguous": lambda config: LayerSeparate(config, outer_contiguous=True),
    "block contiguous": lambda config: LayerSeparate(config, outer_contiguous=False),
    "separate": OuterSeparate,
}


def config_of(**sizes):
    sizes = {"num_blocks": 7, "num_layers": 3, "outer_dim": 2, "page_size": 4, "inner_dim": 10, **sizes}
    return LayoutConfig(**sizes)


def lazy(layout):
    return HostStorage(layout, populate=False)


def region_bytes_of(storage, block, layer, outer):
    """The bytes of a region, as an array over the memory of the storage."""
    part, offset, size = storage.layout.region(block, layer, outer)
    return np.frombuffer(storage.memory.owner[part], np.uint8)[offset : offset + size]


def content(storage):
    """All regions, copied one by one: shape (num_blocks, num_layers, outer_dim, region_bytes)."""
    config = storage.layout.config
    places = [
        (block, layer, outer)
        for block in range(config.num_blocks)
        for layer in range(config.num_layers)
        for outer in range(config.outer_dim)
    ]
    regions = [region_bytes_of(storage, *place) for place in places]
    return np.stack(regions).reshape(config.num_blocks, config.num_layers, config.outer_dim, -1)


def parts_of(storage):
    """Every byte of every part, gaps included, copied."""
    return [np.frombuffer(part, np.uint8).copy() for part in storage.memory.owner]


def fill_at_random(storage, seed):
    generator = np.random.default_rng(seed)
    for part in storage.memory.owner:
        bytes_of_part = np.frombuffer(part, np.uint8)
        bytes_of_part[:] = generator.integers(1, 256, len(bytes_of_part), dtype=np.uint8)
