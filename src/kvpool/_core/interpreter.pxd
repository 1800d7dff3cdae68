# What:      what the interpreter was built as.
# Cost:      none: constants of the compiler.
# Ownership: none.
# Locking:   none.
# Errors:    none.

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define KVP_FREE_THREADED 1
    #else
    #define KVP_FREE_THREADED 0
    #endif
    """
    const bint KVP_FREE_THREADED
