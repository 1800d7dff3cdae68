# What:      one mapping for the memory of blocks: private, or of a file descriptor, with a guard page behind it.
# Cost:      some system calls; what is faulted in beforehand is faulted in without the GIL.
# Ownership: owns the mapping, until nobody has this object any more. The descriptor stays the caller's.
# Locking:   none; read-only. The bytes belong to who holds the blocks.
# Errors:    MemoryError, OSError.

from kvpool._core.libkvp_storage cimport kvp_arena


cdef class Arena:
    cdef kvp_arena arena
    cdef readonly bint is_writable
