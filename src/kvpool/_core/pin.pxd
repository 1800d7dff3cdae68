# What:      a hold that keeps blocks from eviction until it is taken back.
# Cost:      one object and one allocation.
# Ownership: see Handle.
# Locking:   none here; see Handle.
# Errors:    none.

from kvpool._core.handle cimport Handle
from kvpool._core.pool_core cimport PoolCore


cdef class Pin(Handle):
    pass


cdef Pin new_pin(PoolCore pool, object owner)
