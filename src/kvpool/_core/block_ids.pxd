# What:      block ids as callers give them, as int32.
# Cost:      an array, if they are not one already, and a look at each id.
# Ownership: the caller keeps what it gets.
# Locking:   none.
# Errors:    TypeError, ValueError, IndexError that names the place, the id and the bound.


# A contiguous array of int32 with every id in [0, num_blocks).
cdef object parse_ids(object ids, str name, object num_blocks)
