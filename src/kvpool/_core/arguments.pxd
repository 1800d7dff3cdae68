# What:      checks of plain numbers, each with a message that names the value and the bound.
# Cost:      some tens of nanoseconds.
# Ownership: none.
# Locking:   none; used under the GIL, before a pool's lock is taken.
# Errors:    TypeError or ValueError.

from libc.stdint cimport int64_t


cdef object parse_int(object value, str name, object low, object high)

cdef int64_t parse_seconds(object value, str name, bint zero_is_allowed) except -1

cdef double parse_share(object value, str name, double low, double high, bint low_is_allowed) except? -1
