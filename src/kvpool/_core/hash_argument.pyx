"""Sequence hashes as callers give them, as an array of uint64."""

from cpython.buffer cimport (PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES, PyBuffer_Release, PyObject_CheckBuffer,
                             PyObject_GetBuffer)
from cpython.bytearray cimport PyByteArray_Check
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check
from cpython.list cimport PyList_CheckExact
from cpython.long cimport PyLong_CheckExact
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from kvpool._core.hashing cimport parse_hash
from kvpool._core.interpreter cimport KVP_FREE_THREADED

import numpy as np


cdef extern from "Python.h":
    unsigned long long PyLong_AsUnsignedLongLong(object value) except? 0xFFFFFFFFFFFFFFFF
    PyObject **PySequence_Fast_ITEMS(object sequence)
    Py_ssize_t PySequence_Fast_GET_SIZE(object sequence)


cdef extern from *:
    """
    /* The head of NumPy's array object, the same in all versions since 1.7; can_read_arrays() makes sure of it. */
    typedef struct {
        PyObject_HEAD
        char *data;
        int nd;
        Py_ssize_t *dimensions;
        Py_ssize_t *strides;
        PyObject *base;
        PyObject *descr;
    } kvp_ndarray;
    """
    ctypedef struct kvp_ndarray:
        char *data
        int nd
        Py_ssize_t *dimensions
        Py_ssize_t *strides
        PyObject *descr

cdef enum:
    MAX_HASHES = 0xFFFFFFFF

cdef str WANTED = "a pool with 128-bit keys wants uint64 arrays of shape (n, 2), see BlockPool.sequence_keys"
cdef object NDARRAY = np.ndarray
cdef object UINT64 = np.dtype(np.uint64)


cdef bint can_read_arrays():
    """Whether arrays look inside as we think. Without a GIL another thread could resize one meanwhile: then never."""
    cdef kvp_ndarray *array
    probe = np.arange(7, dtype=np.uint64)[1:6:2]
    array = <kvp_ndarray *>probe
    return (not KVP_FREE_THREADED and array.nd == 1
            and <size_t>array.data == <size_t>probe.__array_interface__["data"][0] and array.dimensions[0] == 3
            and array.strides[0] == 16 and array.descr == <PyObject *>UINT64)


cdef bint READS_ARRAYS = can_read_arrays()


cdef bint is_uint64_format(const Py_buffer *view) noexcept:
    cdef const char *at = view.format
    if view.itemsize != 8 or at == NULL:
        return False
    if at[0] == b"@" or at[0] == b"=" or at[0] == b"<":
        at += 1
    return (at[0] == b"L" or at[0] == b"Q") and at[1] == 0


cdef int reserve(HashArgument *self, Py_ssize_t count) except -1:
    self.owned = <uint64_t *>malloc(8 * (count if count > 0 else 1))
    if self.owned == NULL:
        raise MemoryError(f"no memory for {count} hashes")
    self.data = self.owned
    self.count = <uint32_t>count
    return 0


cdef int check_count(Py_ssize_t count, str name) except -1:
    if count > MAX_HASHES:
        raise ValueError(f"{name} has {count} hashes, more than {MAX_HASHES}")
    return 0


cdef int open_buffer(HashArgument *self, object hashes, str name) except -1:
    cdef Py_ssize_t i, stride
    PyObject_GetBuffer(hashes, &self.view, PyBUF_ND | PyBUF_STRIDES | PyBUF_FORMAT)
    self.is_borrowed = True
    try:
        if self.view.ndim != 1:
            raise ValueError(f"{name} has {self.view.ndim} dimensions, not 1")
        if not is_uint64_format(&self.view):
            given = getattr(hashes, "dtype", None)
            if given is None:
                given = f"format {(<bytes>self.view.format).decode() if self.view.format != NULL else 'B'!r}"
            raise TypeError(f"{name} has dtype {given}, not uint64")
        check_count(self.view.shape[0], name)
        stride = 8 if self.view.strides == NULL or self.view.shape[0] <= 1 else self.view.strides[0]
        # Without a GIL, others may write to the array: what is looked up and what is registered must be the same.
        if not KVP_FREE_THREADED and stride == 8 and <size_t>self.view.buf % sizeof(uint64_t) == 0:
            self.data = <const uint64_t *>self.view.buf
            self.count = <uint32_t>self.view.shape[0]
            return 0
        reserve(self, self.view.shape[0])
        for i in range(self.view.shape[0]):
            memcpy(self.owned + i, <const char *>self.view.buf + i * stride, 8)
    except BaseException:
        close_hashes(self)
        raise
    self.is_borrowed = False
    PyBuffer_Release(&self.view)
    return 0


