"""Show blocks' memory to other libraries: make views, take them in, and register buffers of any size."""

import numpy as np
import pytest
from workloads import calls_of_a_round

from kvpool import BlockPool
from kvpool.storage import FullyContiguous, LayerSeparate, LayoutConfig

CALLS = 2000


class Elsewhere:
    """A tensor on a device, which nobody reads: of any size without its memory."""

    def __init__(self, shape):
        self.__cuda_array_interface__ = {"shape": shape, "typestr": "<f2", "data": (2**40, False), "version": 3}


@pytest.fixture
def blocks():
    """Return a mutable and an immutable block of a pool with memory of the host."""
    layout = LayerSeparate(LayoutConfig(64, 4, 2, 16, 64, dtype="float16"))
    pool = BlockPool(64)
    pool.register_buffer([np.zeros(layout.part_shape, np.float16) for _ in range(4)], layout=layout)
    immutable = pool.register_blocks(pool.allocate_blocks(1), [1])[0]
    return pool.allocate_blocks(1)[0], immutable


@pytest.mark.parametrize("kind", ["mutable", "immutable"])
def bench_layer_view(measure, blocks, kind):
    block = blocks[kind == "immutable"]

    def run():
        for _ in range(CALLS):
            block.layer_view(0, 0)

    measure(run, calls=CALLS, n=1, variant=kind)


@pytest.mark.parametrize("way", [np.from_dlpack, np.asarray, memoryview], ids=["from_dlpack", "asarray", "memoryview"])
def bench_take_in(measure, blocks, way):
    view = blocks[0].layer_view(0, 0)

    def run():
        for _ in range(CALLS):
            way(view)

    measure(run, calls=CALLS, n=1, variant=way.__name__)


@pytest.mark.parametrize("n", [16, 256])
def bench_layer_view_of_a_run(measure, n):
    layout = FullyContiguous(LayoutConfig(1024, 32, 2, 16, 1024, dtype="float16"))
    pool = BlockPool(1024)
    pool.register_buffer(Elsewhere(layout.part_shape), layout=layout)
    blocks = pool.allocate_blocks(n)
    calls = calls_of_a_round(1024, n)

    def run():
        for _ in range(calls):
            blocks.layer_view(0, 0)

    measure(run, calls=calls, n=n, pool=1024)


@pytest.mark.parametrize("num_blocks", [1_000, 1_000_000])
def bench_register_buffer(measure, num_blocks):
    """Take the same time for any number of blocks, since nothing is done for one."""
    layout = FullyContiguous(LayoutConfig(num_blocks, 32, 2, 16, 1024, dtype="float16"))
    tensor = Elsewhere(layout.part_shape)
    pool = BlockPool(num_blocks)

    def run():
        for _ in range(100):
            pool.register_buffer(tensor, layout=layout)
            pool.unregister_buffer()

    measure(run, calls=100, n=1, pool=num_blocks)
