# What:      the tenants of a pool: their names and their quotas.
# Cost:      a look into a dict for a call with a namespace's name.
# Ownership: owns names and salts; Namespace objects are made as they are asked for.
# Locking:   through PoolCore's methods; the names, in its critical section.
# Errors:    Python exceptions; nothing has changed then.

from libc.stdint cimport int32_t, int64_t, uint64_t

from kvpool._core.namespace cimport Namespace
from kvpool._core.pool_reports cimport PoolReports


cdef class PoolNamespaces(PoolReports):
    cdef readonly int32_t max_namespaces
    cdef dict salts    # name -> salt hash
    cdef dict indices  # name -> number

    cdef Namespace have_namespace(self, str name, int32_t wanted_floor, int32_t wanted_cap, uint64_t salt,
                                  bint is_given, int64_t now)
    cdef int32_t space_of(self, object namespace) except -1
    cdef uint64_t salt_of(self, object namespace, uint64_t salt) except? 0xFFFFFFFFFFFFFFFF
