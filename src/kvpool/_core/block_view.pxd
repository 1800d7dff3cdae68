# What:      the memory of blocks as an array that other libraries take: through DLPack, the buffer protocol,
#            __array_interface__ and __cuda_array_interface__.
# Cost:      one object, one lease and one tether a view; one allocation for each tensor that goes out through DLPack.
# Ownership: holds its blocks, beside the handle that it was made from, and the memory, through the tether. A tensor
#            that goes out has a share of the tether: what it holds is given back with the last share.
# Locking:   none here; PoolCore takes the lock. A finalizer never waits for it.
# Errors:    BufferError when the memory cannot be had in the way that is asked for.

from kvpool._core.attachment cimport Attachment
from kvpool._core.libkvp cimport kvp_segment
from kvpool._core.libkvp_views cimport kvp_tensor, kvp_tether
from kvpool._core.pool_core cimport PoolCore


cdef class BlockView:
    cdef Attachment place          # kept alive for what is known of the memory
    cdef object element_type       # kept alive; a DType
    cdef kvp_tether *tether        # a share
    cdef kvp_tensor tensor
    cdef Py_ssize_t byte_strides[8]

    cdef object capsule(self, bint is_versioned, bint as_host)
    cdef dict interface(self)
    cdef int need_numpy(self) except -1
    cdef void measure(self) noexcept


# A view of the blocks of a live lease: of their regions (layer, outer), or of all of each (layer None). `is_run` puts
# the blocks before the other axes. What `stale` is, is raised when the blocks are not held any more.
cdef BlockView view_blocks(PoolCore pool, kvp_segment *part, bint is_run, object layer, object outer, bint is_readonly,
                           object stale)

# The regions (layer, outer) of all blocks, none of which is held.
cdef BlockView view_layer(PoolCore pool, object layer, object outer)
