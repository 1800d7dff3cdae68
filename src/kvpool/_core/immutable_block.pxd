# What:      a hold on one registered block.
# Cost:      one object and one allocation.
# Ownership: see Handle.
# Locking:   none here; see Handle.
# Errors:    using a released handle raises StaleHandle.

from kvpool._core.handle cimport Handle
from kvpool._core.libkvp cimport kvp_lease
from kvpool._core.pool_core cimport PoolCore


cdef class ImmutableBlock(Handle):
    cdef object hash_cache   # int once asked for

    cdef kvp_lease *held_lease(self) except NULL
    cdef object view(self, object layer, object outer)


# A handle of no block yet; see new_immutable_blocks.
cdef ImmutableBlock new_immutable_block(PoolCore pool, object owner)
