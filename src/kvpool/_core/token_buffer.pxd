# What:      any token argument as a run of uint32: the one place where tokens are converted and checked.
# Cost:      uint32 arrays: none; int32 arrays: one vectorised pass; wider, narrower and strided arrays: one copying
#            pass; lists and tuples: about 2 ns a token; other iterables: a tuple first.
# Ownership: a TokenBuffer borrows the array it was made of and keeps it exported, or owns a converted copy; both end
#            with the TokenBuffer. What is borrowed may be written by its owner: use it within one call, then drop it.
# Locking:   none; made and used under the GIL, before a pool's lock is taken. Reading `data` needs no GIL.
# Errors:    as_token_buffer raises TypeError or ValueError and leaves nothing behind; reading cannot fail.
#
# Invariants:
#   data[0 .. size) are the tokens, all in [0, 2**32)
#   owned == NULL or data == owned
#   is_borrowed == (view is exported); data == view.buf if is_borrowed and size > 0

from libc.stdint cimport uint32_t


cdef class TokenBuffer:
    cdef const uint32_t *data  # borrowed from view or from owned, never NULL
    cdef Py_ssize_t size       # number of tokens; also the shape of the exported buffer
    cdef uint32_t *owned       # owned; NULL unless the tokens had to be converted
    cdef Py_buffer view        # kept alive for data, while is_borrowed
    cdef bint is_borrowed

    cdef uint32_t *reserve(self, Py_ssize_t size) except NULL


cpdef TokenBuffer as_token_buffer(object token_ids)