cdef int open_items(HashArgument *self, object items, str name) except -1:
    cdef Py_ssize_t i, count = PySequence_Fast_GET_SIZE(items)
    cdef object item
    check_count(count, name)
    reserve(self, count)
    try:
        for i in range(count):
            if i >= PySequence_Fast_GET_SIZE(items):  # an item's __index__ made the list shorter
                raise ValueError(f"{name} changed its length while it was read")
            item = <object>PySequence_Fast_ITEMS(items)[i]
            if PyLong_CheckExact(item):
                try:
                    self.owned[i] = PyLong_AsUnsignedLongLong(item)
                    continue
                except OverflowError:
                    pass
            self.owned[i] = parse_hash(item, f"{name}[{i}]")
    except BaseException:
        close_hashes(self)
        raise
    return 0


cdef int open_keys(HashArgument *self, object keys, str name) except -1:
    """Keys with check words: an array of shape (n, 2), or pairs, or bytes such as digests."""
    cdef Py_ssize_t count, i
    cdef bytes halves
    if isinstance(keys, (list, tuple)):
        items = []
        for key in keys:
            items.append(key[:16] if isinstance(key, bytes) and len(key) >= 16 else key)
        if items and all(isinstance(key, bytes) for key in items) and all(len(key) == 16 for key in items):
            keys = np.frombuffer(b"".join(items), "<u8").reshape(-1, 2)
        else:
            rows = []
            for i, key in enumerate(items):
                if not isinstance(key, (list, tuple, NDARRAY)) or len(key) != 2:
                    raise TypeError(f"{name}[{i}] must be a pair of ints, or at least 16 bytes, not {keys[i]!r}: "
                                    f"{WANTED}")
                row = []
                for half in key:
                    row.append(parse_hash(half, f"{name}[{i}]"))
                rows.append(row)
            keys = np.array(rows, UINT64).reshape(-1, 2)
    if type(keys) is not NDARRAY or keys.dtype != UINT64 or keys.ndim != 2 or keys.shape[1] != 2:
        given = f"an array of {keys.dtype} and shape {keys.shape}" if type(keys) is NDARRAY else type(keys).__name__
        raise TypeError(f"{name} is {given}: {WANTED}")
    count = keys.shape[0]
    check_count(count, name)
    halves = keys.T.tobytes()
    if len(halves) != 16 * count:
        raise ValueError(f"{name} changed its shape while it was read")
    self.owned = <uint64_t *>malloc(16 * (count if count > 0 else 1))
    if self.owned == NULL:
        raise MemoryError(f"no memory for {count} keys")
    memcpy(self.owned, PyBytes_AS_STRING(halves), 16 * count)
    self.data = self.owned
    self.count = <uint32_t>count
    return 0


cdef int open_hashes(HashArgument *self, object hashes, size_t block_size, bint has_checks, str name) except -1:
    cdef kvp_ndarray *array
    self.owned = NULL
    self.is_borrowed = False
    if has_checks:
        return open_keys(self, hashes, name)
    if READS_ARRAYS and type(hashes) is NDARRAY:
        array = <kvp_ndarray *>hashes
        if (array.nd == 1 and array.descr == <PyObject *>UINT64 and array.strides[0] == 8
                and <size_t>array.data % sizeof(uint64_t) == 0
                and array.dimensions[0] <= MAX_HASHES):
            self.data = <const uint64_t *>array.data
            self.count = <uint32_t>array.dimensions[0]
            return 0
    if PyList_CheckExact(hashes):
        # Another thread of a free-threaded Python could shorten the list under our hands.
        return open_items(self, tuple(hashes) if KVP_FREE_THREADED else hashes, name)
    if PyTuple_CheckExact(hashes):
        return open_items(self, hashes, name)
    if PyObject_CheckBuffer(hashes) and not PyBytes_Check(hashes) and not PyByteArray_Check(hashes):
        return open_buffer(self, hashes, name)
    sequence_hashes = getattr(hashes, "sequence_hashes", None)
    if sequence_hashes is not None and PyObject_CheckBuffer(sequence_hashes):
        given = getattr(hashes, "block_size", block_size)
        if given != block_size:
            raise ValueError(f"{name} are of blocks of {given} tokens, the pool's blocks have {block_size}")
        return open_buffer(self, sequence_hashes, name)
    if hashes is None or isinstance(hashes, (str, bytes, bytearray, int, float, dict, set, frozenset)):
        raise TypeError(f"{name} must be a uint64 array, a sequence of ints or a TokenBlockSequence, "
                        f"not {type(hashes).__name__}")
    try:
        items = iter(hashes)
    except TypeError:
        raise TypeError(f"{name} must be a uint64 array, a sequence of ints or a TokenBlockSequence, "
                        f"not {type(hashes).__name__}") from None
    return open_items(self, list(items), name)


cdef void close_hashes(HashArgument *self) noexcept:
    free(self.owned)
    self.owned = NULL
    if self.is_borrowed:
        self.is_borrowed = False
        PyBuffer_Release(&self.view)
