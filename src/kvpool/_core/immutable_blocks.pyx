"""A hold on registered blocks."""

cimport cython
from cpython.number cimport PyNumber_AsSsize_t
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.slice cimport PySlice_AdjustIndices, PySlice_Unpack
from libc.stdint cimport int64_t, uint32_t, uint64_t

from kvpool._core.arrays cimport uint64_array
from kvpool._core.block_view cimport view_blocks
from kvpool._core.handle cimport Handle, new_lease
from kvpool._core.hashing cimport parse_hash
from kvpool._core.immutable_block cimport ImmutableBlock, new_immutable_block
from kvpool._core.libkvp cimport KVP_OK, kvp_lease, kvp_lease_guess_live, kvp_segment, kvp_status
from kvpool._core.pool_core cimport PoolCore
from kvpool._core.status cimport raise_status

from kvpool.errors import ForeignHandle, StaleHandle


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class ImmutableBlocks(Handle):
    """Registered blocks that are held, in order: a list of :class:`ImmutableBlock`.

    Items, slices and sums are handles of their own, with references of their own. The blocks go back to the pool,
    where they can be matched until they are evicted, when the last handle that holds them is dropped.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> pool = BlockPool(num_blocks=8, block_size=4)
    >>> blocks = pool.register_blocks(pool.allocate_blocks(2), [11, 12])
    >>> blocks.ids.tolist(), blocks.sequence_hashes.tolist()
    ([0, 1], [11, 12])
    >>> blocks.release()
    >>> len(pool.match_sequence_hashes([11, 12, 13]))
    2
    """

    cdef Py_ssize_t length(self) noexcept:
        return 0 if self.lease == NULL else self.lease.count

    cdef object hashes(self):
        with cython.critical_section(self.pool):
            if self.hashes_cache is None:
                self.hashes_cache = uint64_array(read_lease_hashes(self.pool, self.lease) if self.length() else b"")
            cached = self.hashes_cache
        return cached

    def __len__(self):
        return self.length()

    def __repr__(self):
        return f"<ImmutableBlocks of {self.length()} blocks{', released' if self.released else ''}>"

    def __getitem__(self, key):
        cdef Py_ssize_t start, stop, step, i
        cdef kvp_segment part
        cdef ImmutableBlocks blocks
        cdef ImmutableBlock block
        if isinstance(key, slice):
            PySlice_Unpack(key, &start, &stop, &step)
            part.lease = self.lease
            part.count = <uint32_t>PySlice_AdjustIndices(self.length(), &start, &stop, step)
            part.offset = start
            part.stride = step
            if part.count == 0:
                return new_immutable_blocks(self.pool, self.owner_tag)
            blocks = new_immutable_blocks(self.pool, self.owner_tag)
            share_parts(blocks, &part, 1)
            return blocks
        i = PyNumber_AsSsize_t(key, IndexError)
        if i < 0:
            i += self.length()
        if not 0 <= i < self.length():
            raise IndexError(f"index {key} is out of range for {self.length()} blocks")
        part.lease = self.lease
        part.offset = i
        part.stride = 1
        part.count = 1
        block = new_immutable_block(self.pool, self.owner_tag)
        share_parts(block, &part, 1)
        return block

    def __iter__(self):
        cdef Py_ssize_t i
        for i in range(self.length()):
            yield self[i]

    def __add__(self, other):
        """Return a new handle on the blocks of both, with references of its own."""
        cdef kvp_segment[2] parts
        cdef ImmutableBlocks a, b, blocks
        if not isinstance(self, ImmutableBlocks) or not isinstance(other, ImmutableBlocks):
            return NotImplemented
        a, b = self, other
        if a.pool is not b.pool:
            raise ForeignHandle("the two handles are of different pools")
        if a.length() + b.length() == 0:
            return new_immutable_blocks(a.pool, a.owner_tag)
        parts[0].lease = a.lease
        parts[0].count = <uint32_t>a.length()
        parts[1].lease = b.lease
        parts[1].count = <uint32_t>b.length()
        for part in range(2):
            parts[part].offset = 0
            parts[part].stride = 1
        blocks = new_immutable_blocks(a.pool, a.owner_tag)
        share_parts(blocks, parts, 2)
        return blocks

    @property
    def block_size(self):
        """Tokens of a block of the pool."""
        return 0 if self.pool is None else self.pool.block_size

    @property
    def ids(self):
        """Block ids, a read-only int32 array; stays readable, but means nothing, when the blocks are given back."""
        with cython.critical_section(self.pool):
            if self.ids_cache is None:
                self.ids_cache = self.ids_array()
            cached = self.ids_cache
        return cached

    @property
    def sequence_hashes(self):
        """Sequence hashes, a read-only uint64 array. StaleHandle if the handle was released before it was first asked
        for."""
        return self.hashes()

    @property
    def released(self):
        """Whether the blocks were given back."""
        return self.lease != NULL and self.lease.count > 0 and not kvp_lease_guess_live(self.lease)

    cdef object view(self, object layer, object outer):
        cdef kvp_segment part
        part.lease = self.lease
        part.offset = 0
        part.stride = 1
        part.count = <uint32_t>self.length()
        return view_blocks(self.pool, &part, True, layer, outer, True, StaleHandle)

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
            Read-only, of the shape (blocks,) and that of a region. It holds the blocks for itself.

        Raises
        ------
        BufferError
            The blocks are not a run: their ids are not evenly apart.
        BlockPoolError
            The pool has no storage, or a block is not held any more (StaleHandle).
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


cdef ImmutableBlocks new_immutable_blocks(PoolCore pool, object owner):
    cdef ImmutableBlocks self = ImmutableBlocks.__new__(ImmutableBlocks)
    self.pool = pool
    self.owner_tag = owner
    return self


cdef int share_parts(Handle into, const kvp_segment *parts, uint32_t num_parts) except -1:
    cdef Py_ssize_t count = 0
    cdef uint32_t p
    cdef int64_t now = into.pool.now()
    cdef kvp_status status
    for p in range(num_parts):
        count += parts[p].count
    into.lease = new_lease(count, False, into.owner_tag)
    status = into.pool.share(parts, num_parts, now, into.lease)
    if status != KVP_OK:
        raise_status(status, "the handle was released: its blocks may be anyone's by now")
    return 0


cdef bytes read_lease_hashes(PoolCore pool, const kvp_lease *lease):
    cdef bytes hashes = PyBytes_FromStringAndSize(NULL, 8 * <Py_ssize_t>lease.count)
    if not pool.read_hashes(lease, <uint64_t *>PyBytes_AS_STRING(hashes)):
        raise StaleHandle("the handle was released: its blocks may be anyone's by now")
    return hashes


cdef bint parse_parent(object parent, PoolCore pool, uint64_t *sequence_hash) except -1:
    cdef Handle handle
    if parent is None:
        return False
    if isinstance(parent, (ImmutableBlocks, ImmutableBlock)):
        handle = parent
        if handle.lease == NULL or handle.lease.count == 0:
            return False
        if handle.pool is not pool:
            raise ForeignHandle("the parent is a handle of another pool")
        if not pool.read_hash(handle.lease, handle.lease.count - 1, sequence_hash):
            raise StaleHandle("the parent was released: its blocks may be anyone's by now")
        return True
    if isinstance(parent, (Handle, str, bytes, float, bool)):
        raise TypeError(f"parent must be a sequence hash, ImmutableBlocks or an ImmutableBlock, "
                        f"not {type(parent).__name__}")
    sequence_hash[0] = parse_hash(parent, "parent")
    return True
