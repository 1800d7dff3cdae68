"""The ids of a lease as a read-only buffer."""

cimport cython
from cpython.buffer cimport PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBUF_WRITABLE

from kvpool._core.libkvp cimport (kvp_id_table_share, kvp_id_table_unshare, kvp_lease, kvp_lease_share,
                                  kvp_lease_unshare)


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class LeaseIds:
    """What an array of block ids looks at: it keeps the memory alive, not the hold on the blocks."""

    def __init__(self):
        raise TypeError("LeaseIds cannot be created from Python")

    def __dealloc__(self):
        kvp_lease_unshare(self.lease)
        kvp_id_table_unshare(self.table)

    def __getbuffer__(self, Py_buffer *view, int flags):
        if self.ids == NULL:
            raise BufferError("made past the pool: there are no ids")
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE:
            raise BufferError("block ids are read-only")
        view.buf = self.ids
        view.obj = self
        view.len = self.shape * 4
        view.itemsize = 4
        view.readonly = 1
        view.ndim = 1
        view.format = NULL
        if flags & PyBUF_FORMAT == PyBUF_FORMAT:
            view.format = b"i"
        view.shape = &self.shape if flags & PyBUF_ND == PyBUF_ND else NULL
        view.strides = &self.stride if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL


cdef LeaseIds lease_ids(kvp_lease *lease):
    cdef LeaseIds self = LeaseIds.__new__(LeaseIds)
    kvp_lease_share(lease)
    self.lease = lease
    self.ids = lease.ids
    self.shape = lease.count
    self.stride = 4
    return self


cdef LeaseIds table_ids(kvp_lease *lease):
    cdef LeaseIds self = LeaseIds.__new__(LeaseIds)
    kvp_id_table_share(lease.table)
    self.table = lease.table
    self.ids = lease.ids
    self.shape = lease.count
    self.stride = 4
    return self
