# What:      the handle of freshly allocated blocks, as a list of MutableBlock; and slices of one, which are views.
# Cost:      one object and one allocation for all blocks; tokens are kept only once there are some.
# Ownership: a handle from allocate owns the lease; a view keeps that handle (its root) alive and owns nothing.
# Locking:   none here; see Handle. Tokens, and blocks that are consumed, in the pool's critical section.
# Errors:    using blocks that were registered or released raises InvalidMutableBlock.
#
# Invariants:
#   block i is entry offset + stride * i of the lease, for 0 <= i < count
#   a root has offset 0, stride 1 and count == lease.count (0 without lease); root is None

from libc.stdint cimport uint32_t, uint64_t

from kvpool._core.handle cimport Handle
from kvpool._core.libkvp cimport kvp_lease, kvp_segment
from kvpool._core.pool_core cimport PoolCore
from kvpool._core.token_buffer cimport TokenBuffer
from kvpool._core.token_drafts cimport TokenDrafts


cdef class MutableBlocks(Handle):
    cdef MutableBlocks root      # kept alive, for a view; None: this is a root
    cdef Py_ssize_t offset
    cdef Py_ssize_t stride
    cdef Py_ssize_t count
    cdef TokenDrafts drafts      # of a root; None until there are tokens
    cdef bytes evicted_hashes    # of a root; uint64 hashes of the blocks evicted for its last entries; None: none

    cdef kvp_segment segment(self) noexcept
    cdef MutableBlocks owning(self)
    cdef TokenDrafts need_drafts(self)
    cdef int write(self, TokenBuffer tokens, uint64_t salt, bint has_parent, uint64_t previous) except -1
    cdef int check_held(self, Py_ssize_t i) except -1
    cdef int check_all_held(self) except -1
    cdef void leave(self) noexcept
    cdef object view(self, object layer, object outer)


# A handle of a lease for so many blocks, which is not live yet; of no blocks without one.
cdef MutableBlocks new_mutable_blocks(PoolCore pool, Py_ssize_t count, object owner)
