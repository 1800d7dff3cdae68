# What:      the C core's and DLPack's names for views; csrc/include/kvp and csrc/third_party/dlpack have their
#            documentation.
# Cost:      none.
# Ownership: as in the headers.
# Locking:   as in the headers.
# Errors:    as in the headers.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from kvpool._core.libkvp cimport kvp_anchor, kvp_lease


cdef extern from "dlpack.h" nogil:
    enum:
        DLPACK_MAJOR_VERSION
        DLPACK_MINOR_VERSION
        DLPACK_FLAG_BITMASK_READ_ONLY
        kDLCPU
        kDLCUDA
        kDLROCM
        kDLCUDAManaged

    ctypedef struct DLPackVersion:
        uint32_t major
        uint32_t minor

    ctypedef struct DLDevice:
        int32_t device_type
        int32_t device_id

    ctypedef struct DLDataType:
        uint8_t code
        uint8_t bits
        uint16_t lanes

    ctypedef struct DLTensor:
        void *data
        DLDevice device
        int32_t ndim
        DLDataType dtype
        int64_t *shape
        int64_t *strides
        uint64_t byte_offset

    ctypedef struct DLManagedTensor:
        DLTensor dl_tensor
        void (*deleter)(DLManagedTensor *self) noexcept nogil

    ctypedef struct DLManagedTensorVersioned:
        DLPackVersion version
        void (*deleter)(DLManagedTensorVersioned *self) noexcept nogil
        uint64_t flags
        DLTensor dl_tensor

    ctypedef struct DLPackExchangeAPIHeader:
        DLPackVersion version
        DLPackExchangeAPIHeader *prev_api

    ctypedef struct DLPackExchangeAPI:
        int (*managed_tensor_from_py_object_no_sync)(void *tensor, DLManagedTensorVersioned **out) except -1


cdef extern from "kvp/keeper.h" nogil:
    ctypedef struct kvp_keeper:
        kvp_keeper *next
        void *owner

    ctypedef struct kvp_keeper_stack:
        pass

    kvp_keeper *kvp_keeper_new(void *owner, void (*let_go)(kvp_keeper *self) noexcept nogil)
    void kvp_keeper_unshare(kvp_keeper *self)
    uint32_t kvp_keeper_views(kvp_keeper *self)
    void kvp_keeper_stack_push(kvp_keeper_stack *self, kvp_keeper *keeper)
    kvp_keeper *kvp_keeper_stack_take(kvp_keeper_stack *self)
    void kvp_keeper_free(kvp_keeper *self)


cdef extern from "kvp/tether.h" nogil:
    ctypedef struct kvp_tether:
        kvp_lease *lease

    kvp_tether *kvp_tether_new(kvp_lease *lease, kvp_anchor *anchor, kvp_keeper *keeper)
    void kvp_tether_share(kvp_tether *self)
    void kvp_tether_unshare_inside(kvp_tether *self)


cdef extern from "kvp/tensor.h" nogil:
    enum:
        KVP_TENSOR_DIMS

    ctypedef struct kvp_tensor:
        void *data
        DLDevice device
        DLDataType dtype
        int32_t ndim
        bint is_readonly
        int64_t shape[8]
        int64_t strides[8]

    int64_t kvp_tensor_size(const kvp_tensor *self)
    bint kvp_tensor_is_contiguous(const kvp_tensor *self)
    DLManagedTensorVersioned *kvp_tensor_export(const kvp_tensor *self, kvp_tether *tether)
    DLManagedTensor *kvp_tensor_export_legacy(const kvp_tensor *self, kvp_tether *tether)
