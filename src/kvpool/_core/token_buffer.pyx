"""Any token argument as a run of uint32."""

cimport cython
from cpython.buffer cimport (
    PyBUF_FORMAT,
    PyBUF_ND,
    PyBUF_RECORDS_RO,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
    PyBuffer_Release,
    PyObject_CheckBuffer,
    PyObject_GetBuffer,
)
from cpython.list cimport PyList_CheckExact
from cpython.number cimport PyNumber_Index
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

import numpy as np

# Declared here on borrowed pointers: going through Python objects would count a reference up and down for each token.
cdef extern from "Python.h":
    const Py_ssize_t PY_SSIZE_T_MAX
    Py_ssize_t PySequence_Fast_GET_SIZE(PyObject *sequence)
    PyObject **PySequence_Fast_ITEMS(PyObject *sequence)
    bint PyLong_CheckExact(PyObject *item)
    long PyLong_AsLongAndOverflow(PyObject *item, int *overflow)
    long long PyLong_AsLongLongAndOverflow(PyObject *item, int *overflow)

ctypedef fused item_t:
    int8_t
    int16_t
    int32_t
    int64_t
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef char *FORMAT = b"I"

# Out of range is tested as <uint64_t>value >> 32 != 0 below: the sign of a negative value fills the upper half.

cdef int SIGNED = -1
cdef int UNSIGNED = 1
cdef int NOT_INTEGER = 0

# Iterable, but never what was meant: text, bytes that are not yet numbers, and collections without an order.
cdef tuple REJECTED_TYPES = (str, bytes, bytearray, dict, set, frozenset)


# Without garbage collection: a buffer refers to nothing but the exporter of its view, which does not refer back.
@cython.final
@cython.no_gc
@cython.freelist(8)
@cython.auto_pickle(False)
cdef class TokenBuffer:
    """Tokens as unsigned 32-bit integers, made by `as_token_buffer`.

    Supports the buffer protocol: one dimension, format ``"I"``, read-only. It may borrow the array that it was
    made of, so changes to that array show through; `tobytes` takes a copy.
    """

    def __cinit__(self):
        self.data = <const uint32_t *>&self.size  # an address that is never read, as size is 0
        self.size = 0
        self.owned = NULL
        self.is_borrowed = False

    def __dealloc__(self):
        if self.is_borrowed:
            PyBuffer_Release(&self.view)
        free(self.owned)

    cdef uint32_t *reserve(self, Py_ssize_t size) except NULL:
        """Make room for `size` tokens of our own in place of what is there; on error nothing changed."""
        cdef uint32_t *owned = NULL
        if size < PY_SSIZE_T_MAX // <Py_ssize_t>sizeof(uint32_t):
            owned = <uint32_t *>malloc(<size_t>(size + 1) * sizeof(uint32_t))
        if owned is NULL:
            raise MemoryError(f"no memory for {size} tokens")
        free(self.owned)
        self.owned = owned
        self.data = owned
        self.size = size
        return owned

    def __len__(self):
        return self.size

    def tobytes(self):
        """Return the tokens as bytes, 4 for each, little-endian."""
        return (<const char *>self.data)[:self.size * <Py_ssize_t>sizeof(uint32_t)]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("a TokenBuffer is read-only")
        buffer.buf = <void *>self.data
        buffer.obj = self
        buffer.len = self.size * <Py_ssize_t>sizeof(uint32_t)
        buffer.itemsize = sizeof(uint32_t)
        buffer.readonly = 1
        buffer.ndim = 1
        buffer.format = FORMAT if flags & PyBUF_FORMAT else NULL
        buffer.shape = &self.size if flags & PyBUF_ND else NULL
        # Items lie side by side: the stride is the item size.
        buffer.strides = &buffer.itemsize if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        buffer.suboffsets = NULL
        buffer.internal = NULL


