"""Copy blocks between host storages, beside one memcpy of as many bytes in the same round: medians, and their ratio."""

import statistics
import time

import numpy as np
import pytest

from kvpool.storage import (
    FullyContiguous,
    HostStorage,
    LayerSeparate,
    LayoutConfig,
    OuterSeparate,
    copy_blocks,
    gather_blocks,
)

LAYOUTS = {"contiguous": FullyContiguous, "a part a layer": LayerSeparate, "a part a tensor": OuterSeparate}
ROUNDS = 9


def storage_of(layout):
    """256 blocks of 2 MiB: 32 layers, 16 tokens of 8 heads of 128, 2 bytes."""
    return HostStorage(LAYOUTS[layout](LayoutConfig(256, 32, 2, page_size=16, inner_dim=1024, alignment=256)))


@pytest.mark.parametrize("n", [1, 16, 128])
@pytest.mark.parametrize("ids", ["in order", "scattered"])
@pytest.mark.parametrize(("one", "two"), [(two, one) for one in LAYOUTS for two in LAYOUTS if one == "contiguous"])
def bench_copy_blocks(measure, capsys, one, two, ids, n):
    source, destination = storage_of(one), storage_of(two)
    places = np.arange(n) if ids == "in order" else np.random.default_rng(1).permutation(256)[:n]
    plain = [np.ones(n * source.layout.block_bytes, np.uint8) for _ in range(2)]
    times = {"memcpy": [], "copy": [], "gather": []}
    for _ in range(ROUNDS):
        for name, call in (
            ("memcpy", lambda: np.copyto(plain[1], plain[0])),
            ("copy", lambda: copy_blocks(source, places, destination, places)),
            ("gather", lambda: gather_blocks(source, places, out=plain[1])),
        ):
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    rates = "  ".join(
        f"{name} {plain[0].nbytes / seconds / 1e9:5.1f} GB/s ({medians['memcpy'] / seconds:4.2f})"
        for name, seconds in medians.items()
    )
    with capsys.disabled():
        print(f"\n{one} to {two}, {n} blocks {ids}: {rates}")
    measure(
        lambda: copy_blocks(source, places, destination, places), calls=1, n=n, pool=256, variant=f"{one}, {two}, {ids}"
    )
