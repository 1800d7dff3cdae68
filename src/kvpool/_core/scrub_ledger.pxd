# What:      whose bytes are in each block of a storage, and the filling of blocks before somebody else can read them.
# Cost:      2 bytes a block, none under the rule "never"; a look at each id, and a memset for those that are dirty.
# Ownership: owns the C ledger; keeps the memory alive.
# Locking:   none, and never under the pool's lock. The entry of a block, like its bytes, belongs to its holder.
# Errors:    MemoryError, and what a device's hook raises; then the blocks are known to be dirty.

from libc.stdint cimport int32_t, uint8_t

from kvpool._core.block_memory cimport BlockMemory
from kvpool._core.libkvp_storage cimport kvp_scrub_ledger


cdef class ScrubLedger:
    cdef kvp_scrub_ledger ledger
    cdef BlockMemory memory        # kept alive
    cdef object hook               # fills blocks of a device: called with an int32 array of ids; or None
    cdef readonly str rule

    # The caller has been handed these blocks for a namespace: fill those that are dirty for it, before they are used.
    cdef int arrive(self, const int32_t *ids, Py_ssize_t n, uint8_t space) except -1

    # The caller gives these mutable blocks back. Nothing to do for blocks of a device: they are filled when they are
    # handed out. Allocates nothing and cannot fail, so that a finalizer may call it.
    cdef void leave(self, const int32_t *ids, Py_ssize_t n) noexcept