cpdef TokenBuffer as_token_buffer(object token_ids):
    """Take tokens in any of the accepted forms as unsigned 32-bit integers.

    Parameters
    ----------
    token_ids : array, list, tuple or iterable of int
        Arrays are objects with the buffer protocol (NumPy arrays, ``array.array``, `memoryview`) or with
        ``__array__`` (CPU tensors), 1-D and of any integer dtype; uint32 and int32 arrays are not copied. Elements of
        other sequences and iterables are ints or have ``__index__``; `bool` is an `int` here as everywhere.

    Returns
    -------
    TokenBuffer
        As many tokens as there are elements, in their order.

    Raises
    ------
    TypeError
        If `token_ids` or one of its elements is of another kind: arrays of floats or bools or with another number of
        dimensions, `str`, `bytes` and `bytearray` (``memoryview(data)`` is taken as uint8), sets and dicts.
    ValueError
        If a token is not in [0, 2**32); the message names the value and its position.

    Examples
    --------
    >>> memoryview(as_token_buffer([3, 1, 4])).tolist()
    [3, 1, 4]
    >>> as_token_buffer([3, -1, 4])
    Traceback (most recent call last):
        ...
    ValueError: token_ids[1] = -1 is not in [0, 4294967295]
    """
    cdef TokenBuffer self
    if isinstance(token_ids, TokenBuffer):
        return <TokenBuffer>token_ids
    self = TokenBuffer.__new__(TokenBuffer)
    if PyList_CheckExact(token_ids):
        take_list(self, <list>token_ids)
    elif PyTuple_CheckExact(token_ids):
        take_tuple(self, <tuple>token_ids)
    elif isinstance(token_ids, REJECTED_TYPES):
        raise unaccepted(token_ids)
    elif PyObject_CheckBuffer(token_ids):
        take_array(self, token_ids)
    elif hasattr(token_ids, "__array__"):
        take_array(self, np.asarray(token_ids))
    else:
        try:
            iterator = iter(token_ids)
        except TypeError:
            raise unaccepted(token_ids) from None
        take_tuple(self, tuple(iterator))
    return self


cdef object unaccepted(object token_ids):
    """Make the error for an argument that is no run of integers."""
    kind = type(token_ids).__name__
    dtype = getattr(token_ids, "dtype", None)
    shape = getattr(token_ids, "shape", None)
    if dtype is not None:
        kind = f"{kind} of dtype {dtype}"
    if isinstance(shape, tuple) and len(shape) != 1:
        kind = f"{kind} with {len(shape)} dimensions"
    return TypeError(f"token_ids must be a 1-D array of integers or an iterable of ints, not {kind}")


cdef object out_of_range(Py_ssize_t index, object value):
    """Make the error for a token that no uint32 can hold."""
    # Python refuses to write very long integers in decimal.
    shown = str(value) if value.bit_length() <= 128 else f"an int of {value.bit_length()} bits"
    return ValueError(f"token_ids[{index}] = {shown} is not in [0, 4294967295]")


# Lists, tuples and iterables ------------------------------------------------------------------------------------------


cdef int take_list(TokenBuffer self, list token_ids) except -1:
    cdef bint done
    # Another thread of a free-threaded Python must not shorten the list while we walk its items.
    with cython.critical_section(token_ids):
        done = take_exact_ints(self, <PyObject *>token_ids)
    if not done:
        # Converting other objects runs their code, which may change the list: go on with a copy of it.
        take_index_values(self, tuple(token_ids))
    return 0


cdef int take_tuple(TokenBuffer self, tuple token_ids) except -1:
    if not take_exact_ints(self, <PyObject *>token_ids):
        take_index_values(self, token_ids)
    return 0


cdef int take_exact_ints(TokenBuffer self, PyObject *sequence) except -1:
    """Return 1 if all items of a list or tuple are plain ints in range, which runs no Python code; otherwise 0."""
    cdef Py_ssize_t size = PySequence_Fast_GET_SIZE(sequence)
    cdef PyObject **items = PySequence_Fast_ITEMS(sequence)
    cdef uint32_t *out = self.reserve(size)
    cdef long value
    cdef int overflow = 0
    cdef Py_ssize_t i
    for i in range(size):
        if not PyLong_CheckExact(items[i]):
            return 0
        value = PyLong_AsLongAndOverflow(items[i], &overflow)  # -1 on overflow; faster than to a long long
        if <uint64_t>value >> 32 != 0:
            return 0
        out[i] = <uint32_t>value
    return 1


cdef int take_index_values(TokenBuffer self, tuple items) except -1:
    """Take items of any type that has ``__index__``, and raise for the first one that cannot be a token."""
    cdef uint32_t *out = self.reserve(len(items))
    cdef long long value
    cdef int overflow = 0
    cdef Py_ssize_t i = 0
    cdef object number
    for item in items:
        try:
            number = PyNumber_Index(item)
        except TypeError:
            raise TypeError(f"token_ids[{i}] must be an int, not {type(item).__name__}") from None
        value = PyLong_AsLongLongAndOverflow(<PyObject *>number, &overflow)
        if <uint64_t>value >> 32 != 0:
            raise out_of_range(i, number)
        out[i] = <uint32_t>value
        i += 1
    return 0


# Arrays ---------------------------------------------------------------------------------------------------------------


