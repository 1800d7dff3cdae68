# What:      a tensor of another library, taken in through DLPack or __cuda_array_interface__, and kept.
# Cost:      one object.
# Ownership: owns the managed tensor that it was given, or keeps the producer's object alive; the memory is theirs.
# Locking:   none; read-only.
# Errors:    TypeError: it speaks neither. BufferError, or what the producer raises: it cannot be had without a copy.

from kvpool._core.libkvp_views cimport DLManagedTensor, DLManagedTensorVersioned, DLTensor


cdef class ExternalTensor:
    cdef DLManagedTensorVersioned *versioned   # owned; NULL: it is one of the others
    cdef DLManagedTensor *legacy               # owned
    cdef object producer                       # kept alive, for __cuda_array_interface__
    cdef readonly object address               # int
    cdef readonly tuple shape
    cdef readonly tuple strides                # elements
    cdef readonly tuple dtype                  # DLPack's type code and bits
    cdef readonly tuple device                 # DLPack's device type and id
    cdef readonly bint is_readonly

    cdef int describe(self, const DLTensor *tensor, bint is_readonly) except -1
    cdef int take_versioned(self) except -1
    cdef bint take_from_table(self, object tensor) except -1
    cdef int take_capsule(self, object capsule) except -1
    cdef int take_cuda_array(self, object tensor) except -1
