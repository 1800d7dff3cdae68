"""Checksums of blocks."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint64_t

from kvpool._core.arrays cimport uint64_array
from kvpool._core.block_ids cimport parse_ids
from kvpool._core.block_memory cimport BlockMemory
from kvpool._core.libkvp_storage cimport kvp_block_checksums


def memory_checksums(BlockMemory memory not None, ids):
    """Return the checksums of blocks; see :func:`kvpool.storage.block_checksums`."""
    cdef const int32_t[::1] own = parse_ids(ids, "ids", memory.memory.layout.config.num_blocks)
    cdef uint64_t n = own.shape[0]
    cdef bytes room
    cdef uint64_t *sums
    if not memory.is_host:
        raise ValueError(f"the memory of device {memory.device} is not the host's")
    room = PyBytes_FromStringAndSize(NULL, 8 * n)
    sums = <uint64_t *>PyBytes_AS_STRING(room)
    if n:
        with nogil:
            kvp_block_checksums(&memory.memory, &own[0], n, sums)
    return uint64_array(room)
