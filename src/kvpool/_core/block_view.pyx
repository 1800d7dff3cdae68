"""The memory of blocks as an array."""

cimport cython
from cpython.buffer cimport (PyBUF_ANY_CONTIGUOUS, PyBUF_F_CONTIGUOUS, PyBUF_FORMAT, PyBUF_ND, PyBUF_STRIDES,
                             PyBUF_WRITABLE)
from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from kvpool._core.arrays cimport int32_array, int64_tuple, lease_array
from kvpool._core.attachment cimport Attachment, give_up_owners
from kvpool._core.handle cimport new_lease
from kvpool._core.lease_ids cimport lease_ids
from kvpool._core.libkvp cimport KVP_OK, kvp_lease, kvp_lease_unshare, kvp_segment
from kvpool._core.libkvp_views cimport *
from kvpool._core.pool_core cimport PoolCore

from kvpool.errors import BlockPoolError

cdef extern from "Python.h":
    object PyCapsule_New(void *pointer, const char *name, void (*destructor)(PyObject *capsule) noexcept)
    void *PyCapsule_GetPointer(PyObject *capsule, const char *name)
    bint PyCapsule_IsValid(PyObject *capsule, const char *name)

# The codes of the struct module, which NumPy and the buffer protocol share, by NumPy's.
cdef dict FORMATS = {code: code.encode() for code in "?bBhHiIlLqQefdg"}
FORMATS.update({"F": b"Zf", "D": b"Zd", "G": b"Zg"})


# A capsule whose tensor was taken has another name by then.
cdef void end_unused(PyObject *capsule) noexcept:
    cdef DLManagedTensorVersioned *versioned
    cdef DLManagedTensor *legacy
    if PyCapsule_IsValid(capsule, "dltensor_versioned"):
        versioned = <DLManagedTensorVersioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
        versioned.deleter(versioned)
    elif PyCapsule_IsValid(capsule, "dltensor"):
        legacy = <DLManagedTensor *>PyCapsule_GetPointer(capsule, "dltensor")
        legacy.deleter(legacy)


cdef int check_stream(object stream, int32_t device_type) except -1:
    """Nothing is computed here, so nobody is waited for; a stream is checked all the same."""
    cdef int64_t lowest = -1
    if isinstance(stream, bool) or not isinstance(stream, int):
        raise TypeError(f"stream must be an int or None, not {type(stream).__name__}")
    if stream == -1:
        return 0
    if device_type in (kDLCUDA, kDLCUDAManaged):
        if stream == 0:
            raise ValueError("stream = 0 could mean several streams: 1 is the legacy default, 2 the one of the thread")
        lowest = 1
    elif device_type == kDLROCM:
        if stream in (1, 2):
            raise ValueError(f"stream = {stream} does not exist on ROCm: 0 is the default")
        lowest = 0
    else:
        raise BufferError(f"stream = {stream}: the device has no streams")
    if stream < lowest:
        raise ValueError(f"stream = {stream} is neither -1 nor a stream")
    return 0


