# What:      a tenant of a pool, by name: what calls take as `namespace`.
# Cost:      one object for each namespace.
# Ownership: keeps its pool alive.
# Locking:   through PoolCore's methods only.
# Errors:    Python exceptions.

from libc.stdint cimport int32_t, uint64_t

from kvpool._core.libkvp cimport kvp_quota
from kvpool._core.pool_core cimport PoolCore


cdef class Namespace:
    cdef PoolCore pool
    cdef readonly str name
    cdef readonly int32_t index       # of the core's namespaces
    cdef readonly uint64_t salt_hash

    cdef kvp_quota quota(self) noexcept


cdef Namespace new_namespace(PoolCore pool, str name, int32_t index, uint64_t salt_hash)
