# What:      looking hashes up without taking blocks.
# Cost:      as the core's functions, and one allocation for the ids found.
# Ownership: results are new objects.
# Locking:   through PoolCore's methods only.
# Errors:    Python exceptions; nothing has changed then.

from kvpool._core.pool_eviction cimport PoolEviction


cdef class PoolLookups(PoolEviction):
    pass
