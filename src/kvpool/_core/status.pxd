# What:      the one place where a status of the core becomes an exception.
# Cost:      none unless it raises.
# Ownership: none.
# Locking:   none; used under the GIL, after the lock was given back.
# Errors:    raises what the status stands for, always; KVP_OK and KVP_RETRY are no errors and must not get here.

from kvpool._core.libkvp cimport kvp_status


cdef int raise_status(kvp_status status, str what) except -1
