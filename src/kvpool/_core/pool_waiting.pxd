# What:      waiting for blocks, in one queue for threads and for event loops, first come first served.
# Cost:      a lock for joining the queue and one for leaving it; nothing while waiting.
# Ownership: waiters belong to the call, or the BlockRequest, that waits; so do their leases.
# Locking:   takes the pool's lock, as PoolCore. A thread waits without it, and without the GIL.
# Errors:    what a signal handler raises ends a wait; blocks that were granted meanwhile go to the next.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvpool._core.bell cimport Bell
from kvpool._core.libkvp cimport kvp_lease, kvp_status, kvp_waiter
from kvpool._core.pool_core cimport PoolCore


cdef class PoolWaiting(PoolCore):
    cdef kvp_status allocate_in_turn(self, kvp_lease *lease, int64_t now, uint64_t *evicted, uint32_t *num_evicted,
                                     int64_t timeout) except *
    cdef kvp_status join_queue(self, kvp_waiter *waiter, kvp_lease *lease, int64_t now, uint64_t *evicted,
                               uint32_t *num_evicted) noexcept nogil
    cdef bint leave_queue(self, kvp_waiter *waiter) noexcept nogil
    cdef bint is_granted(self, kvp_waiter *waiter) noexcept nogil
    cdef void abandon(self, kvp_waiter *waiter, kvp_lease *lease) noexcept nogil
    cdef kvp_waiter *collect(self, Bell bell) noexcept
    cdef void count_failure(self) noexcept nogil
    cdef uint64_t read_failures(self) noexcept nogil
