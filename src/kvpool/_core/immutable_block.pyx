"""A hold on one registered block."""

cimport cython
from libc.stdint cimport uint32_t, uint64_t

from kvpool._core.block_view cimport view_blocks
from kvpool._core.handle cimport Handle
from kvpool._core.libkvp cimport kvp_lease, kvp_lease_guess_live, kvp_segment
from kvpool._core.pool_core cimport PoolCore
from kvpool._core.weak_block cimport new_weak_block

from kvpool.errors import StaleHandle
from kvpool.types.block_state import BlockState


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class ImmutableBlock(Handle):
    """A registered block that is held, with a reference of its own.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> pool = BlockPool(num_blocks=8)
    >>> block = pool.register_blocks(pool.allocate_blocks(1), [11])[0]
    >>> weak = block.downgrade()
    >>> block.release()
    >>> weak.upgrade().sequence_hash
    11
    """

    cdef kvp_lease *held_lease(self) except NULL:
        if self.lease == NULL:
            raise StaleHandle("this handle was made past the pool and never held a block")
        return self.lease

    def __repr__(self):
        if self.lease == NULL:
            return "<ImmutableBlock, never held>"
        return f"<ImmutableBlock {self.id}{', released' if self.released else ''}>"

    @property
    def id(self):
        """Block id."""
        return self.held_lease().ids[0]

    @property
    def sequence_hash(self):
        """Sequence hash, an int. StaleHandle if the handle was released before it was first asked for."""
        cdef uint64_t sequence_hash
        cdef kvp_lease *lease = self.held_lease()
        with cython.critical_section(self.pool):
            if self.hash_cache is None:
                if not self.pool.read_hashes(lease, &sequence_hash):
                    raise StaleHandle(f"the handle of block {lease.ids[0]} was released: the block may be anyone's by "
                                      f"now")
                self.hash_cache = sequence_hash
            cached = self.hash_cache
        return cached

    @property
    def state(self):
        """``BlockState.ACTIVE`` while this handle holds the block."""
        if not kvp_lease_guess_live(self.held_lease()):
            raise StaleHandle(f"the handle of block {self.id} was released: the block may be anyone's by now")
        return BlockState.ACTIVE

    @property
    def released(self):
        """Whether the block was given back."""
        return not kvp_lease_guess_live(self.held_lease())

    def downgrade(self):
        """Return a :class:`WeakBlock`, which does not hold the block; this handle goes on holding it."""
        cdef uint64_t sequence_hash
        cdef uint32_t generation = self.pool.generation_of(self.held_lease().ids[0])
        # Asked last: a block that is still held now has had this generation all along.
        if not self.pool.read_hashes(self.held_lease(), &sequence_hash):
            raise StaleHandle(f"the handle of block {self.id} was released: the block may be anyone's by now")
        return new_weak_block(self.pool, self.held_lease().ids[0], generation, sequence_hash)

    cdef object view(self, object layer, object outer):
        cdef kvp_segment part
        part.lease = self.held_lease()
        part.offset = 0
        part.stride = 1
        part.count = 1
        return view_blocks(self.pool, &part, False, layer, outer, True, StaleHandle)

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
            Read-only, of the shape of a region. It holds the block for itself.

        Raises
        ------
        BlockPoolError
            The pool has no storage, or the block is not held any more (StaleHandle).
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


cdef ImmutableBlock new_immutable_block(PoolCore pool, object owner):
    cdef ImmutableBlock self = ImmutableBlock.__new__(ImmutableBlock)
    self.adopt(pool, NULL, owner)
    return self
