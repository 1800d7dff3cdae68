import os
import subprocess
import sys
import uuid

import numpy as np
import pytest
from storage_model import config_of

from kvpool.storage import FullyContiguous, LayerSeparate, SharedMemoryStorage, gather_blocks, scatter_blocks

OTHER = """
import sys
import numpy as np
from kvpool.storage import LayerSeparate, LayoutConfig, SharedMemoryStorage, gather_blocks, scatter_blocks
layout = LayerSeparate(LayoutConfig(7, 3, 2, 4, 10))
source = sys.argv[1]
with SharedMemoryStorage.attach(layout, int(source) if source.isdigit() else source) as storage:
    found = gather_blocks(storage, [5])
    scatter_blocks(storage, [2], 255 - found)
"""


@pytest.fixture
def name():
    return f"/kvpool-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def run_other(source, **how):
    return subprocess.run(
        [sys.executable, "-c", OTHER, str(source)], capture_output=True, text=True, timeout=60, check=True, **how
    )


def pattern(layout, seed):
    return np.random.default_rng(seed).integers(0, 256, (1, layout.block_bytes), dtype=np.uint8)


def test_another_process_sees_the_same_blocks_by_name(name):
    layout = LayerSeparate(config_of())
    with SharedMemoryStorage(layout, name) as storage:
        try:
            written = pattern(layout, 1)
            scatter_blocks(storage, [5], written)
            run_other(name)
            assert np.array_equal(gather_blocks(storage, [2]), 255 - written)
            assert np.array_equal(gather_blocks(storage, [5]), written)
            assert not gather_blocks(storage, [0, 1, 3, 4, 6]).any()
        finally:
            storage.unlink()


def test_another_process_sees_the_same_blocks_by_descriptor():
    layout = LayerSeparate(config_of())
    with SharedMemoryStorage(layout) as storage:
        written = pattern(layout, 2)
        scatter_blocks(storage, [5], written)
        run_other(storage.fileno(), pass_fds=[storage.fileno()])
        assert np.array_equal(gather_blocks(storage, [2]), 255 - written)
    with pytest.raises(ValueError, match="closed"):
        storage.fileno()


def test_a_name_that_exists_is_not_taken_over(name):
    layout = FullyContiguous(config_of())
    storage = SharedMemoryStorage(layout, name)
    try:
        scatter_blocks(storage, [0], pattern(layout, 3))
        with pytest.raises(FileExistsError):
            SharedMemoryStorage(layout, name)
        assert np.array_equal(gather_blocks(SharedMemoryStorage.attach(layout, name), [0]), pattern(layout, 3))
    finally:
        storage.unlink()
    with pytest.raises(FileNotFoundError):
        SharedMemoryStorage.attach(layout, name)
    with pytest.raises(FileNotFoundError):
        storage.unlink()
    assert gather_blocks(storage, [0]).any()  # who is attached stays so


def test_memory_of_another_size_is_refused_with_both_sizes(name):
    storage = SharedMemoryStorage(FullyContiguous(config_of()), name)
    try:
        other = FullyContiguous(config_of(num_blocks=8))
        with pytest.raises(ValueError, match=r"has 3584 bytes, not the 3840 of <FullyContiguous"):
            SharedMemoryStorage.attach(other, name)
    finally:
        storage.unlink()


def test_who_attaches_to_read_cannot_write():
    layout = FullyContiguous(config_of())
    with SharedMemoryStorage(layout) as storage:
        reader = SharedMemoryStorage.attach(layout, storage.fileno(), is_writable=False)
        assert not reader.is_writable
        with pytest.raises(ValueError, match="read-only"):
            scatter_blocks(reader, [0], pattern(layout, 4))


def test_an_attempt_that_fails_leaves_no_name_and_no_descriptor(name):
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises((OSError, MemoryError)):
        SharedMemoryStorage(FullyContiguous(config_of(page_size=2**50, inner_dim=1)), name)
    with pytest.raises(FileNotFoundError):
        SharedMemoryStorage.attach(FullyContiguous(config_of()), name)
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_a_name_there_is_nothing_to_unlink():
    with SharedMemoryStorage(FullyContiguous(config_of())) as storage:
        assert storage.name is None
        with pytest.raises(ValueError, match="no name"):
            storage.unlink()


def test_descriptors_go_with_the_storage():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        SharedMemoryStorage(FullyContiguous(config_of()))
    assert len(os.listdir("/proc/self/fd")) == before
