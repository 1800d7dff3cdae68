"""The arguments of ``register_blocks``."""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc

from kvpool._core.hash_argument cimport close_hashes, open_hashes
from kvpool._core.immutable_blocks cimport parse_parent
from kvpool._core.libkvp cimport KVP_NO_EXPIRY, kvp_segment
from kvpool._core.mutable_block cimport MutableBlock
from kvpool._core.mutable_blocks cimport MutableBlocks
from kvpool._core.pool_core cimport PoolCore
from kvpool._core.token_buffer cimport as_token_buffer
from kvpool._core.token_drafts cimport COMPLETE, TokenDrafts

from kvpool.errors import BlockNotComplete, ForeignHandle, InvalidMutableBlock


@cython.final
@cython.no_gc
@cython.freelist(16)
@cython.auto_pickle(False)
cdef class Registration:
    """Which blocks, which hashes, which parents."""

    def __init__(self):
        raise TypeError("Registration cannot be created from Python")

    def __dealloc__(self):
        if self.has_given:
            close_hashes(&self.given)
        if self.segments != &self.one:
            free(self.segments)
        free(self.gathered)
        free(self.tokens)

    cdef int set_segment(self, PoolCore pool, kvp_segment *segment, object blocks) except -1:
        cdef MutableBlocks handle
        if isinstance(blocks, MutableBlocks):
            handle = <MutableBlocks>blocks
            segment[0] = handle.segment()
        elif isinstance(blocks, MutableBlock):
            handle = (<MutableBlock>blocks).root
            segment.lease = handle.lease
            segment.offset = (<MutableBlock>blocks).entry
            segment.stride = 1
            segment.count = 1
        else:
            raise TypeError(f"blocks must be MutableBlocks, a MutableBlock or a sequence of these, "
                            f"not {type(blocks).__name__}")
        if handle.pool is not pool:
            raise ForeignHandle("the blocks are of another pool")
        self.roots.append(handle.owning())
        self.count += segment.count
        return 0

    cdef int add_blocks(self, PoolCore pool, object blocks) except -1:
        cdef Py_ssize_t i
        self.roots = []
        self.segments = &self.one
        self.arguments.num_segments = 1
        if isinstance(blocks, (MutableBlocks, MutableBlock)) or not isinstance(blocks, (list, tuple)):
            self.set_segment(pool, &self.one, blocks)
        else:
            items = tuple(blocks)
            self.segments = <kvp_segment *>malloc(max(len(items), 1) * sizeof(kvp_segment))
            if self.segments == NULL:
                raise MemoryError(f"no memory for {len(items)} blocks")
            self.arguments.num_segments = <uint32_t>len(items)
            for i in range(len(items)):
                self.set_segment(pool, &self.segments[i], items[i])
        self.arguments.segments = self.segments
        return 0

    cdef int read_hashes(self, PoolCore pool, object sequence_hashes) except -1:
        """Read the hashes given. Last of all: no Python code may run before they are used."""
        if sequence_hashes is None:
            if pool.has_checks:
                raise ValueError("sequence_hashes must be given, as keys, in a pool with 128-bit keys")
            return 0
        open_hashes(&self.given, sequence_hashes, pool.block_size, pool.has_checks, "sequence_hashes")
        self.has_given = True
        self.arguments.hashes = self.given.data
        return 0

    cdef int take_hashes(self) except -1:
        """Check the hashes given, or take those of the tokens."""
        if self.has_given:
            return self.check_given()
        self.gather()
        if self.arguments.has_parent and self.count > 0:
            self.gathered[self.count] = self.arguments.parent
        return 0

    cdef int check_given(self) except -1:
        """Given hashes must be as many as the blocks, and those that blocks with tokens have."""
        cdef Py_ssize_t at = 0
        cdef uint32_t s, i
        cdef TokenDrafts drafts
        if self.given.count != self.count:
            raise ValueError(f"{self.given.count} sequence hashes were given for {self.count} blocks")
        for s in range(self.arguments.num_segments):
            drafts = (<MutableBlocks>self.roots[s]).drafts
            if drafts is not None:
                for i in range(self.segments[s].count):
                    entry = self.segments[s].offset + self.segments[s].stride * i
                    if drafts.stages[entry] == COMPLETE and drafts.hashes[entry] != self.given.data[at + i]:
                        raise InvalidMutableBlock(f"sequence_hashes[{at + i}] = {self.given.data[at + i]} is not that "
                                                  f"of the block's tokens, {drafts.hashes[entry]}")
                    if drafts.stages[entry] != COMPLETE and drafts.counts[entry] > 0:
                        raise BlockNotComplete(f"block {at + i} of {self.count} has {drafts.counts[entry]} of "
                                               f"{drafts.block_size} tokens and is not complete")
            at += self.segments[s].count
        return 0

    cdef int gather(self) except -1:
        """Take hashes and parents from the blocks' tokens."""
        cdef Py_ssize_t at = 0
        cdef uint32_t s, i
        cdef TokenDrafts drafts
        cdef uint64_t *parents
        self.gathered = <uint64_t *>malloc(16 * max(self.count, 1))
        if self.gathered == NULL:
            raise MemoryError(f"no memory for the hashes of {self.count} blocks")
        parents = self.gathered + self.count
        for s in range(self.arguments.num_segments):
            if self.segments[s].count == 0:
                continue
            drafts = (<MutableBlocks>self.roots[s]).drafts
            for i in range(self.segments[s].count):
                entry = self.segments[s].offset + self.segments[s].stride * i
                if drafts is None or drafts.stages[entry] != COMPLETE:
                    tokens = 0 if drafts is None else drafts.counts[entry]
                    raise BlockNotComplete(f"block {at} of {self.count} has {tokens} tokens and is not complete; "
                                           f"give sequence_hashes, or fill and commit it")
                self.gathered[at] = drafts.hashes[entry]
                parents[at] = drafts.parents[entry] if drafts.has_parent[entry] else drafts.hashes[entry]
                at += 1
        self.arguments.hashes = self.gathered
        self.arguments.parents = parents
        return 0

    cdef int read_tokens(self, PoolCore pool, object token_ids) except -1:
        if token_ids is not None:
            self.given_tokens = as_token_buffer(token_ids)
            if <size_t>self.given_tokens.size != self.count * pool.block_size:
                raise ValueError(f"{self.given_tokens.size} token_ids were given for {self.count} blocks of "
                                 f"{pool.block_size}")
        return 0

    cdef int take_tokens(self, PoolCore pool) except -1:
        """Take the tokens given, or those that the blocks were filled with, where the pool keeps them."""
        cdef Py_ssize_t at = 0
        cdef int64_t entry
        cdef uint32_t s, i
        cdef TokenDrafts drafts
        if pool.shared.pool.tokens.block_size == 0 or self.count == 0:
            return 0
        self.tokens = <const uint32_t **>malloc(self.count * sizeof(uint32_t *))
        if self.tokens == NULL:
            raise MemoryError(f"no memory for the tokens of {self.count} blocks")
        for s in range(self.arguments.num_segments):
            drafts = (<MutableBlocks>self.roots[s]).drafts
            for i in range(self.segments[s].count):
                entry = self.segments[s].offset + self.segments[s].stride * i
                if self.given_tokens is not None:
                    self.tokens[at] = self.given_tokens.data + at * <Py_ssize_t>pool.block_size
                elif drafts is not None and drafts.stages[entry] == COMPLETE:
                    self.tokens[at] = drafts.tokens + entry * <Py_ssize_t>pool.block_size
                else:
                    self.tokens[at] = NULL
                at += 1
        self.arguments.tokens = self.tokens
        return 0

    cdef object first_owner(self):
        return (<MutableBlocks>self.roots[0]).owner_tag if self.roots else None


cdef Registration new_registration(PoolCore pool, object blocks, object parent):
    cdef Registration self = Registration.__new__(Registration)
    self.add_blocks(pool, blocks)
    self.arguments.level = -1
    self.arguments.expiry = KVP_NO_EXPIRY
    self.arguments.has_parent = parse_parent(parent, pool, &self.arguments.parent)
    return self
