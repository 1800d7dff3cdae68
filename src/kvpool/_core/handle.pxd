# What:      what every handle is: a lease, the pool it is of, and for whom it is held. Gives back when it goes.
# Cost:      one object and one C allocation a handle, whatever the number of blocks.
# Ownership: owns its lease (unless it is a view of another handle's); keeps the pool and the owner tag alive.
# Locking:   none here; PoolCore takes the lock. A finalizer never waits for it.
# Errors:    using a released handle raises StaleHandle, or InvalidMutableBlock for mutable blocks; dropping cannot
# fail.

cimport cython
from libc.stdint cimport int64_t, uint32_t

from kvpool._core.libkvp cimport kvp_lease, kvp_segment
from kvpool._core.pool_core cimport PoolCore


# no_gc must stand here as well: without it Cython gives the collector every subtype to walk.
@cython.no_gc
cdef class Handle:
    cdef PoolCore pool         # kept alive for the lease
    cdef kvp_lease *lease      # owned, unless this is a view; NULL: a handle of no blocks
    cdef object owner_tag      # kept alive for lease.owner
    cdef bint is_view          # the lease belongs to another handle, which this one keeps alive

    cdef int adopt(self, PoolCore pool, kvp_lease *lease, object owner) except -1
    cdef object ids_array(self)


cdef uint32_t parse_reuse_hint(object hint) except? 0xFFFFFFFF
# A new lease of n blocks, or MemoryError.
cdef kvp_lease *new_lease(Py_ssize_t n, bint is_mutable, object owner) except NULL
