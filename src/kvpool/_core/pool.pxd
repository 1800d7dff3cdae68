# What:      the pool as its users see it: arguments in, one call of PoolCore, handles and arrays out.
# Cost:      that of PoolCore's methods, and one object and one allocation for a handle.
# Ownership: see PoolCore.
# Locking:   none here: arguments are parsed and results are made outside the lock, which PoolCore takes.
# Errors:    each method says what it raises; a call that raises has changed nothing.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvpool._core.libkvp cimport kvp_segment
from kvpool._core.mutable_blocks cimport MutableBlocks
from kvpool._core.pool_core cimport PoolCore


cdef class BlockPool(PoolCore):
    cdef readonly str name
    cdef readonly str duplicates

    cdef object shortage(self, object requested, bint waited)
    cdef list read_hold_list(self)
