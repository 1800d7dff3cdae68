"""A block remembered without holding it."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from kvpool._core.handle cimport new_lease
from kvpool._core.immutable_block cimport ImmutableBlock, new_immutable_block
from kvpool._core.libkvp cimport KVP_OK
from kvpool._core.pool_core cimport PoolCore


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class WeakBlock:
    """A registered block that is remembered but not held: it may be evicted at any time.

    Attributes
    ----------
    id : int
        Block id.
    sequence_hash : int
    """

    def __init__(self):
        raise TypeError("WeakBlock is made by ImmutableBlock.downgrade(), not by calling it")

    def __reduce__(self):
        raise TypeError("WeakBlock cannot be copied or pickled: it belongs to one pool in this process")

    def __repr__(self):
        return f"<WeakBlock {self.id}>"

    def upgrade(self):
        """Hold the block again: an :class:`ImmutableBlock`, or None when it has lost its identity or has another
        owner."""
        if self.pool is None:
            return None
        cdef int64_t now = self.pool.now()
        cdef ImmutableBlock block = new_immutable_block(self.pool, None)
        block.lease = new_lease(1, False, None)
        if self.pool.upgrade(self.id, self.generation, self.sequence_hash, now, block.lease) != KVP_OK:
            return None
        return block


cdef WeakBlock new_weak_block(PoolCore pool, int32_t id, uint32_t generation, uint64_t sequence_hash):
    cdef WeakBlock self = WeakBlock.__new__(WeakBlock)
    self.pool = pool
    self.id = id
    self.generation = generation
    self.sequence_hash = sequence_hash
    return self
