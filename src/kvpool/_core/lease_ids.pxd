# What:      exports the ids of a lease through the buffer protocol, so that arrays show them without a copy.
# Cost:      one small object an array.
# Ownership: has one share of the lease, or of a sequence's table: its memory, not its blocks.
# Locking:   none; the ids of a lease never change once it has been live. Those of a sequence change with its calls.
# Errors:    a writable buffer is a BufferError.

from libc.stdint cimport int32_t

from kvpool._core.libkvp cimport kvp_id_table, kvp_lease


cdef class LeaseIds:
    cdef kvp_lease *lease      # shared; NULL: a table is
    cdef kvp_id_table *table   # shared; NULL: a lease is
    cdef int32_t *ids          # borrowed from the one or the other
    cdef Py_ssize_t shape      # ids
    cdef Py_ssize_t stride     # bytes


cdef LeaseIds lease_ids(kvp_lease *lease)

# The ids of a sequence, as many as it has blocks now.
cdef LeaseIds table_ids(kvp_lease *lease)
