# What:      the arguments of register_blocks as the core takes them.
# Cost:      one object; arrays only when hashes or parents must be gathered from tokens, or for a list of blocks.
# Ownership: owns its arrays; keeps the handles named by the segments alive.
# Locking:   none; what is taken from tokens is taken in the pool's critical section, and used in it.
# Errors:    raises TypeError, ValueError, BlockNotComplete, InvalidMutableBlock, ForeignHandle; nothing has changed
# then.

from libc.stdint cimport uint32_t, uint64_t

from kvpool._core.hash_argument cimport HashArgument
from kvpool._core.libkvp cimport kvp_registration, kvp_segment
from kvpool._core.mutable_blocks cimport MutableBlocks
from kvpool._core.pool_core cimport PoolCore
from kvpool._core.token_buffer cimport TokenBuffer


cdef class Registration:
    cdef kvp_registration arguments    # borrows from the fields below
    cdef kvp_segment one               # the segment of a single handle
    cdef kvp_segment *segments         # owned, or &one
    cdef list roots                    # kept alive for the segments
    cdef HashArgument given            # hashes of the caller
    cdef bint has_given
    cdef uint64_t *gathered            # owned; hashes from tokens, then parents
    cdef const uint32_t **tokens       # owned; for each block its tokens, borrowed from the next and from the roots
    cdef TokenBuffer given_tokens      # kept alive for tokens
    cdef Py_ssize_t count              # blocks

    cdef int add_blocks(self, PoolCore pool, object blocks) except -1
    cdef int set_segment(self, PoolCore pool, kvp_segment *segment, object blocks) except -1
    cdef int read_hashes(self, PoolCore pool, object sequence_hashes) except -1
    cdef int take_hashes(self) except -1
    cdef int check_given(self) except -1
    cdef int gather(self) except -1
    cdef int read_tokens(self, PoolCore pool, object token_ids) except -1
    cdef int take_tokens(self, PoolCore pool) except -1
    cdef object first_owner(self)


cdef Registration new_registration(PoolCore pool, object blocks, object parent)
