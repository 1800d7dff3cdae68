# What:      what a pool tells of itself: counts, states, who holds what.
# Cost:      a lock and a copy of what is asked for; outstanding() and errors are O(live handles).
# Ownership: results are new objects.
# Locking:   none here; see PoolCore.
# Errors:    CorruptionError from check_invariants, MemoryError.

from libc.stdint cimport int32_t

from kvpool._core.libkvp cimport kvp_stats
from kvpool._core.pool_core cimport Counts
from kvpool._core.pool_events cimport PoolEvents


cdef class PoolReports(PoolEvents):
    cdef readonly str name
    cdef readonly str duplicates
    cdef readonly double reuse_sampling

    cdef list sum_of_holds(self)
    cdef object shortage(self, object requested, bint waited, int32_t space=*)
    cdef object describe_shortage(self, object requested, bint waited, int32_t space)
    cdef list read_hold_list(self)
    cdef object new_status(self, const kvp_stats *s, const Counts *counts)
