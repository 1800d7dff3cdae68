"""Read-only NumPy arrays over memory that an object keeps alive."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t

from kvpool._core.lease_ids cimport LeaseIds

import numpy as np

# NumPy's table of C functions; the order is part of its ABI (numpy/_core/code_generators/numpy_api.py). It is looked up
# when the module is imported, so that building needs no NumPy and one wheel serves every version.
ctypedef unsigned int (*abi_version_function)()
ctypedef object (*new_from_descr_function)(PyObject *type, PyObject *descr, int nd, const Py_ssize_t *dimensions,
                                           const Py_ssize_t *strides, const void *data, int flags, PyObject *obj)
ctypedef int (*set_base_object_function)(PyObject *array, PyObject *base) except -1

cdef enum:
    ABI_VERSION = 0
    NDARRAY = 2
    NEW_FROM_DESCR = 94
    SET_BASE_OBJECT = 282
    CONTIGUOUS = 0x1 | 0x2  # in the order of C, and of Fortran
    ALIGNED = 0x100
    WRITEABLE = 0x400

cdef object INT32 = np.dtype(np.int32)
cdef object UINT32 = np.dtype(np.uint32)
cdef object UINT64 = np.dtype(np.uint64)
cdef object UINT8 = np.dtype(np.uint8)
cdef object BOOL = np.dtype(np.bool_)


cdef void **numpy_table():
    """The table, or NULL when it is not one of the two that we know."""
    cdef void **table
    try:
        from numpy._core import _multiarray_umath as umath
    except ImportError:
        from numpy.core import _multiarray_umath as umath
    capsule = getattr(umath, "_ARRAY_API", None)
    if capsule is None:
        return NULL
    table = <void **>PyCapsule_GetPointer(capsule, NULL)
    if (<abi_version_function>table[ABI_VERSION])() not in (0x01000009, 0x02000000):
        return NULL
    return table if <PyObject *>table[NDARRAY] == <PyObject *>np.ndarray else NULL


cdef void **TABLE = numpy_table()


@cython.final
@cython.auto_pickle(False)
cdef class WritableMemory:
    """Memory as a buffer, for np.frombuffer."""

    def __init__(self):
        raise TypeError("WritableMemory cannot be created from Python")

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.data, self.size, False, flags)


cdef object view_of(const void *data, Py_ssize_t length, object dtype, object owner):
    if TABLE == NULL:
        return np.frombuffer(owner, dtype)
    Py_INCREF(dtype)  # the call takes it over
    array = (<new_from_descr_function>TABLE[NEW_FROM_DESCR])(
        <PyObject *>TABLE[NDARRAY], <PyObject *>dtype, 1, &length, NULL, data, CONTIGUOUS | ALIGNED, NULL)
    Py_INCREF(owner)  # and so does this one
    (<set_base_object_function>TABLE[SET_BASE_OBJECT])(<PyObject *>array, <PyObject *>owner)
    return array


cdef object writable_array(void *data, Py_ssize_t length, object dtype, object owner):
    cdef WritableMemory memory
    if TABLE == NULL:
        memory = WritableMemory.__new__(WritableMemory)
        memory.data = data
        memory.size = length * dtype.itemsize
        memory.owner = owner
        return np.frombuffer(memory, dtype)
    Py_INCREF(dtype)
    array = (<new_from_descr_function>TABLE[NEW_FROM_DESCR])(
        <PyObject *>TABLE[NDARRAY], <PyObject *>dtype, 1, &length, NULL, data, CONTIGUOUS | ALIGNED | WRITEABLE, NULL)
    Py_INCREF(owner)
    (<set_base_object_function>TABLE[SET_BASE_OBJECT])(<PyObject *>array, <PyObject *>owner)
    return array


cdef object int32_array(bytes room):
    return view_of(PyBytes_AS_STRING(room), PyBytes_GET_SIZE(room) // 4, INT32, room)


cdef object uint32_array(bytes room):
    return view_of(PyBytes_AS_STRING(room), PyBytes_GET_SIZE(room) // 4, UINT32, room)


cdef object uint64_array(bytes room):
    return view_of(PyBytes_AS_STRING(room), PyBytes_GET_SIZE(room) // 8, UINT64, room)


cdef object uint8_array(bytes room):
    return view_of(PyBytes_AS_STRING(room), PyBytes_GET_SIZE(room), UINT8, room)


cdef object bool_array(bytes room):
    return view_of(PyBytes_AS_STRING(room), PyBytes_GET_SIZE(room), BOOL, room)


cdef object lease_array(LeaseIds ids):
    return view_of(ids.ids, ids.shape, INT32, ids)


cdef tuple int64_tuple(const int64_t *values, Py_ssize_t n, int64_t factor):
    cdef Py_ssize_t i
    cdef list items = []
    for i in range(n):
        items.append(values[i] * factor)
    return tuple(items)