cdef int take_array(TokenBuffer self, object array) except -1:
    """Borrow the memory of an array, or copy it if it is not contiguous, aligned 32-bit integers."""
    cdef int kind
    cdef Py_ssize_t size, stride, bad
    try:
        PyObject_GetBuffer(array, &self.view, PyBUF_RECORDS_RO)
    except (BufferError, TypeError, ValueError) as error:
        raise unaccepted(array) from error
    self.is_borrowed = True
    kind = kind_of(self.view.format)
    if self.view.ndim != 1 or kind == NOT_INTEGER:
        raise unaccepted(array)
    size = self.view.shape[0]
    stride = self.view.strides[0] if self.view.strides != NULL else self.view.itemsize

    if size == 0:
        return 0
    if (self.view.itemsize == 4 and (stride == 4 or size == 1)
            and <uintptr_t>self.view.buf % sizeof(uint32_t) == 0):
        self.data = <const uint32_t *>self.view.buf
        self.size = size
        bad = first_negative(<const int32_t *>self.data, size) if kind == SIGNED else size
    else:
        bad = copy_array(self, kind, size, stride)
    if bad < size:
        raise out_of_range(bad, value_at(&self.view, kind, bad))

    if self.owned is not NULL:
        self.is_borrowed = False
        PyBuffer_Release(&self.view)
    return 0


cdef int kind_of(const char *format) noexcept nogil:
    """Return SIGNED or UNSIGNED if a buffer holds integers in this machine's order of bytes, else NOT_INTEGER."""
    if format is NULL:
        return UNSIGNED  # what the buffer protocol says of a missing format
    if format[0] in (b"@", b"=", b"<"):
        format += 1
    if format[0] == 0 or format[1] != 0:
        return NOT_INTEGER
    if format[0] in (b"b", b"h", b"i", b"l", b"q", b"n"):
        return SIGNED
    if format[0] in (b"B", b"H", b"I", b"L", b"Q", b"N"):
        return UNSIGNED
    return NOT_INTEGER


cdef Py_ssize_t first_negative(const int32_t *values, Py_ssize_t size) noexcept nogil:
    """Return the position of the first negative value, or size."""
    cdef int32_t signs = 0
    cdef Py_ssize_t i
    for i in range(size):  # without a way out, so that the compiler can vectorise it
        signs |= values[i]
    if signs >= 0:
        return size
    for i in range(size):
        if values[i] < 0:
            return i
    return size


cdef Py_ssize_t copy_array(TokenBuffer self, int kind, Py_ssize_t size, Py_ssize_t stride) except -1:
    """Copy the exported array; return the position of the first item out of range, or size."""
    cdef uint32_t *out = self.reserve(size)
    cdef const char *source = <const char *>self.view.buf
    cdef Py_ssize_t itemsize = self.view.itemsize
    if itemsize == 1:
        if kind == SIGNED:
            return copy_items(<int8_t>0, source, stride, size, out)
        return copy_items(<uint8_t>0, source, stride, size, out)
    if itemsize == 2:
        if kind == SIGNED:
            return copy_items(<int16_t>0, source, stride, size, out)
        return copy_items(<uint16_t>0, source, stride, size, out)
    if itemsize == 4:
        if kind == SIGNED:
            return copy_items(<int32_t>0, source, stride, size, out)
        return copy_items(<uint32_t>0, source, stride, size, out)
    if kind == SIGNED:
        return copy_items(<int64_t>0, source, stride, size, out)
    return copy_items(<uint64_t>0, source, stride, size, out)


cdef Py_ssize_t copy_items(
    item_t item, const char *source, Py_ssize_t stride, Py_ssize_t size, uint32_t *out
) noexcept nogil:
    """Convert items of the type of `item`; return the position of the first one out of range, or size."""
    cdef uint64_t excess = 0
    cdef Py_ssize_t i
    for i in range(size):
        # Nothing says that a strided item is aligned.
        memcpy(&item, source + i * stride, sizeof(item_t))
        excess |= <uint64_t>item >> 32
        out[i] = <uint32_t>item
    if excess == 0:
        return size
    for i in range(size):
        memcpy(&item, source + i * stride, sizeof(item_t))
        if <uint64_t>item >> 32 != 0:
            return i
    return size


cdef object value_at(const Py_buffer *view, int kind, Py_ssize_t index):
    """Return the item at a position of an exported array as an int."""
    cdef Py_ssize_t stride = view.strides[0] if view.strides != NULL else view.itemsize
    cdef object raw = (<const char *>view.buf + index * stride)[:view.itemsize]
    return int.from_bytes(raw, "little", signed=kind == SIGNED)
