# What:      read-only NumPy arrays over memory that an object keeps alive.
# Cost:      one object and no conversion: NumPy's own maker of arrays, called through its C table. Without it,
#            np.frombuffer, at four times the time.
# Ownership: an array keeps its owner alive.
# Locking:   none.
# Errors:    MemoryError.

from libc.stdint cimport int64_t

from kvpool._core.lease_ids cimport LeaseIds


cdef class WritableMemory:
    cdef void *data        # borrowed from owner
    cdef Py_ssize_t size   # bytes
    cdef object owner      # kept alive


# Over all that a bytes object holds.
cdef object int32_array(bytes room)
cdef object uint32_array(bytes room)
cdef object uint64_array(bytes room)
cdef object uint8_array(bytes room)
cdef object bool_array(bytes room)

# As int, each times a factor.
cdef tuple int64_tuple(const int64_t *values, Py_ssize_t n, int64_t factor)

# Over the ids of a lease.
cdef object lease_array(LeaseIds ids)

# Over memory that `owner` keeps alive, and that may be written.
cdef object writable_array(void *data, Py_ssize_t length, object dtype, object owner)
