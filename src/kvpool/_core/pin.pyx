"""A hold that keeps blocks from eviction until it is taken back."""

cimport cython

from kvpool._core.handle cimport Handle
from kvpool._core.libkvp cimport kvp_lease_guess_held, kvp_lease_guess_live
from kvpool._core.pool_core cimport PoolCore


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class Pin(Handle):
    """Blocks that :meth:`BlockPool.pin` keeps: as long as this is not released, nor dropped, nothing evicts them.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> pool = BlockPool(num_blocks=8)
    >>> pool.register_blocks(pool.allocate_blocks(3), [11, 12, 13]).release()
    >>> with pool.pin([11, 12], owner="system prompt") as pin:
    ...     len(pin), pool.status().pinned, pool.available_blocks
    (2, 2, 6)
    >>> pool.status().pinned
    0
    """

    def __len__(self):
        """Blocks that were found and are kept."""
        return 0 if self.lease == NULL else kvp_lease_guess_held(self.lease)

    def __repr__(self):
        return f"<Pin of {len(self)} blocks{', released' if self.released else ''}>"

    @property
    def ids(self):
        """Block ids, a read-only int32 array, -1 for a hash that was not registered."""
        return self.ids_array()

    @property
    def released(self):
        """Whether the blocks were unpinned."""
        return self.lease != NULL and not kvp_lease_guess_live(self.lease) and bool((self.ids >= 0).any())


cdef Pin new_pin(PoolCore pool, object owner):
    cdef Pin self = Pin.__new__(Pin)
    self.adopt(pool, NULL, owner)
    return self
