"""Holding blocks that somebody will ask for."""

cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t

from kvpool._core.arrays cimport uint64_array
from kvpool._core.handle cimport new_lease
from kvpool._core.hash_argument cimport HashArgument, close_hashes, open_hashes
from kvpool._core.immutable_blocks cimport ImmutableBlocks, new_immutable_blocks
from kvpool._core.libkvp cimport kvp_foresight
from kvpool._core.pool_lookups cimport PoolLookups


cdef class PoolPrefetch(PoolLookups):
    """Prefetching. Base of :class:`BlockPool`; not useful by itself."""

    @property
    def prefetcher(self):
        """The pool's :class:`Prefetcher`: its limit, its loader, and what became of what it held."""
        from kvpool.prefetch import Prefetcher  # it is built on the pool

        with cython.critical_section(self):
            known = self.ahead
        if known is None:
            prefetcher = Prefetcher(self)
            with cython.critical_section(self):
                if self.ahead is None:  # no other thread was quicker
                    self.ahead = prefetcher
                known = self.ahead
        return known

    def prefetch(self, predicted_hashes, *, hold=None, namespace=None, owner=None):
        """Hold for a time what somebody will ask for, and have the rest loaded, or room reserved for it.

        Parameters
        ----------
        predicted_hashes : array of uint64, shape (n,), or sequence of int, or TokenBlockSequence
            Sequence hashes of a prompt's blocks, from the first.
        hold : float, optional
            Seconds for which they are held at most; 5, unless the :attr:`prefetcher` says otherwise.
        namespace, owner : optional
            As in :meth:`match_sequence_hashes`; the owner is ``"prefetch"`` if none is given.

        Returns
        -------
        Prefetch
            What it holds; may be dropped, the blocks stay until the time is over. No more than the limit of the
            :attr:`prefetcher` is held by all prefetches together.
        """
        return self.prefetcher.prefetch(predicted_hashes, hold=hold, namespace=namespace, owner=owner)

    def _copy_hashes(self, hashes):
        """Sequence hashes, or keys, as a uint64 array of one's own."""
        cdef HashArgument argument
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "predicted_hashes")
        try:
            if self.has_checks:
                return uint64_array((<const char *>argument.data)[:16 * <Py_ssize_t>argument.count]).reshape(2, -1).T
            return uint64_array((<const char *>argument.data)[:8 * <Py_ssize_t>argument.count])
        finally:
            close_hashes(&argument)

    def _hold_ahead(self, hashes, namespace, owner):
        """As match_sequence_hashes; but nobody has asked for the blocks yet."""
        cdef HashArgument argument
        cdef ImmutableBlocks held = new_immutable_blocks(self, owner)
        cdef int32_t space = self.space_of(namespace)
        cdef int64_t now = self.now()
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            held.lease = new_lease(argument.count, False, owner)
            held.lease.space = <uint8_t>space
            self.hold_ahead(argument.data, argument.count, now, held.lease)
        finally:
            close_hashes(&argument)
        self.watch()
        return held

    def _count_ahead(self):
        """Blocks held ahead that were asked for, and that were not, as (useful, wasted)."""
        cdef kvp_foresight foresight = self.read_foresight()
        return foresight.useful, foresight.wasted
