# cython: nonecheck=True
"""One freshly allocated block."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from kvpool._core.arrays cimport uint32_array
from kvpool._core.block_view cimport view_blocks
from kvpool._core.hashing cimport parse_hash
from kvpool._core.immutable_blocks cimport parse_parent
from kvpool._core.libkvp cimport kvp_lease_guess_entry, kvp_segment
from kvpool._core.mutable_blocks cimport MutableBlocks
from kvpool._core.token_buffer cimport TokenBuffer, as_token_buffer
from kvpool._core.token_drafts cimport COMPLETE, TokenDrafts

from kvpool.errors import BlockNotComplete, InvalidMutableBlock
from kvpool.types.block_state import BlockState


@cython.final
@cython.no_gc
@cython.freelist(64)
@cython.auto_pickle(False)
cdef class MutableBlock:
    """One block of a :class:`MutableBlocks`: a view that keeps the handle alive.

    A block is fresh, then partial (``init_sequence``), then complete (``commit``), and can then be registered without
    hashes.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> pool = BlockPool(num_blocks=8, block_size=2)
    >>> block = pool.allocate_blocks(1)[0]
    >>> block.init_sequence()
    >>> block.add_tokens([7, 8])
    >>> block.commit()
    >>> len(pool.register_blocks(block))
    1
    """

    def __init__(self):
        raise TypeError("MutableBlock is made by a BlockPool, not by calling it")

    def __reduce__(self):
        raise TypeError("MutableBlock cannot be copied or pickled: it belongs to one pool in this process")

    def __repr__(self):
        if self.root is None:
            return "<MutableBlock, never held>"
        return f"<MutableBlock {self.block_id()} with {self.num_tokens} tokens>"

    cdef object block_id(self):
        return self.root.lease.ids[self.entry]

    @property
    def id(self):
        """Block id."""
        return self.block_id()

    @property
    def released(self):
        """Whether the block was registered or given back."""
        return not kvp_lease_guess_entry(self.root.lease, <uint32_t>self.entry)

    @property
    def state(self):
        """``BlockState.ALLOCATED`` while the handle holds the block."""
        self.root.check_held(self.entry)
        return BlockState.ALLOCATED

    @property
    def num_tokens(self):
        """Tokens that the block has."""
        with cython.critical_section(self.root.pool):
            count = self.count_tokens()
        return count

    cdef Py_ssize_t count_tokens(self) except -1:
        """In the pool's critical section, as what follows."""
        return 0 if self.root.drafts is None else self.root.drafts.counts[self.entry]

    cdef bint has_hash(self) except -1:
        return self.root.drafts is not None and self.root.drafts.stages[self.entry] == COMPLETE

    @property
    def remaining(self):
        """Tokens that the block still has room for."""
        return self.root.pool.block_size - self.num_tokens

    @property
    def is_complete(self):
        """Whether the block was committed, and so has a sequence hash."""
        with cython.critical_section(self.root.pool):
            is_complete = self.has_hash()
        return bool(is_complete)

    @property
    def tokens(self):
        """Copy of the block's tokens, uint32."""
        cdef TokenDrafts drafts
        cdef const uint32_t *start
        copy = b""
        with cython.critical_section(self.root.pool):
            drafts = self.root.drafts
            if drafts is not None:
                start = drafts.tokens + self.entry * drafts.block_size
                copy = (<const char *>start)[:4 * drafts.counts[self.entry]]
        return uint32_array(copy)

    @property
    def sequence_hash(self):
        """Sequence hash that the tokens give; BlockNotComplete before ``commit``."""
        cdef uint64_t sequence_hash
        with cython.critical_section(self.root.pool):
            if not self.has_hash():
                raise BlockNotComplete(f"block {self.block_id()} is not complete")
            sequence_hash = self.root.drafts.hashes[self.entry]
        return sequence_hash

    def init_sequence(self, salt_hash=0, parent=None):
        """Begin a run of tokens.

        Parameters
        ----------
        salt_hash : int, default 0
            Seed of the block hash.
        parent : int or ImmutableBlock or ImmutableBlocks, optional
            Sequence hash of the block before, or its handle; without it the block is the first of a sequence.
        """
        cdef uint64_t salt = parse_hash(salt_hash, "salt_hash"), parent_hash = 0
        cdef bint has_parent = parse_parent(parent, self.root.pool, &parent_hash)
        with cython.critical_section(self.root.pool):
            self.root.check_held(self.entry)
            self.root.need_drafts().begin(self.entry, self.block_id(), salt, has_parent, parent_hash)

    def add_token(self, token_id):
        """Append one token; ValueError when the block is full."""
        self.add_tokens((token_id,))

    def add_tokens(self, token_ids):
        """Append tokens; ValueError, and nothing appended, when they do not all fit."""
        cdef TokenBuffer tokens = as_token_buffer(token_ids)
        with cython.critical_section(self.root.pool):
            self.root.check_held(self.entry)
            self.root.need_drafts().add(self.entry, self.block_id(), tokens.data, tokens.size)

    def pop_token(self):
        """Take the last token back and return it."""
        return self.pop_tokens(1)[0]

    def pop_tokens(self, n):
        """Take the last n tokens back and return them as a list, in their order."""
        cdef TokenDrafts drafts
        cdef list taken = []
        cdef Py_ssize_t i, end, count
        if not 0 <= n <= self.root.pool.block_size:
            raise ValueError(f"cannot pop {n} tokens from block {self.block_id()}, which has {self.num_tokens}")
        count = n
        with cython.critical_section(self.root.pool):
            if count > self.count_tokens():
                raise ValueError(f"cannot pop {n} tokens from block {self.block_id()}, which has "
                                 f"{self.count_tokens()}")
            self.root.check_held(self.entry)
            drafts = self.root.need_drafts()
            end = self.entry * <Py_ssize_t>drafts.block_size + drafts.counts[self.entry]
            for i in range(end - count, end):
                taken.append(drafts.tokens[i])
            drafts.drop_last(self.entry, self.block_id(), count)
        return taken

    def commit(self):
        """Complete a full block: its tokens stay, and give it its sequence hash. BlockNotComplete when it is not
        full."""
        with cython.critical_section(self.root.pool):
            self.root.check_held(self.entry)
            self.root.need_drafts().complete(self.entry, self.block_id())

    def apply_token_block(self, token_block):
        """Take the tokens, salt and parent of a :class:`TokenBlock`, and complete the block."""
        cdef TokenDrafts drafts
        cdef TokenBuffer tokens
        cdef uint64_t parent = 0, salt, sequence_hash
        cdef object given = getattr(token_block, "block_size", None)
        if given is None:
            raise TypeError(f"token_block must be a TokenBlock, not {type(token_block).__name__}")
        if given != self.root.pool.block_size:
            raise ValueError(f"the token block has {given} tokens, the pool's blocks have {self.root.pool.block_size}")
        tokens = as_token_buffer(token_block.tokens)
        if <size_t>tokens.size != self.root.pool.block_size:
            raise ValueError(f"the token block has {tokens.size} tokens, the pool's blocks have "
                             f"{self.root.pool.block_size}")
        salt = parse_hash(token_block.salt_hash, "salt_hash")
        has_parent = token_block.parent_sequence_hash is not None
        if has_parent:
            parent = parse_hash(token_block.parent_sequence_hash, "parent_sequence_hash")
        sequence_hash = parse_hash(token_block.sequence_hash, "sequence_hash")
        with cython.critical_section(self.root.pool):
            self.root.check_held(self.entry)
            drafts = self.root.need_drafts()
            drafts.begin(self.entry, self.block_id(), salt, has_parent, parent)
            drafts.add(self.entry, self.block_id(), tokens.data, tokens.size)
            drafts.complete(self.entry, self.block_id())
            # The sequence may be chained by the other version of the format: its own word counts.
            drafts.hashes[self.entry] = sequence_hash

    def reset(self):
        """Forget the tokens; the block is fresh again."""
        with cython.critical_section(self.root.pool):
            self.root.check_held(self.entry)
            if self.root.drafts is not None:
                self.root.drafts.reset(self.entry)

    def release(self):
        """Give this block back before the others of its handle. No effect when it is gone already."""
        cdef kvp_segment segment
        segment.lease = self.root.lease
        segment.offset = self.entry
        segment.stride = 1
        segment.count = 1
        with cython.critical_section(self.root.pool):
            self.root.pool.release_segment(&segment)

    cdef object view(self, object layer, object outer):
        cdef kvp_segment part
        part.lease = self.root.lease
        part.offset = self.entry
        part.stride = 1
        part.count = 1
        with cython.critical_section(self.root.pool):
            view = view_blocks(self.root.pool, &part, False, layer, outer, False, InvalidMutableBlock)
        return view

    def layer_view(self, layer, outer=0):
        """Return the block's memory of one layer, without a copy.

        Parameters
        ----------
        layer : int
        outer : int, default 0
            0 for keys, 1 for values, where they are apart.

        Returns
        -------
        BlockView
            Writable, of the shape of a region. It holds the block for itself.

        Raises
        ------
        BlockPoolError
            The pool has no storage, or the block is not held any more (InvalidMutableBlock).
        IndexError
            There is no such layer or outer index.
        """
        if layer is None:
            raise TypeError("layer must be an int, not None")
        return self.view(layer, outer)

    def block_view(self):
        """Return all of the memory of the block, of shape (layers, outer,) and that of a region.

        As :meth:`layer_view`; BufferError where the layers are in places of their own.
        """
        return self.view(None, 0)


cdef MutableBlock new_mutable_block(MutableBlocks root, Py_ssize_t entry):
    cdef MutableBlock self = MutableBlock.__new__(MutableBlock)
    self.root = root
    self.entry = entry
    return self
