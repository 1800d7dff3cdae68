# What:      looking hashes up without taking blocks, and making keys of 128 bits.
# Cost:      as the core's functions, and one allocation for the ids found.
# Ownership: results are new objects.
# Locking:   through PoolCore's methods only.
# Errors:    Python exceptions; nothing has changed then.

from libc.stdint cimport uint64_t

from kvpool._core.pool_eviction cimport PoolEviction


cdef class PoolLookups(PoolEviction):
    cdef int set_keys(self, object bits, object secret) except -1

    # Keys of a prompt's full blocks, as an array of shape (n, 2).
    cdef object keys_of(self, object token_ids, uint64_t salt, object parent)
