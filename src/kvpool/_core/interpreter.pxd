# What:      what the interpreter was built as, and what two threads of it may do at once.
# Cost:      none: constants of the compiler, and an ordinary load.
# Ownership: none.
# Locking:   kvp_peek reads an int field that others may write meanwhile, each of them in a critical section, for who
#            looks again in one if it matters. kvp_forget_section is for a forked child: it may have been handed to a
#            thread that is not there, since a mutex goes from one who sleeps to the next, also while the world is
#            stopped for the fork.
# Errors:    none.

cdef extern from *:
    """
    #ifdef Py_GIL_DISABLED
    #define KVP_FREE_THREADED 1
    #else
    #define KVP_FREE_THREADED 0
    #endif

    #include "kvp/check.h"
    KVP_GUESS int kvp_peek_at(const int *place) { return *place; }
    #define kvp_peek(place) kvp_peek_at(&(place))

    static inline void kvp_forget_section(PyObject *object) {
    #ifdef Py_GIL_DISABLED
        memset(&object->ob_mutex, 0, sizeof object->ob_mutex);
    #else
        (void)object;
    #endif
    }
    """
    const bint KVP_FREE_THREADED
    int kvp_peek(int place) noexcept nogil
    void kvp_forget_section(object of) noexcept
