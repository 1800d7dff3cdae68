# What:      a hold on registered blocks, as a list of ImmutableBlock.
# Cost:      one object and one allocation for all blocks; arrays are made when asked for.
# Ownership: see Handle. Slices, items and sums have references of their own.
# Locking:   none here; see Handle.
# Errors:    using a released handle raises StaleHandle.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvpool._core.handle cimport Handle
from kvpool._core.libkvp cimport kvp_lease, kvp_segment
from kvpool._core.pool_core cimport PoolCore


cdef class ImmutableBlocks(Handle):
    cdef object ids_cache       # array once asked for
    cdef object hashes_cache    # array once asked for

    cdef Py_ssize_t length(self) noexcept
    cdef object hashes(self)
    cdef object view(self, object layer, object outer)


# A handle of no blocks yet: made before they are held, so that nothing that can fail comes between them and it.
cdef ImmutableBlocks new_immutable_blocks(PoolCore pool, object owner)

# Give a handle of no blocks references of its own to parts of others, or raise StaleHandle.
cdef int share_parts(Handle into, const kvp_segment *parts, uint32_t num_parts) except -1

# Sequence hashes of a live lease as a bytes object, or StaleHandle.
cdef bytes read_lease_hashes(PoolCore pool, const kvp_lease *lease)

# Whether a parent is given (as a hash, or as the handle whose last block it is); stores its hash.
cdef bint parse_parent(object parent, PoolCore pool, uint64_t *sequence_hash) except -1
