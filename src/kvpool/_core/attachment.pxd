# What:      a storage in its place behind a pool: what views need of it, in C, and the count of those that are there.
# Cost:      one object and one allocation a storage, whatever the number of blocks; O(1) to find a place.
# Ownership: keeps the storage, its memory and its element type alive. Views and tensors keep the memory alive by
#            themselves, through the keeper.
# Locking:   none; read-only once made.
# Errors:    TypeError, ValueError: the storage is not one for this pool. IndexError: no such layer.

from libc.stdint cimport int32_t, int64_t, uint32_t

from kvpool._core.block_memory cimport BlockMemory
from kvpool._core.libkvp_views cimport kvp_keeper, kvp_tensor


cdef class Attachment:
    cdef readonly object storage   # kept alive for pool.storage
    cdef BlockMemory memory        # kept alive for the addresses
    cdef readonly object dtype     # kept alive for views; a DType
    cdef kvp_keeper *keeper        # a share
    cdef kvp_tensor region         # of block 0, but for the address
    cdef int64_t item_size         # bytes

    # Where n blocks are: a region of each, or (layer < 0) all of each. `spread` is the difference of their ids.
    cdef int locate(self, kvp_tensor *tensor, int32_t first, int64_t spread, uint32_t n, bint is_run, int64_t layer,
                    int64_t outer) except -1
    cdef int take(self, object storage, int32_t num_blocks, size_t block_size) except -1
    cdef int parse_place(self, object layer, object outer, int64_t *place) except -1
    cdef uint32_t num_views(self) noexcept


cdef Attachment new_attachment(object storage, int32_t num_blocks, size_t block_size)

# Give up the owners of memory whose last tensor went where that could not be done.
cdef void give_up_owners() noexcept
