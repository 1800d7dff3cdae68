# What:      a hold on those of many hashes that are registered, aligned with the hashes.
# Cost:      one object and one allocation.
# Ownership: see Handle.
# Locking:   none here; see Handle.
# Errors:    using a released handle raises StaleHandle.

from kvpool._core.handle cimport Handle
from kvpool._core.pool_core cimport PoolCore


cdef class ScatteredBlocks(Handle):
    cdef Py_ssize_t count   # hashes asked for


cdef ScatteredBlocks new_scattered_blocks(PoolCore pool, object owner)
