"""Waiting for blocks without a thread."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.bell cimport Bell
from kvpool._core.interpreter cimport kvp_peek
from kvpool._core.libkvp cimport *
from kvpool._core.mutable_blocks cimport new_mutable_blocks
from kvpool._core.pool cimport BlockPool


# Not cleared by the collector: a waiter that is queued would lose its lease. Cycles through the future end elsewhere.
@cython.final
@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class BlockRequest:
    """An allocation that waits its turn, for an event loop.

    Parameters
    ----------
    pool : BlockPool
    n : int
        Blocks.
    bell : Bell
        Is rung when the blocks are there; see :func:`collect_requests`.
    namespace, owner : optional
        As in :meth:`BlockPool.allocate_blocks`.

    Raises
    ------
    NotEnoughBlocksAvailable
        The pool has fewer than n blocks in all.

    Attributes
    ----------
    future : object
        What those who collect find the waiting coroutine by.
    """

    def __cinit__(self, BlockPool pool not None, n, Bell bell not None, *, namespace=None, owner=None):
        cdef int64_t count = parse_int(n, "n", 0, None) if not isinstance(n, int) or n < 2**62 else pool.num_blocks + 1
        cdef int64_t now
        cdef int32_t space = pool.space_of(namespace)
        cdef uint32_t num_evicted = 0
        cdef kvp_lease *lease
        if count > pool.num_blocks:
            raise pool.shortage(n, False)  # no waiting would help
        self.pool = pool
        self.bell = bell
        if count == 0:
            self.blocks = new_mutable_blocks(pool, 0, owner)
            self.has_blocks = True
            return
        if pool.has_chooser:
            pool.make_way(count)
        now = pool.now()
        self.blocks = new_mutable_blocks(pool, count, owner)
        lease = self.blocks.lease
        lease.space = <uint8_t>space
        self.evicted = PyBytes_FromStringAndSize(NULL, 8 * count)
        if kvp_waiter_init(&self.waiter, lease, <uint64_t *>PyBytes_AS_STRING(self.evicted), &bell.bell) != KVP_OK:
            raise MemoryError("no memory to wait for blocks")
        self.has_waiter = True
        self.waiter.request = <void *>self
        if pool.join_queue(&self.waiter, lease, now, <uint64_t *>PyBytes_AS_STRING(self.evicted),
                           &num_evicted) == KVP_OK:
            self.waiter.num_evicted = num_evicted
            self.has_blocks = True
        elif pool.is_granted(&self.waiter):  # those before it do without what it needs, as other namespaces' do
            self.has_blocks = pool.leave_queue(&self.waiter)

    def __del__(self):
        """Leave the queue while there still is an object: without a GIL, others collect beside the collector."""
        if self.has_waiter:
            self.pool.leave_queue(&self.waiter)

    def __dealloc__(self):
        if self.has_waiter:  # it is in no queue: the finaliser came first
            kvp_waiter_destroy(&self.waiter)

    def __reduce__(self):
        raise TypeError("BlockRequest cannot be copied or pickled: it has its place in the queue of one pool")

    @property
    def is_served(self):
        """Whether there is nothing to wait for."""
        return self.has_blocks

    def settle(self):
        """Wait no more.

        Returns
        -------
        MutableBlocks or None
            None when the blocks have not come.
        """
        cdef Py_ssize_t used
        blocks, self.future = self.blocks, None
        if self.has_waiter and self.pool.leave_queue(&self.waiter):
            self.has_blocks = True
        if not self.has_blocks:
            return None
        used = 8 * <Py_ssize_t>self.waiter.num_evicted if self.has_waiter else 0
        if used:
            self.blocks.evicted_hashes = self.evicted[:used]
        if kvp_peek(self.pool.has_ledger) and self.has_waiter:
            self.pool.arrive(self.blocks.lease.ids, self.blocks.lease.count, self.blocks.lease.space)
        self.pool.watch()
        return blocks

    def abandon(self):
        """Wait no more, and let the next one have what came meanwhile."""
        self.future = None
        if self.has_waiter:
            self.pool.abandon(&self.waiter, self.blocks.lease)

    def shortage(self, n):
        """Return the error to raise when the time to wait is over."""
        return self.pool.shortage(n, True, self.blocks.lease.space)


def collect_requests(BlockPool pool not None, Bell bell not None):
    """Return the requests that got their blocks and wait at this bell, oldest first; from now on it rings anew."""
    bell.silence()
    cdef kvp_waiter *first = pool.collect(bell)
    cdef kvp_waiter *waiter = first
    cdef list requests
    # Before anything is made: that may run the collector, and with it the end of a request that only a cycle keeps.
    while waiter != NULL:
        Py_INCREF(<object>waiter.request)
        waiter = waiter.next
    requests = []
    while first != NULL:
        waiter, first = first, first.next
        requests.append(<object>waiter.request)
        Py_DECREF(<object>waiter.request)
    return requests
