"""Freshly allocated blocks."""

cimport cython
from cpython.number cimport PyNumber_AsSsize_t
from cpython.slice cimport PySlice_AdjustIndices, PySlice_Unpack
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvpool._core.arrays cimport uint8_array, uint64_array
from kvpool._core.block_view cimport view_blocks
from kvpool._core.handle cimport Handle, new_lease, parse_reuse_hint
from kvpool._core.hashing cimport parse_hash
from kvpool._core.immutable_blocks cimport parse_parent
from kvpool._core.libkvp cimport KVP_OK, kvp_lease_guess_entry, kvp_lease_guess_live, kvp_segment, kvp_status
from kvpool._core.mutable_block cimport new_mutable_block
from kvpool._core.pool_core cimport PoolCore
from kvpool._core.status cimport raise_status
from kvpool._core.token_buffer cimport TokenBuffer, as_token_buffer
from kvpool._core.token_drafts cimport FRESH, TokenDrafts, new_drafts

from kvpool.errors import ForeignHandle, InvalidMutableBlock
from kvpool.types.evicted_blocks import EvictedBlocks
from kvpool.types.eviction_reason import EvictionReason

cdef bytes CAPACITY = bytes([EvictionReason.CAPACITY])


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class MutableBlocks(Handle):
    """Blocks allocated for one owner, to be filled and then registered: a list of :class:`MutableBlock`.

    Indexing and slicing give views: they keep the blocks held, and own nothing themselves. ``a + b`` moves the blocks
    of both into a new handle. The blocks go back to the pool when the handle is dropped, on ``release()`` and at the
    end of ``with``, unless they were registered.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> pool = BlockPool(num_blocks=8, block_size=4)
    >>> fresh = pool.allocate_blocks(3)
    >>> len(fresh), fresh.ids.tolist()
    (3, [0, 1, 2])
    >>> blocks = pool.register_blocks(fresh.fill([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]))
    >>> len(blocks), fresh.released
    (3, True)
    """

    cdef kvp_segment segment(self) noexcept:
        cdef kvp_segment segment
        segment.lease = self.lease
        segment.offset = self.offset
        segment.stride = self.stride
        segment.count = <uint32_t>self.count
        return segment

    cdef MutableBlocks owning(self):
        return self if self.root is None else self.root

    cdef TokenDrafts need_drafts(self):
        """The tokens of the root's blocks. In the pool's critical section."""
        cdef MutableBlocks root = self.owning()
        if root.drafts is None:
            root.drafts = new_drafts(root.count, root.pool.block_size)
        return root.drafts

    cdef int check_held(self, Py_ssize_t i) except -1:
        """Entry i of the lease is still this handle's."""
        if not kvp_lease_guess_entry(self.lease, <uint32_t>i):
            raise InvalidMutableBlock(f"block {self.lease.ids[i]} was registered or released already")
        return 0

    cdef int check_all_held(self) except -1:
        cdef Py_ssize_t i
        for i in range(self.count):
            self.check_held(self.offset + self.stride * i)
        return 0

    def __len__(self):
        return self.count

    def __repr__(self):
        return f"<MutableBlocks of {self.count} blocks{', released' if self.released else ''}>"

    def __getitem__(self, key):
        cdef Py_ssize_t start, stop, step, i
        cdef MutableBlocks view
        if isinstance(key, slice):
            PySlice_Unpack(key, &start, &stop, &step)
            view = MutableBlocks.__new__(MutableBlocks)
            view.count = PySlice_AdjustIndices(self.count, &start, &stop, step)
            view.adopt(self.pool, self.lease, self.owner_tag)
            view.is_view = True
            view.root = self.owning()
            view.offset = self.offset + self.stride * start
            view.stride = self.stride * step if view.count > 1 else 1  # a huge step has no second entry
            return view
        i = PyNumber_AsSsize_t(key, IndexError)
        if i < 0:
            i += self.count
        if not 0 <= i < self.count:
            raise IndexError(f"index {key} is out of range for {self.count} blocks")
        return new_mutable_block(self.owning(), self.offset + self.stride * i)

    def __iter__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            yield new_mutable_block(self.owning(), self.offset + self.stride * i)

    def __add__(self, other):
        """Move the blocks of both into a new handle; both are released by that."""
        if not isinstance(self, MutableBlocks) or not isinstance(other, MutableBlocks):
            return NotImplemented
        return join(<MutableBlocks>self, <MutableBlocks>other)

    @property
    def ids(self):
        """Block ids, a read-only int32 array; stays readable, but means nothing, when the blocks are gone."""
        ids = self.ids_array()
        if self.root is None:
            return ids
        stop = self.offset + self.stride * self.count
        return ids[self.offset:None if stop < 0 else stop:self.stride] if self.count else ids[:0]

    @property
    def released(self):
        """Whether all blocks were registered or given back."""
        cdef Py_ssize_t i
        if self.lease == NULL or not kvp_lease_guess_live(self.lease):
            return self.count > 0
        for i in range(self.count):
            if kvp_lease_guess_entry(self.lease, <uint32_t>(self.offset + self.stride * i)):
                return False
        return self.count > 0

    @property
    def evicted(self):
        """Identities evicted to make room for these blocks (those of the whole allocation, for a view)."""
        cdef MutableBlocks root = self.owning()
        ids = root.ids_array()
        if root.evicted_hashes is None:
            return EvictedBlocks(uint64_array(b""), ids[:0], uint8_array(b""))
        hashes = uint64_array(root.evicted_hashes)
        return EvictedBlocks(hashes, ids[len(ids) - len(hashes):], uint8_array(CAPACITY * len(hashes)))

    def release(self, *, reuse_hint=None):
        """Give back the blocks that this handle or view still holds. No effect when that was done before.

        They have no identity, so nobody can ask for them again: ``reuse_hint`` is there because all handles have it.
        """
        parse_reuse_hint(reuse_hint)
        cdef kvp_segment segment = self.segment()
        cdef kvp_status status
        if self.lease == NULL:
            return
        if self.root is not None:
            with cython.critical_section(self.pool):
                self.pool.release_segment(&segment)
            return
        with cython.critical_section(self.pool):  # what is filled is ours until it is released
            self.leave()
            status = self.pool.release(self.lease, 0)
        if status != KVP_OK:
            raise_status(status, "a block of this handle had no reference to give back")
        self.pool.watch()

    cdef void leave(self) noexcept:
        """Fill what is about to be empty with zeros, if that is the rule; not what views still show. In the pool's
        critical section."""
        cdef Py_ssize_t i
        if self.pool.ledger is None or self.pool.attachment.num_views() > 0:
            return
        for i in range(self.lease.count):
            if kvp_lease_guess_entry(self.lease, <uint32_t>i):
                self.pool.ledger.leave(self.lease.ids + i, 1)

    def fill(self, token_ids, parent=None, salt_hash=0):
        """Put tokens into the blocks, first to last, and complete those that become full.

        Parameters
        ----------
        token_ids : array of int32, uint32 or int64, or sequence of int
            At most ``len(self) * block_size`` tokens. A last block that they do not fill is partial.
        parent : int or ImmutableBlock or ImmutableBlocks, optional
            Sequence hash of the block before the first, or the handle whose last block it is.
        salt_hash : int, default 0
            Seed of the block hashes.

        Returns
        -------
        MutableBlocks
            This handle.

        Raises
        ------
        ValueError
            More tokens than room, or a token outside [0, 2**32).
        InvalidMutableBlock
            A block has tokens already, or is gone.
        """
        if self.pool is None:
            raise InvalidMutableBlock("this handle was made past the pool and never held a block")
        cdef TokenBuffer tokens = as_token_buffer(token_ids)
        cdef uint64_t salt = parse_hash(salt_hash, "salt_hash"), previous = 0
        cdef bint has_parent = parse_parent(parent, self.pool, &previous)
        with cython.critical_section(self.pool):
            self.write(tokens, salt, has_parent, previous)
        return self

    cdef int write(self, TokenBuffer tokens, uint64_t salt, bint has_parent, uint64_t previous) except -1:
        """Fill the blocks, in the pool's critical section."""
        cdef size_t block_size = self.pool.block_size, taken
        cdef Py_ssize_t i, entry, left = tokens.size
        cdef TokenDrafts drafts
        self.check_all_held()
        if <size_t>tokens.size > self.count * block_size:
            raise ValueError(f"{tokens.size} tokens do not fit into {self.count} blocks of {block_size}")
        drafts = self.need_drafts()
        for i in range(self.count):
            entry = self.offset + self.stride * i
            if drafts.stages[entry] != FRESH and i * <Py_ssize_t>block_size < tokens.size:
                raise InvalidMutableBlock(f"block {self.lease.ids[entry]} has a sequence already: reset it first")
        for i in range(self.count):
            if left <= 0:
                break
            entry = self.offset + self.stride * i
            taken = block_size if <size_t>left >= block_size else left
            drafts.begin(entry, None, salt, has_parent, previous)
            drafts.add(entry, None, tokens.data + tokens.size - left, taken)
            if taken == block_size:
                drafts.complete(entry, None)
                has_parent = True
                previous = drafts.hashes[entry]
            left -= taken
        return 0

    cdef object view(self, object layer, object outer):
        cdef kvp_segment part = self.segment()
        with cython.critical_section(self.pool):  # not while what is released is filled with zeros
            view = view_blocks(self.pool, &part, True, layer, outer, False, InvalidMutableBlock)
        return view

    def layer_view(self, layer, outer=0):
        """Return the memory that the blocks have of one layer, without a copy.

        Parameters
        ----------
        layer : int
        outer : int, default 0
            0 for keys, 1 for values, where they are apart.

        Returns
        -------
        BlockView
            Writable, of the shape (blocks,) and that of a region. It holds the blocks for itself.

        Raises
        ------
        BufferError
            The blocks are not a run: their ids are not evenly apart.
        BlockPoolError
            The pool has no storage, or a block is not held any more (InvalidMutableBlock).
        IndexError
            There is no such layer or outer index.
        """
        if layer is None:
            raise TypeError("layer must be an int, not None")
        return self.view(layer, outer)

    def block_view(self):
        """Return all of the memory of the blocks, of shape (blocks, layers, outer,) and that of a region.

        As :meth:`layer_view`; BufferError where their layers are in places of their own.
        """
        return self.view(None, 0)


