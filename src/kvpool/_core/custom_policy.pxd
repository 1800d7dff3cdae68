# What:      a policy of a user's, in one of its forms: should_evict, rank, choose, or a C function in a capsule.
# Cost:      that of the policy, and some microseconds for the arrays.
# Ownership: keeps the policy alive.
# Locking:   none: it works on a copy.
# Errors:    what the policy raises; ValueError when its answer makes no sense.

from libc.stdint cimport int64_t, uint32_t


cdef class CustomPolicy:
    cdef object policy    # kept alive
    cdef str form
    cdef uint32_t window  # candidates to be told of

    cdef object order(self, bytes records, int64_t n)
    cdef object find(self, object blocks, object answer)
    cdef object call_capsule(self, bytes records, Py_ssize_t count)


# The chooser of a policy; None if it is none.
cdef object make_chooser(object policy)
