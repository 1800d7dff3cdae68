# What:      what happened to the registry, for those who follow it, and the background thread that tells them.
# Cost:      a lock and a copy for each batch; nothing for a pool that nobody follows.
# Ownership: keeps the bell and the engine alive; the engine knows the pool by a weak reference.
# Locking:   takes the pool's lock, as PoolCore; fields that change are read and written in its critical section.
# Errors:    Python exceptions; nothing has changed then.

from libc.stdint cimport uint64_t

from kvpool._core.bell cimport Bell
from kvpool._core.libkvp cimport kvp_event
from kvpool._core.pool_waiting cimport PoolWaiting


cdef class PoolEvents(PoolWaiting):
    cdef readonly uint64_t event_capacity
    cdef readonly bint event_tokens
    cdef readonly double event_interval
    cdef tuple namespace_names  # by number
    cdef Bell bell              # kept alive for the C pool, which rings it; None: nobody listens
    cdef object engine          # a ProgressEngine; None until something needs it
    cdef bint is_closed

    cdef int set_events(self, object event_capacity, object event_tokens, object event_interval,
                        object manager) except -1
    cdef uint64_t next_event(self) noexcept nogil
    cdef object need_engine(self)
    cdef object known_engine(self)
    cdef tuple known_namespaces(self)
    cdef object new_batch(self, const kvp_event *events, bytes tokens, uint64_t n, uint64_t first, uint64_t missed,
                          bint is_snapshot)


# The pool exists, and is there after a fork.
cdef int remember(object pool) except -1
