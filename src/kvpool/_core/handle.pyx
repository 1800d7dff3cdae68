"""What every handle is."""

cimport cython

from libc.stdint cimport uint32_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.arrays cimport int32_array, lease_array
from kvpool._core.lease_ids cimport lease_ids
from kvpool._core.libkvp cimport KVP_NUM_HINTS, KVP_OK, kvp_lease, kvp_lease_new, kvp_status
from kvpool._core.pool_core cimport PoolCore
from kvpool._core.status cimport raise_status


cdef kvp_lease *new_lease(Py_ssize_t n, bint is_mutable, object owner) except NULL:
    cdef kvp_lease *lease = kvp_lease_new(n, is_mutable)
    if lease == NULL:
        raise MemoryError(f"no memory for a handle of {n} blocks")
    if owner is not None:
        lease.owner = <void *>owner
    return lease


cdef uint32_t parse_reuse_hint(object hint) except? 0xFFFFFFFF:
    """Return the class that a caller gave a release; a bool is one, None is none."""
    if hint is None:
        return 0
    return parse_int(int(hint) if isinstance(hint, bool) else hint, "reuse_hint", 0, KVP_NUM_HINTS - 1)


@cython.no_gc
@cython.auto_pickle(False)
cdef class Handle:
    """A hold on blocks, given back when the handle goes, on ``release()`` and at the end of ``with``."""

    def __init__(self):
        raise TypeError(f"{type(self).__name__} is made by a BlockPool, not by calling it")

    def __dealloc__(self):
        if self.lease == NULL or self.is_view:
            return
        if self.owner_tag is not None:
            # Nobody may be told of a name that is about to go: without a GIL, a reader of names is waited for.
            with cython.critical_section(self.pool):
                self.lease.owner = NULL
        self.pool.drop(self.lease)

    cdef int adopt(self, PoolCore pool, kvp_lease *lease, object owner) except -1:
        self.pool = pool
        self.lease = lease
        self.owner_tag = owner
        return 0

    cdef object ids_array(self):
        if self.lease == NULL or self.lease.count == 0:
            return int32_array(b"")
        return lease_array(lease_ids(self.lease))

    def __reduce__(self):
        name = type(self).__name__
        raise TypeError(f"{name} cannot be copied or pickled: it owns blocks of one pool in this process")

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.release()

    def release(self, *, reuse_hint=None):
        """Give the blocks back now. No effect when that was done before.

        Parameters
        ----------
        reuse_hint : int or bool, optional
            A class in [0, 3], 0 if none is given, that says something of how likely the blocks are to be asked for
            again, as 1 for a chat that goes on. What each class is worth is learned by the ``adaptive`` policy; the
            others ignore it.
        """
        cdef kvp_status status
        cdef uint32_t hint = parse_reuse_hint(reuse_hint)
        if self.lease == NULL or self.is_view:
            return
        status = self.pool.release(self.lease, hint)
        if status != KVP_OK:
            raise_status(status, "a block of this handle had no reference to give back")
        self.pool.watch()

    @property
    def owner(self):
        """What the call that made the handle was given as ``owner=``."""
        return self.owner_tag
