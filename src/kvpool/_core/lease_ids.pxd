# What:      exports the ids of a lease through the buffer protocol, so that arrays show them without a copy.
# Cost:      one small object an array.
# Ownership: has one share of the lease: its memory, not its blocks.
# Locking:   none; the ids of a lease never change once it has been live.
# Errors:    a writable buffer is a BufferError.

from kvpool._core.libkvp cimport kvp_lease


cdef class LeaseIds:
    cdef kvp_lease *lease    # shared
    cdef Py_ssize_t shape    # ids
    cdef Py_ssize_t stride   # bytes


cdef LeaseIds lease_ids(kvp_lease *lease)
