# What:      the tenants of a pool: their names and their quotas.
# Cost:      a look into a dict for a call with a namespace's name.
# Ownership: owns names and salts; Namespace objects are made as they are asked for.
# Locking:   through PoolCore's methods only.
# Errors:    Python exceptions; nothing has changed then.

from libc.stdint cimport int32_t, uint64_t

from kvpool._core.pool_reports cimport PoolReports


cdef class PoolNamespaces(PoolReports):
    cdef readonly int32_t max_namespaces
    cdef dict salts    # name -> salt hash
    cdef dict indices  # name -> number

    cdef int32_t space_of(self, object namespace) except -1
    cdef uint64_t salt_of(self, object namespace, uint64_t salt) except? 0xFFFFFFFFFFFFFFFF
