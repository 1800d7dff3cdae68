"""Arrays that the pool gives out: what they look at, who keeps it alive, and that nobody writes to it."""

import gc
import subprocess
import sys

import numpy as np
import pytest

from kvpool import BlockPool, sequence_hashes

FALLBACK = """
from numpy import ndarray
try:
    from numpy._core import _multiarray_umath as umath
except ImportError:
    from numpy.core import _multiarray_umath as umath
del umath._ARRAY_API
from kvpool import BlockPool, sequence_hashes
pool = BlockPool(8, 4)
hashes = sequence_hashes(range(12), 4)
blocks = pool.register_blocks(pool.allocate_blocks(3), hashes)
assert type(hashes) is type(blocks.ids) is ndarray
assert blocks.ids.tolist() == [0, 1, 2] and blocks.ids.dtype == "int32" and not blocks.ids.flags.writeable
assert (blocks.sequence_hashes == hashes).all() and hashes.dtype == "uint64"
assert pool.contains(hashes).tolist() == [True] * 3
assert pool.allocate_blocks(0).ids.tolist() == []
"""


@pytest.fixture
def arrays():
    pool = BlockPool(8, 4)
    hashes = sequence_hashes(range(12), 4)
    blocks = pool.register_blocks(pool.allocate_blocks(3), hashes)
    return {"ids": blocks.ids, "hashes": blocks.sequence_hashes, "argument": hashes, "contains": pool.contains([1])}


def test_arrays_are_plain_and_contiguous(arrays):
    for name, array in arrays.items():
        assert type(array) is np.ndarray, name
        assert array.flags.c_contiguous, name
        assert array.flags.f_contiguous, name
        assert array.flags.aligned, name
        assert not array.flags.owndata, name


def test_nobody_can_write_to_them(arrays):
    for array in arrays.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.flags.writeable = True


def test_they_outlive_the_pool_and_its_handles():
    pool = BlockPool(1000, 4)
    ids = [pool.allocate_blocks(n).ids for n in range(1, 100)]
    del pool
    gc.collect()
    bytes(bytearray(100_000))  # take and give back what was freed
    assert all(len(array) == n and set(array.tolist()) <= set(range(1000)) for n, array in enumerate(ids, 1))


def test_they_leave_no_references_behind():
    pool = BlockPool(64, 4)
    blocks = pool.allocate_blocks(8)
    dtype = blocks.ids.dtype
    before = sys.getrefcount(dtype)
    for _ in range(1000):
        blocks.ids.sum()
    assert sys.getrefcount(dtype) <= before + 1


def test_without_numpys_table_of_functions_they_are_made_by_frombuffer():
    subprocess.run([sys.executable, "-c", FALLBACK], check=True)
