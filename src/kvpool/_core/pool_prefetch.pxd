# What:      holding blocks that somebody will ask for.
# Cost:      that of a match, and an object for each prefetch.
# Ownership: keeps the Prefetcher alive, which keeps its prefetches alive until their time is over.
# Locking:   through PoolCore's methods only.
# Errors:    Python exceptions; nothing has changed then.

from kvpool._core.pool_lookups cimport PoolLookups


cdef class PoolPrefetch(PoolLookups):
    cdef object ahead  # a Prefetcher; None until it is asked for