@cython.final
@cython.no_gc
@cython.freelist(32)
@cython.auto_pickle(False)
cdef class BlockView:
    """The memory of blocks as an array, which NumPy, torch, JAX, CuPy and others take without a copy.

    A view holds its blocks, and so does each array made from it: they are not evicted, nor handed out to anybody else,
    before the last one has gone, whatever becomes of the handle. Views of mutable blocks can be written; whoever
    registers the blocks should have written by then, since a view that is left can still write. Views of immutable
    blocks are read-only, as far as a library heeds that: torch does not, nor can the older form of DLPack say it.

    Examples
    --------
    >>> import numpy as np
    >>> from kvpool import BlockPool
    >>> from kvpool.storage import LayerSeparate, LayoutConfig
    >>> config = LayoutConfig(4, num_layers=2, outer_dim=2, page_size=16, inner_dim=8, dtype="float32")
    >>> pool = BlockPool(4)
    >>> parts = [np.zeros((2, 4, 16, 8), np.float32) for _ in range(2)]
    >>> storage = pool.register_buffer(parts, layout=LayerSeparate(config))
    >>> block = pool.allocate_blocks(1)[0]
    >>> keys = np.from_dlpack(block.layer_view(layer=1, outer=0))
    >>> keys[:] = 7
    >>> parts[1][0, block.id, 0, 0]
    np.float32(7.0)
    """

    def __init__(self):
        raise TypeError("BlockView is made by layer_view() or block_view(), not by calling it")

    def __dealloc__(self):
        kvp_tether_unshare_inside(self.tether)
        give_up_owners()

    def __reduce__(self):
        raise TypeError("BlockView cannot be copied or pickled: it is memory of this process")

    def __repr__(self):
        if self.tether == NULL:
            return "<BlockView of nothing>"
        return (f"<BlockView of {self.dtype} {self.shape} on device {self.device}"
                f"{', read-only' if self.tensor.is_readonly else ''}>")

    cdef int need_numpy(self) except -1:
        if self.tether == NULL:
            raise BufferError("made past the pool: there is no memory")
        if not self.place.memory.is_host:
            raise BufferError(f"the memory is on device {self.device}, where the processor cannot read it")
        if self.element_type.numpy is None:
            raise BufferError(f"NumPy has no {self.dtype}: use as_dtype('uint{self.tensor.dtype.bits}')")
        return 0

    cdef object capsule(self, bint is_versioned, bint as_host):
        cdef DLManagedTensorVersioned *versioned
        cdef DLManagedTensor *legacy
        if self.tether == NULL:
            raise BufferError("made past the pool: there is no memory")
        if is_versioned:
            versioned = kvp_tensor_export(&self.tensor, self.tether)
            if versioned == NULL:
                raise MemoryError("no memory for a tensor")
            if as_host:
                versioned.dl_tensor.device.device_type = kDLCPU
                versioned.dl_tensor.device.device_id = 0
            try:
                return PyCapsule_New(versioned, "dltensor_versioned", end_unused)
            except BaseException:
                versioned.deleter(versioned)
                raise
        legacy = kvp_tensor_export_legacy(&self.tensor, self.tether)
        if legacy == NULL:
            raise MemoryError("no memory for a tensor")
        if as_host:
            legacy.dl_tensor.device.device_type = kDLCPU
            legacy.dl_tensor.device.device_id = 0
        try:
            return PyCapsule_New(legacy, "dltensor", end_unused)
        except BaseException:
            legacy.deleter(legacy)
            raise

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """Return the memory as a DLPack capsule, without a copy.

        Parameters
        ----------
        stream : int, optional
            Where the consumer will work. Nothing is synchronised, since nothing is computed here.
        max_version : tuple of int, optional
            Newest version that the consumer knows; without it, or before 1.0, the capsule is of the older form, which
            cannot say that it is read-only.
        dl_device : tuple of int, optional
            Where the memory is wanted: there, or on the host if the processor can reach it.
        copy : bool, optional
            True is refused.

        Raises
        ------
        BufferError
            It would take a copy.
        """
        cdef bint as_host = False
        if stream is not None:
            check_stream(stream, self.tensor.device.device_type)
        if copy:
            raise BufferError("copy = True: a view is the memory itself")
        if dl_device is not None and tuple(dl_device) != self.device:
            as_host = tuple(dl_device) == (kDLCPU, 0) and self.place is not None and self.place.memory.is_host
            if not as_host:
                raise BufferError(f"dl_device = {tuple(dl_device)}: the memory is on device {self.device}, "
                                  f"and a view does not copy")
        return self.capsule(max_version is not None and max_version[0] >= 1, as_host)

    def __dlpack_device__(self):
        """Return DLPack's (device type, device id)."""
        return (self.tensor.device.device_type, self.tensor.device.device_id)

    def __getbuffer__(self, Py_buffer *view, int flags):
        cdef bint is_contiguous = kvp_tensor_is_contiguous(&self.tensor)
        self.need_numpy()
        if flags & PyBUF_WRITABLE == PyBUF_WRITABLE and self.tensor.is_readonly:
            raise BufferError("the blocks are registered: their memory is read-only")
        if not is_contiguous and (flags & PyBUF_STRIDES != PyBUF_STRIDES
                                  or flags & PyBUF_ANY_CONTIGUOUS == PyBUF_ANY_CONTIGUOUS):
            raise BufferError("the blocks do not lie one behind the other")
        if flags & PyBUF_F_CONTIGUOUS == PyBUF_F_CONTIGUOUS and self.tensor.ndim > 1:
            raise BufferError("the memory is in the order of C, not of Fortran")
        code = FORMATS.get(self.element_type.numpy.char)
        if code is None:
            raise BufferError(f"the buffer protocol has no {self.dtype}")
        view.buf = self.tensor.data
        view.obj = self
        view.itemsize = self.tensor.dtype.bits // 8
        view.len = kvp_tensor_size(&self.tensor) * view.itemsize
        view.readonly = self.tensor.is_readonly
        view.ndim = self.tensor.ndim
        view.format = <char *><bytes>code if flags & PyBUF_FORMAT == PyBUF_FORMAT else NULL
        view.shape = <Py_ssize_t *>self.tensor.shape if flags & PyBUF_ND == PyBUF_ND else NULL
        view.strides = self.byte_strides if flags & PyBUF_STRIDES == PyBUF_STRIDES else NULL
        view.suboffsets = NULL
        view.internal = NULL

    cdef void measure(self) noexcept:
        """Work out the strides that exports show; once, as two may be made at a time."""
        cdef int32_t i
        for i in range(self.tensor.ndim):
            self.byte_strides[i] = self.tensor.strides[i] * (self.tensor.dtype.bits // 8)

    cdef dict interface(self):
        return {"version": 3, "shape": self.shape, "typestr": self.element_type.numpy.str, "strides": self.strides,
                "data": (self.address, bool(self.tensor.is_readonly))}

    @property
    def __array_interface__(self):
        """NumPy's description of memory of the host."""
        if self.tether == NULL or not self.place.memory.is_host or self.element_type.numpy is None:
            raise AttributeError("__array_interface__: not memory of the host, or not of a type that NumPy has")
        return self.interface()

    @property
    def __cuda_array_interface__(self):
        """The description of memory of a CUDA device."""
        if self.tether == NULL or self.tensor.device.device_type not in (kDLCUDA, kDLCUDAManaged) \
                or self.element_type.numpy is None:
            raise AttributeError("__cuda_array_interface__: not memory of a CUDA device, or not of a type that it has")
        return self.interface()

    def __array__(self, dtype=None, copy=None):
        """Say why NumPy cannot have the memory, which it asks for otherwise if it can."""
        self.need_numpy()
        raise BufferError(f"NumPy cannot take {self.dtype} in this way")

    @property
    def shape(self):
        """Elements along each axis: (blocks of a run,) and those of a region; of a block, (layers, outer) in front."""
        return int64_tuple(self.tensor.shape, self.tensor.ndim, 1)

    @property
    def strides(self):
        """Bytes from an element to the next along each axis."""
        return int64_tuple(self.tensor.strides, self.tensor.ndim, self.tensor.dtype.bits // 8)

    @property
    def ndim(self):
        """Axes."""
        return self.tensor.ndim

    @property
    def dtype(self):
        """Name of the element type, as ``"float16"``."""
        return None if self.element_type is None else self.element_type.name

    @property
    def itemsize(self):
        """Bytes of an element."""
        return self.tensor.dtype.bits // 8

    @property
    def nbytes(self):
        """Bytes of all elements."""
        return kvp_tensor_size(&self.tensor) * (self.tensor.dtype.bits // 8)

    @property
    def address(self):
        """Where the first element is, on its device; 0 without elements."""
        return <uint64_t>self.tensor.data

    @property
    def device(self):
        """DLPack's (device type, device id); (1, 0) is the memory of the host."""
        return (self.tensor.device.device_type, self.tensor.device.device_id)

    @property
    def readonly(self):
        """Whether the memory may only be read."""
        return bool(self.tensor.is_readonly)

    @property
    def ids(self):
        """Ids of the blocks that it holds, a read-only int32 array."""
        if self.tether == NULL or self.tether.lease == NULL:
            return int32_array(b"")
        return lease_array(lease_ids(self.tether.lease))

    def as_dtype(self, dtype):
        """Return the same memory as elements of another type, which holds the same blocks.

        Parameters
        ----------
        dtype : str or numpy.dtype or torch.dtype or DType
            As ``"uint16"`` for bfloat16, which NumPy does not have. A smaller one divides each element into several.

        Raises
        ------
        ValueError
            There is no such type, or it is larger, or does not divide the elements.
        """
        from kvpool.storage.dtype import DType  # it is built on the core

        cdef BlockView view = BlockView.__new__(BlockView)
        cdef int64_t parts
        cdef int32_t i
        element_type = DType.of(dtype)
        if self.tether == NULL:
            raise BufferError("made past the pool: there is no memory")
        if element_type.itemsize > self.itemsize or self.itemsize % element_type.itemsize:
            raise ValueError(f"elements of {element_type.itemsize} bytes ({element_type.name}) do not divide those of "
                             f"{self.itemsize} ({self.dtype})")
        parts = self.itemsize // element_type.itemsize
        view.tensor = self.tensor
        view.tensor.dtype.code, view.tensor.dtype.bits = element_type.dlpack
        for i in range(view.tensor.ndim - 1):
            view.tensor.strides[i] *= parts
        view.tensor.shape[view.tensor.ndim - 1] *= parts  # a region has its elements one behind the other
        view.measure()
        view.place = self.place
        view.element_type = element_type
        kvp_tether_share(self.tether)
        view.tether = self.tether
        return view


cdef Attachment need_place(PoolCore pool):
    cdef Attachment place
    if pool is None:
        raise BlockPoolError("this handle was made past the pool and never held a block")
    with cython.critical_section(pool):
        place = pool.attachment
    if place is None:
        raise BlockPoolError("the pool has no memory for its blocks: attach_storage or register_buffer gives it some")
    return place


cdef BlockView view_blocks(PoolCore pool, kvp_segment *part, bint is_run, object layer, object outer, bint is_readonly,
                           object stale):
    cdef Attachment place = need_place(pool)
    cdef BlockView self = BlockView.__new__(BlockView)
    cdef kvp_lease *lease = NULL
    cdef int64_t[2] at
    cdef int64_t now, spread = 1
    cdef uint32_t n = part.count, i
    at[0] = at[1] = -1
    if layer is not None:
        place.parse_place(layer, outer, at)
    self.place = place
    self.element_type = place.dtype
    now = pool.now()
    if n > 0:
        lease = new_lease(n, False, None)
        if pool.lend(part, now, lease) != KVP_OK:
            kvp_lease_unshare(lease)
            raise stale("the blocks were released or registered already: they may be anyone's by now")
    self.tether = kvp_tether_new(lease, pool.anchor, place.keeper)
    if self.tether == NULL:
        if lease != NULL:
            pool.drop(lease)
        raise MemoryError("no memory for a view")
    if n > 1:
        spread = <int64_t>lease.ids[1] - lease.ids[0]
        for i in range(2, n):
            if lease.ids[i] - <int64_t>lease.ids[i - 1] != spread:
                raise BufferError(f"blocks {lease.ids[i - 1]} and {lease.ids[i]} are not {spread} apart, as those "
                                  f"before them are: not a run; view each block by itself")
    place.locate(&self.tensor, lease.ids[0] if n else 0, spread, n, is_run, at[0], at[1])
    self.measure()
    if is_readonly:
        self.tensor.is_readonly = True
    return self


cdef BlockView view_layer(PoolCore pool, object layer, object outer):
    cdef Attachment place = need_place(pool)
    cdef BlockView self = BlockView.__new__(BlockView)
    cdef int64_t[2] at
    place.parse_place(layer, outer, at)
    self.place = place
    self.element_type = place.dtype
    self.tether = kvp_tether_new(NULL, pool.anchor, place.keeper)
    if self.tether == NULL:
        raise MemoryError("no memory for a view")
    place.locate(&self.tensor, 0, 1, pool.num_blocks, True, at[0], at[1])
    self.measure()
    return self
