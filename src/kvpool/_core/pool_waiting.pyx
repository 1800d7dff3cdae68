"""Waiting for blocks."""

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawFree, PyMem_RawMalloc
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvpool._core.bell cimport Bell
from kvpool._core.clock cimport CLOCK_MONOTONIC, read_clock
from kvpool._core.libkvp cimport *
from kvpool._core.pool_core cimport PoolCore


cdef void forget_waiter(kvp_waiter *waiter) noexcept:
    kvp_waiter_destroy(waiter)
    PyMem_RawFree(waiter)


cdef class PoolWaiting(PoolCore):
    """The queue for blocks. Base of :class:`BlockPool`; not useful by itself."""

    cdef kvp_status join_queue(self, kvp_waiter *waiter, kvp_lease *lease, int64_t now, uint64_t *evicted,
                               uint32_t *num_evicted) noexcept nogil:
        """Allocate, or join the queue behind those who wait already: then KVP_NOT_ENOUGH."""
        cdef kvp_status status = KVP_NOT_ENOUGH
        kvp_shared_pool_enter(self.shared)
        if self.shared.first == NULL:
            status = kvp_pool_allocate(&self.shared.pool, lease, now, evicted, lease.count, num_evicted)
        if status != KVP_OK:
            kvp_shared_pool_enqueue(self.shared, waiter)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef bint leave_queue(self, kvp_waiter *waiter) noexcept nogil:
        """Wait no more; whether it was granted, which may have happened in this moment."""
        kvp_shared_pool_enter(self.shared)
        kvp_shared_pool_withdraw(self.shared, waiter)
        cdef bint is_granted = waiter.is_granted
        kvp_shared_pool_leave(self.shared)
        return is_granted

    cdef bint is_granted(self, kvp_waiter *waiter) noexcept nogil:
        """Whether a thread that was woken has its blocks, or gets them now: it may have been woken to make a call."""
        kvp_shared_pool_enter(self.shared)
        kvp_shared_pool_leave(self.shared)
        kvp_shared_pool_enter(self.shared)
        cdef bint is_granted = waiter.is_granted
        kvp_shared_pool_leave(self.shared)
        return is_granted

    cdef void abandon(self, kvp_waiter *waiter, kvp_lease *lease) noexcept nogil:
        """Wait no more, and let the next one have what was granted meanwhile."""
        kvp_shared_pool_enter(self.shared)
        kvp_shared_pool_withdraw(self.shared, waiter)
        kvp_pool_release(&self.shared.pool, lease)
        kvp_shared_pool_leave(self.shared)

    cdef kvp_waiter *collect(self, Bell bell) noexcept:
        """Those who were granted and wait at this bell, oldest first. The bell was silenced before."""
        kvp_shared_pool_enter(self.shared)
        cdef kvp_waiter *first = kvp_shared_pool_collect(self.shared, &bell.bell)
        kvp_shared_pool_leave(self.shared)
        return first

    cdef void count_failure(self) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        self.shared.num_failures += 1
        kvp_shared_pool_leave(self.shared)

    cdef uint64_t read_failures(self) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint64_t count = self.shared.num_failures
        kvp_shared_pool_leave(self.shared)
        return count

    cdef kvp_status allocate_in_turn(self, kvp_lease *lease, int64_t now, uint64_t *evicted, uint32_t *num_evicted,
                                     int64_t timeout) except *:
        """Allocate, behind those who wait already; wait up to timeout nanoseconds (negative: without limit)."""
        # On the heap: a daemon thread that waits while the interpreter exits never comes back, but stays in the queue.
        cdef kvp_waiter *waiter = <kvp_waiter *>PyMem_RawMalloc(sizeof(kvp_waiter))
        cdef kvp_status status
        cdef kvp_wait_result woken
        cdef int64_t start = read_clock(CLOCK_MONOTONIC), left = timeout
        if waiter == NULL or kvp_waiter_init(waiter, lease, evicted, NULL) != KVP_OK:
            PyMem_RawFree(waiter)
            return KVP_NO_MEMORY
        status = self.join_queue(waiter, lease, now, evicted, num_evicted)
        if status == KVP_OK:
            forget_waiter(waiter)
            return status
        try:
            while True:
                with nogil:
                    woken = kvp_waiter_wait(waiter, left)
                if woken == KVP_TIMED_OUT or (woken == KVP_WOKEN and self.is_granted(waiter)):
                    break
                if woken == KVP_INTERRUPTED:
                    PyErr_CheckSignals()
                if timeout >= 0:
                    left = max(timeout - (read_clock(CLOCK_MONOTONIC) - start), 0)
        except BaseException:
            self.abandon(waiter, lease)
            forget_waiter(waiter)
            raise
        # Woken or not, the grant is decided under the lock: it may have come between the timeout and here.
        status = KVP_OK if self.leave_queue(waiter) else KVP_NOT_ENOUGH
        num_evicted[0] = waiter.num_evicted
        forget_waiter(waiter)
        return status