cdef MutableBlocks new_mutable_blocks(PoolCore pool, Py_ssize_t count, object owner):
    cdef MutableBlocks self = MutableBlocks.__new__(MutableBlocks)
    self.adopt(pool, NULL, owner)
    self.stride = 1
    if count > 0:
        self.lease = new_lease(count, True, owner)
        self.count = count
    return self


cdef MutableBlocks join(MutableBlocks a, MutableBlocks b):
    cdef int64_t now
    cdef MutableBlocks result
    if a.pool is not b.pool:
        raise ForeignHandle("the two handles are of different pools")
    if a.count + b.count == 0:
        return new_mutable_blocks(a.pool, 0, a.owner_tag)
    now = a.pool.now()
    with cython.critical_section(a.pool):
        result = join_parts(a, b, now)
    return result


cdef MutableBlocks join_parts(MutableBlocks a, MutableBlocks b, int64_t now):
    """Of one pool, in its critical section."""
    cdef kvp_segment[2] parts
    cdef kvp_status status
    cdef uint32_t at = 0
    cdef Py_ssize_t i
    cdef MutableBlocks result, source
    cdef TokenDrafts old
    parts[0] = a.segment()
    parts[1] = b.segment()
    result = new_mutable_blocks(a.pool, a.count + b.count, a.owner_tag)
    if a.owning().drafts is not None or b.owning().drafts is not None:
        result.need_drafts()
    status = a.pool.join(parts, 2, now, result.lease, &at)
    if status != KVP_OK:
        raise_status(status, f"block {at} of the {result.count} was registered or released already, or is in both")
    if result.drafts is not None:
        for i in range(result.count):
            source = a if i < a.count else b
            old = source.owning().drafts
            if old is not None:
                result.drafts.copy_block(i, old, source.offset + source.stride * (i if i < a.count else i - a.count))
    return result
