"""What a process has of memory and objects."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from typing import NamedTuple

import numpy as np

__all__ = ["Footprint", "fill_numpy_cache"]

PAGE = os.sysconf("SC_PAGE_SIZE")


def _find_malloc_statistics() -> ctypes._NamedFuncPointer | None:
    """Return ``mallinfo2`` of glibc 2.33 and later."""
    names = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    function = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if function is not None:
        fields = [(name, ctypes.c_size_t) for name in names]
        function.restype = type("MallocStatistics", (ctypes.Structure,), {"_fields_": fields})
    return function


_malloc_statistics = _find_malloc_statistics()


def fill_numpy_cache() -> None:
    """Have NumPy keep what it keeps: a few buffers of each size below a kibibyte, once there were arrays of that size.

    Else each size that an index or a table has for the first time, after hours maybe, looks like a leak.
    """
    for size in range(1, 1025):
        arrays = [np.empty(size, np.uint8) for _ in range(8)]
        arrays.clear()


class Footprint(NamedTuple):
    """Memory and objects of this process at one time.

    Attributes
    ----------
    resident : int
        Bytes; 0 where the system has no ``/proc``.
    allocated : int
        Bytes that C code has from malloc: leases and tables of the core among them. Freed chunks that glibc keeps at
        hand count as well, unless ``GLIBC_TUNABLES=glibc.malloc.tcache_count=0`` forbids it. 0 where the C library does
        not say.
    blocks : int
        Blocks that Python's own allocator has given out.
    objects : int
        Objects that the garbage collector knows.
    """

    resident: int
    allocated: int
    blocks: int
    objects: int

    @classmethod
    def measure(cls) -> Footprint:
        """Collect what is garbage, then look."""
        gc.collect()
        objects = len(gc.get_objects())
        resident = allocated = 0
        if _malloc_statistics is not None:
            statistics = _malloc_statistics()
            allocated = statistics.uordblks + statistics.hblkhd
        blocks = sys.getallocatedblocks()
        if os.path.exists("/proc/self/statm"):
            with open("/proc/self/statm") as file:
                resident = int(file.read().split()[1]) * PAGE
        return cls(resident, allocated, blocks, objects)

    @classmethod
    def least(cls, several: list[Footprint]) -> Footprint:
        """Return the least of each."""
        return cls._make(min(column) for column in zip(*several, strict=True))

    def __str__(self) -> str:
        return (
            f"resident {self.resident / 2**20:.2f} MiB, malloc {self.allocated / 2**20:.3f} MiB, "
            f"{self.blocks:,} Python blocks, {self.objects:,} objects"
        )
