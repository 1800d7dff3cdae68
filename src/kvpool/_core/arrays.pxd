# What:      read-only NumPy arrays over memory that an object keeps alive.
# Cost:      one object and no conversion: NumPy's own maker of arrays, called through its C table. Without it,
#            np.frombuffer, at four times the time.
# Ownership: an array keeps its owner alive.
# Locking:   none.
# Errors:    MemoryError.

from kvpool._core.lease_ids cimport LeaseIds

# Over all that a bytes object holds.
cdef object int32_array(bytes room)
cdef object uint32_array(bytes room)
cdef object uint64_array(bytes room)
cdef object uint8_array(bytes room)
cdef object bool_array(bytes room)

# Over the ids of a lease.
cdef object lease_array(LeaseIds ids)
