# What:      a descriptor that the pool makes readable: what an event loop, or a background thread, waits on.
# Cost:      one descriptor.
# Ownership: owns the C bell. Whoever may ring it keeps this object alive.
# Locking:   rung under the pool's lock, or in the bell's critical section: `close`, `ring` and `silence`.
# Errors:    OSError when the system has no descriptor left.

from kvpool._core.libkvp cimport kvp_bell


cdef class Bell:
    cdef kvp_bell bell
    cdef bint is_open

    cpdef void close(self) noexcept
