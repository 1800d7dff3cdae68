"""A tensor of another library."""

cimport cython
from cpython.pycapsule cimport (PyCapsule_CheckExact, PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_SetName)
from libc.stdint cimport uint64_t

from kvpool._core.arrays cimport int64_tuple
from kvpool._core.libkvp_views cimport *

import numpy as np

cdef tuple VERSION = (DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION)
cdef dict CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}  # DLPack's, by NumPy's


cdef object ask_for_capsule(object tensor):
    """Without a copy: by the words of DLPack 1.0, by those before 1.1, by those before 1.0."""
    # What the device is busy with does not matter: the memory is not looked at.
    stream = {"stream": -1} if int(tensor.__dlpack_device__()[0]) in (kDLCUDA, kDLCUDAManaged, kDLROCM) else {}
    for arguments in ({"max_version": VERSION, "copy": False}, {"max_version": VERSION}):
        try:
            return tensor.__dlpack__(**stream, **arguments)
        except TypeError:
            pass
    return tensor.__dlpack__(**stream)


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class ExternalTensor:
    """A tensor of another library, and what is known of it.

    Parameters
    ----------
    tensor : object
        Speaks DLPack, or ``__cuda_array_interface__``.

    Attributes
    ----------
    address : int
        Of its first element, on its device.
    shape, strides : tuple of int
        Strides count elements.
    dtype : tuple of int
        DLPack's type code and bits.
    device : tuple of int
        DLPack's device type and id.
    is_readonly : bool
        Whether the producer says so; the older form of DLPack cannot.
    """

    def __cinit__(self, tensor):
        if self.take_from_table(tensor):
            return
        if hasattr(type(tensor), "__dlpack__") and hasattr(type(tensor), "__dlpack_device__"):
            self.take_capsule(ask_for_capsule(tensor))
        elif hasattr(tensor, "__cuda_array_interface__"):
            self.take_cuda_array(tensor)
        else:
            raise TypeError(f"{type(tensor).__name__} speaks neither DLPack nor __cuda_array_interface__")

    def __dealloc__(self):
        if self.versioned != NULL and self.versioned.deleter != NULL:
            self.versioned.deleter(self.versioned)
        if self.legacy != NULL and self.legacy.deleter != NULL:
            self.legacy.deleter(self.legacy)

    def __reduce__(self):
        raise TypeError("ExternalTensor cannot be copied or pickled: it is memory of this process")

    cdef int describe(self, const DLTensor *tensor, bint is_readonly) except -1:
        if tensor.dtype.lanes != 1:
            raise BufferError(f"elements of {tensor.dtype.lanes} lanes are not one number each")
        self.address = <uint64_t>tensor.data + tensor.byte_offset
        self.shape = int64_tuple(tensor.shape, tensor.ndim, 1)
        if tensor.strides != NULL:
            self.strides = int64_tuple(tensor.strides, tensor.ndim, 1)
        else:  # before DLPack 1.2: one behind the other
            strides = [1] * tensor.ndim
            for i in range(tensor.ndim - 1, 0, -1):
                strides[i - 1] = strides[i] * self.shape[i]
            self.strides = tuple(strides)
        self.dtype = (tensor.dtype.code, tensor.dtype.bits)
        self.device = (tensor.device.device_type, tensor.device.device_id)
        self.is_readonly = is_readonly
        return 0

    cdef int take_versioned(self) except -1:
        if self.versioned.version.major != DLPACK_MAJOR_VERSION:
            raise BufferError(f"the tensor is of DLPack {self.versioned.version.major}, "
                              f"which is not {DLPACK_MAJOR_VERSION}")
        return self.describe(&self.versioned.dl_tensor,
                             self.versioned.flags & <uint64_t>DLPACK_FLAG_BITMASK_READ_ONLY != 0)

    cdef bint take_from_table(self, object tensor) except -1:
        """Ask the producer's C functions, where its type has them."""
        cdef DLPackExchangeAPIHeader *header
        capsule = getattr(type(tensor), "__dlpack_c_exchange_api__", None)
        if not PyCapsule_CheckExact(capsule) or not PyCapsule_IsValid(capsule, "dlpack_exchange_api"):
            return False
        header = <DLPackExchangeAPIHeader *>PyCapsule_GetPointer(capsule, "dlpack_exchange_api")
        while header != NULL and header.version.major != DLPACK_MAJOR_VERSION:
            header = header.prev_api
        if header == NULL:
            return False
        (<DLPackExchangeAPI *>header).managed_tensor_from_py_object_no_sync(<void *>tensor, &self.versioned)
        self.take_versioned()
        return True

    cdef int take_capsule(self, object capsule) except -1:
        # The name says that it was taken: whoever has the capsule does not free what is ours now.
        if PyCapsule_IsValid(capsule, "dltensor_versioned"):
            self.versioned = <DLManagedTensorVersioned *>PyCapsule_GetPointer(capsule, "dltensor_versioned")
            PyCapsule_SetName(capsule, "used_dltensor_versioned")
            return self.take_versioned()
        if PyCapsule_IsValid(capsule, "dltensor"):
            self.legacy = <DLManagedTensor *>PyCapsule_GetPointer(capsule, "dltensor")
            PyCapsule_SetName(capsule, "used_dltensor")
            return self.describe(&self.legacy.dl_tensor, False)
        raise BufferError("what __dlpack__ returned is not a capsule of a tensor, or was taken already")

    cdef int take_cuda_array(self, object tensor) except -1:
        interface = tensor.__cuda_array_interface__
        dtype = np.dtype(interface["typestr"])
        if dtype.kind not in CODES or not dtype.isnative:
            raise BufferError(f"typestr = {interface['typestr']!r} is not a number type of this machine")
        strides = interface.get("strides")
        self.producer = tensor
        self.address, self.is_readonly = interface["data"]
        self.shape = tuple(interface["shape"])
        if strides is None:
            strides = [dtype.itemsize] * len(self.shape)
            for i in range(len(self.shape) - 1, 0, -1):
                strides[i - 1] = strides[i] * self.shape[i]
        own_strides = []
        for stride in strides:
            if stride % dtype.itemsize:
                raise BufferError(f"strides = {tuple(strides)} are not multiples of an element of {dtype.itemsize} "
                                  f"bytes")
            own_strides.append(stride // dtype.itemsize)
        self.strides = tuple(own_strides)
        self.dtype = (CODES[dtype.kind], 8 * dtype.itemsize)
        # The interface does not tell the device; objects that do have one tell it beside.
        device = getattr(getattr(tensor, "device", None), "id", 0)
        self.device = (kDLCUDA, device if isinstance(device, int) else 0)
        return 0
