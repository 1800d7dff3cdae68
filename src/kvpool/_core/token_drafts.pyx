"""The tokens of mutable blocks while they are being filled."""

cimport cython
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from kvpool._core.hashing cimport KVP_SEQ_HASH_V2, kvp_seq_hash_chain

from kvpool.errors import BlockNotComplete, InvalidMutableBlock


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class TokenDrafts:
    """Tokens, stage and hash of each block of one mutable handle."""

    def __dealloc__(self):
        free(self.tokens)
        free(self.counts)
        free(self.salts)
        free(self.parents)
        free(self.hashes)
        free(self.stages)
        free(self.has_parent)

    cdef int begin(self, Py_ssize_t i, object block_id, uint64_t salt, bint has_parent, uint64_t parent) except -1:
        if self.stages[i] != FRESH:
            raise InvalidMutableBlock(f"block {block_id} has a sequence already: reset it first")
        self.stages[i] = PARTIAL
        self.salts[i] = salt
        self.has_parent[i] = has_parent
        self.parents[i] = parent
        return 0

    cdef int add(self, Py_ssize_t i, object block_id, const uint32_t *tokens, Py_ssize_t n) except -1:
        if self.stages[i] == FRESH:
            raise InvalidMutableBlock(f"block {block_id} has no sequence: call init_sequence first")
        if self.stages[i] == COMPLETE:
            raise InvalidMutableBlock(f"block {block_id} is complete and takes no more tokens")
        if self.counts[i] + <size_t>n > self.block_size:
            raise ValueError(f"{n} tokens do not fit into block {block_id}, which has {self.counts[i]} of "
                             f"{self.block_size}")
        memcpy(self.tokens + i * self.block_size + self.counts[i], tokens, n * sizeof(uint32_t))
        self.counts[i] += <uint32_t>n
        return 0

    cdef int drop_last(self, Py_ssize_t i, object block_id, Py_ssize_t n) except -1:
        if self.stages[i] == COMPLETE:
            raise InvalidMutableBlock(f"block {block_id} is complete: its tokens stay")
        if n < 0 or <size_t>n > self.counts[i]:
            raise ValueError(f"cannot pop {n} tokens from block {block_id}, which has {self.counts[i]}")
        self.counts[i] -= <uint32_t>n
        return 0

    cdef int complete(self, Py_ssize_t i, object block_id) except -1:
        if self.stages[i] == COMPLETE:
            raise InvalidMutableBlock(f"block {block_id} is complete already")
        if self.counts[i] != self.block_size:
            raise BlockNotComplete(f"block {block_id} has {self.counts[i]} of {self.block_size} tokens")
        kvp_seq_hash_chain(self.tokens + i * self.block_size, 1, self.block_size, self.salts[i], KVP_SEQ_HASH_V2,
                           &self.parents[i] if self.has_parent[i] else NULL, &self.hashes[i])
        self.stages[i] = COMPLETE
        return 0

    cdef void reset(self, Py_ssize_t i) noexcept:
        self.stages[i] = FRESH
        self.counts[i] = 0

    cdef void copy_block(self, Py_ssize_t i, TokenDrafts other, Py_ssize_t j) noexcept:
        memcpy(self.tokens + i * self.block_size, other.tokens + j * other.block_size,
               self.block_size * sizeof(uint32_t))
        self.counts[i] = other.counts[j]
        self.salts[i] = other.salts[j]
        self.parents[i] = other.parents[j]
        self.hashes[i] = other.hashes[j]
        self.stages[i] = other.stages[j]
        self.has_parent[i] = other.has_parent[j]


cdef TokenDrafts new_drafts(Py_ssize_t num_blocks, size_t block_size):
    cdef TokenDrafts self = TokenDrafts.__new__(TokenDrafts)
    self.num_blocks = num_blocks
    self.block_size = block_size
    self.tokens = <uint32_t *>calloc(num_blocks, block_size * sizeof(uint32_t))
    self.counts = <uint32_t *>calloc(num_blocks, sizeof(uint32_t))
    self.salts = <uint64_t *>calloc(num_blocks, sizeof(uint64_t))
    self.parents = <uint64_t *>calloc(num_blocks, sizeof(uint64_t))
    self.hashes = <uint64_t *>calloc(num_blocks, sizeof(uint64_t))
    self.stages = <uint8_t *>calloc(num_blocks, 1)
    self.has_parent = <uint8_t *>calloc(num_blocks, 1)
    if (self.tokens == NULL or self.counts == NULL or self.salts == NULL or self.parents == NULL
            or self.hashes == NULL or self.stages == NULL or self.has_parent == NULL):
        raise MemoryError(f"no memory for the tokens of {num_blocks} blocks of {block_size}")
    return self
