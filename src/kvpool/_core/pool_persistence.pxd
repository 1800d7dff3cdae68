# What:      the registry of a pool as a file, and back.
# Cost:      one lock each, O(num_blocks) with it; files are read, written and checked without it.
# Ownership: none; columns are Python arrays.
# Locking:   through PoolCore's methods only.
# Errors:    Python exceptions; nothing has changed then.

from libc.stdint cimport int64_t

from kvpool._core.libkvp cimport kvp_index_columns, kvp_quota
from kvpool._core.pool_memory cimport PoolMemory


cdef class PoolPersistence(PoolMemory):
    cdef object copy_index(self)
    cdef tuple saved_namespaces(self)
    cdef object not_empty(self)
    cdef int refuse_checks(self, str done) except -1
    cdef int check_columns(self, const kvp_index_columns *columns, object index) except -1
    cdef tuple plan_namespaces(self, object index, kvp_quota *quotas)
    cdef int install(self, kvp_index_columns *columns, object index, int64_t elapsed, int64_t now,
                     void *scratch) except -1
