# What:      the tokens of mutable blocks while they are being filled, and the hashes that follow from them.
# Cost:      4 bytes a token and 40 bytes a block, allocated when the first token of a handle comes.
# Ownership: owns its arrays; belongs to the MutableBlocks whose blocks it describes.
# Locking:   none; used in the pool's critical section. It knows neither the pool nor its lock.
# Errors:    methods raise BlockNotComplete, InvalidMutableBlock or ValueError and then have changed nothing.
#
# Invariants, for every block i:
#   stages[i] == FRESH     =>  counts[i] == 0
#   stages[i] == COMPLETE  =>  counts[i] == block_size, hashes[i] and block_hashes[i] follow from its tokens, salt and
#   parent

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum Stage:
    FRESH = 0
    PARTIAL = 1
    COMPLETE = 2


cdef class TokenDrafts:
    cdef size_t block_size
    cdef Py_ssize_t num_blocks
    cdef uint32_t *tokens       # owned; num_blocks * block_size
    cdef uint32_t *counts       # owned; tokens of each block
    cdef uint64_t *salts        # owned
    cdef uint64_t *parents      # owned; meaningful where has_parent
    cdef uint64_t *hashes       # owned; sequence hashes of complete blocks
    cdef uint8_t *stages        # owned
    cdef uint8_t *has_parent    # owned

    cdef int begin(self, Py_ssize_t i, object block_id, uint64_t salt, bint has_parent, uint64_t parent) except -1
    cdef int add(self, Py_ssize_t i, object block_id, const uint32_t *tokens, Py_ssize_t n) except -1
    cdef int drop_last(self, Py_ssize_t i, object block_id, Py_ssize_t n) except -1
    cdef int complete(self, Py_ssize_t i, object block_id) except -1
    cdef void reset(self, Py_ssize_t i) noexcept
    cdef void copy_block(self, Py_ssize_t i, TokenDrafts other, Py_ssize_t j) noexcept


cdef TokenDrafts new_drafts(Py_ssize_t num_blocks, size_t block_size)
