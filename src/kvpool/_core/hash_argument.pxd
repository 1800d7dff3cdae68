# What:      any argument that names sequence hashes as a run of uint64, on the caller's stack.
# Cost:      contiguous uint64 NumPy arrays: a look inside (a buffer request costs 200 ns); other buffers: that request;
#            lists: about 5 ns a hash; strided arrays, and all without a GIL: one copy.
# Ownership: borrows the array, or owns a converted copy until close. NumPy arrays are not exported meanwhile: no Python
#            may run between open and the last use of `data`, or it could resize the array; without a GIL, where another
#            thread could at any time, all are copied.
# Locking:   none; opened and closed under the GIL, outside the pool's lock. Reading `data` needs no GIL.
# Errors:    open raises TypeError or ValueError, and then needs no close; close cannot fail.
#
# Invariants:
#   data[0 .. count) are the hashes; their check words, where keys have them, are data[count .. 2 * count)
#   owned == NULL or data == owned;   is_borrowed == (view is exported)

from libc.stdint cimport uint32_t, uint64_t


cdef struct HashArgument:
    const uint64_t *data  # borrowed from view or from owned
    uint32_t count        # hashes
    uint64_t *owned       # owned; NULL unless the hashes had to be converted
    Py_buffer view        # kept alive for data, while is_borrowed
    bint is_borrowed


# The hashes, or keys with check words, of any argument; `name` and the pool's block_size are for the checks and
# messages.
cdef int open_hashes(HashArgument *self, object hashes, size_t block_size, bint has_checks, str name) except -1

cdef void close_hashes(HashArgument *self) noexcept
