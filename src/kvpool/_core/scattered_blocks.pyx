"""A hold on those of many hashes that are registered."""

cimport cython
from cpython.number cimport PyNumber_AsSsize_t

from kvpool._core.handle cimport Handle
from kvpool._core.immutable_block cimport ImmutableBlock, new_immutable_block
from kvpool._core.immutable_blocks cimport share_parts
from kvpool._core.libkvp cimport KVP_NO_BLOCK, kvp_lease_guess_held, kvp_lease_guess_live, kvp_segment
from kvpool._core.pool_core cimport PoolCore


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class ScatteredBlocks(Handle):
    """What ``match_scattered`` found: as long as the hashes it was given, with holes where a hash is not registered.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> pool = BlockPool(num_blocks=8)
    >>> del_me = pool.register_blocks(pool.allocate_blocks(2), [11, 12])
    >>> found = pool.match_scattered([11, 5, 12])
    >>> found.ids.tolist(), found.hits.tolist(), found[1]
    ([0, -1, 1], [True, False, True], None)
    """

    def __len__(self):
        return self.count

    def __repr__(self):
        held = 0 if self.lease == NULL else kvp_lease_guess_held(self.lease)
        return f"<ScatteredBlocks of {self.count} hashes, {held} blocks held>"

    def __getitem__(self, key):
        cdef kvp_segment part
        cdef ImmutableBlock block
        cdef Py_ssize_t i = PyNumber_AsSsize_t(key, IndexError)
        if i < 0:
            i += self.count
        if not 0 <= i < self.count:
            raise IndexError(f"index {key} is out of range for {self.count} hashes")
        if self.lease.ids[i] == KVP_NO_BLOCK:
            return None
        part.lease = self.lease
        part.offset = i
        part.stride = 1
        part.count = 1
        block = new_immutable_block(self.pool, self.owner_tag)
        share_parts(block, &part, 1)
        return block

    def __iter__(self):
        cdef Py_ssize_t i
        for i in range(self.count):
            yield self[i]

    @property
    def ids(self):
        """Block ids, a read-only int32 array, -1 where a hash is not registered."""
        return self.ids_array()

    @property
    def hits(self):
        """Whether each hash is registered, a bool array."""
        return self.ids >= 0

    @property
    def released(self):
        """Whether the blocks were given back."""
        return self.lease != NULL and not kvp_lease_guess_live(self.lease) and bool(self.hits.any())


cdef ScatteredBlocks new_scattered_blocks(PoolCore pool, object owner):
    cdef ScatteredBlocks self = ScatteredBlocks.__new__(ScatteredBlocks)
    self.adopt(pool, NULL, owner)
    return self
