"""Looking hashes up without taking blocks."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from kvpool._core.arrays cimport bool_array
from kvpool._core.hash_argument cimport HashArgument, close_hashes, open_hashes
from kvpool._core.libkvp cimport KVP_NO_BLOCK
from kvpool._core.pool_eviction cimport PoolEviction

import numpy as np


cdef int32_t *new_ids(uint32_t n) except NULL:
    cdef int32_t *ids = <int32_t *>PyMem_Malloc((<size_t>n + 1) * sizeof(int32_t))
    if ids == NULL:
        raise MemoryError(f"no memory to look {n} hashes up")
    return ids


cdef class PoolLookups(PoolEviction):
    """Looking hashes up. Base of :class:`BlockPool`; not useful by itself."""

    def contains(self, hashes):
        """Whether each hash is registered, a bool array of shape (n,); takes no blocks."""
        cdef HashArgument argument
        cdef int32_t *ids
        cdef uint32_t i
        cdef bytes found
        open_hashes(&argument, hashes, self.block_size, "hashes")
        try:
            found = PyBytes_FromStringAndSize(NULL, argument.count)
            ids = new_ids(argument.count)
            self.find_each(argument.data, argument.count, ids)
            for i in range(argument.count):
                (<uint8_t *>PyBytes_AS_STRING(found))[i] = ids[i] != KVP_NO_BLOCK
            PyMem_Free(ids)
        finally:
            close_hashes(&argument)
        return bool_array(found)

    def match_lengths(self, prompts):
        """How long a prefix :meth:`match_sequence_hashes` would find for each prompt; takes no blocks.

        Parameters
        ----------
        prompts : iterable of arrays of uint64 (or of what else names hashes)

        Returns
        -------
        ndarray of int64, shape (number of prompts,)
            Blocks.
        """
        cdef HashArgument argument
        cdef int32_t *ids
        cdef list lengths = []
        for i, prompt in enumerate(prompts):
            open_hashes(&argument, prompt, self.block_size, f"prompts[{i}]")
            try:
                ids = new_ids(argument.count)
                lengths.append(self.find_prefix(argument.data, argument.count, ids))
                PyMem_Free(ids)
            finally:
                close_hashes(&argument)
        return np.array(lengths, dtype=np.int64)

    def touch(self, hashes):
        """Make the registered ones among the hashes the most recently used; return how many they are."""
        cdef HashArgument argument
        cdef int64_t now = self.now()
        cdef int32_t *ids
        cdef uint32_t found
        open_hashes(&argument, hashes, self.block_size, "hashes")
        try:
            ids = new_ids(argument.count)
            found = self.touch_hashes(argument.data, argument.count, now, ids)
            PyMem_Free(ids)
        finally:
            close_hashes(&argument)
        return found
