"""A tenant of a pool."""

cimport cython
from libc.stdint cimport int32_t, uint64_t

from kvpool._core.libkvp cimport kvp_quota
from kvpool._core.pool_core cimport PoolCore

from kvpool._core.hashing import sequence_hashes as hash_tokens


@cython.final
@cython.auto_pickle(False)
cdef class Namespace:
    """A tenant or model of a pool, whose blocks no other namespace can match. Made by :meth:`BlockPool.namespace`.

    Attributes
    ----------
    name : str
    index : int
        Number of the namespace in its pool; the default one, that of calls without ``namespace=``, is 0.
    salt_hash : int
        Seed of its sequence hashes, added to a ``salt_hash`` that a call is given.
    """

    def __init__(self):
        raise TypeError("Namespace is made by BlockPool.namespace, not by calling it")

    def __reduce__(self):
        raise TypeError("Namespace cannot be copied or pickled: it belongs to its pool")

    def __repr__(self):
        cdef kvp_quota quota = self.quota()
        return (f"<Namespace {self.name!r}: {quota.held} blocks held, {quota.cached} cached, floor {quota.floor}, "
                f"cap {quota.cap}>")

    cdef kvp_quota quota(self) noexcept:
        return self.pool.read_quota(self.index)

    @property
    def floor(self):
        """Blocks that the others leave to it."""
        return self.quota().floor

    @property
    def cap(self):
        """Blocks that it can have, held and cached together."""
        return self.quota().cap

    @property
    def held_blocks(self):
        """Blocks that handles hold."""
        return self.quota().held

    @property
    def cached_blocks(self):
        """Blocks that nobody holds and that can be matched."""
        return self.quota().cached

    @property
    def available_blocks(self):
        """Blocks that it can hold beside those that it holds: allocate them, or match cached ones."""
        return self.pool.read_room(self.index)

    def sequence_hashes(self, token_ids):
        """Return the sequence hashes of tokens in this namespace, uint64, one for each full block."""
        return hash_tokens(token_ids, self.pool.block_size, salt_hash=self.salt_hash)


cdef Namespace new_namespace(PoolCore pool, str name, int32_t index, uint64_t salt_hash):
    cdef Namespace self = Namespace.__new__(Namespace)
    self.pool = pool
    self.name = name
    self.index = index
    self.salt_hash = salt_hash
    return self
