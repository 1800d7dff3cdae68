"""A storage in its place behind a pool."""

cimport cython
from cpython.long cimport PyLong_AsLongLongAndOverflow
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memset

from kvpool._core.libkvp_storage cimport kvp_block_memory_at, kvp_layout
from kvpool._core.libkvp_views cimport (KVP_TENSOR_DIMS, kvp_keeper, kvp_keeper_free, kvp_keeper_new, kvp_keeper_stack,
                                        kvp_keeper_stack_push, kvp_keeper_stack_take, kvp_keeper_unshare,
                                        kvp_keeper_views, kvp_tensor)

import operator

cdef extern from "Python.h" nogil:
    bint Py_IsInitialized()
    int Py_AddPendingCall(int (*function)(void *) noexcept, void *argument)

cdef kvp_keeper_stack PUT_OFF


cdef void give_up_owners() noexcept:
    cdef kvp_keeper *keeper = kvp_keeper_stack_take(&PUT_OFF)
    cdef kvp_keeper *next
    while keeper != NULL:
        next = keeper.next
        Py_DECREF(<object>keeper.owner)
        kvp_keeper_free(keeper)
        keeper = next


cdef int give_up_owners_later(void *argument) noexcept with gil:
    give_up_owners()
    return 0


cdef void let_go(kvp_keeper *keeper) noexcept nogil:
    # On any thread, with an interpreter or after it: the owner is an object, whose count only the interpreter changes.
    # It does so at its next step; should it have no room for that, then with the next view that goes. After its end
    # nobody does: the memory is left to the process.
    kvp_keeper_stack_push(&PUT_OFF, keeper)
    if Py_IsInitialized():
        Py_AddPendingCall(give_up_owners_later, NULL)


cdef int64_t parse_index(object value, str name, uint64_t count) except -1:
    cdef int64_t index = -1
    cdef int overflow = 0
    if type(value) is int:
        index = PyLong_AsLongLongAndOverflow(value, &overflow)
        if not overflow and 0 <= index < <int64_t>count:
            return index
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an int, not bool")
    number = operator.index(value)
    if not 0 <= number < count:
        raise IndexError(f"{name} = {number} is not in [0, {count - 1}]")
    return number


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class Attachment:
    """A storage behind a pool.

    Attributes
    ----------
    storage : Storage
    dtype : DType
        Type of its elements.
    """

    def __init__(self):
        raise TypeError("Attachment is made by BlockPool.attach_storage(), not by calling it")

    def __dealloc__(self):
        kvp_keeper_unshare(self.keeper)
        give_up_owners()

    cdef int take(self, object storage, int32_t num_blocks, size_t block_size) except -1:
        config = storage.layout.config
        shape, strides = config.region_shape, config.region_strides
        self.storage = storage
        self.memory = storage.memory
        self.dtype = config.dtype
        self.item_size = config.dtype.itemsize
        if config.num_blocks != num_blocks:
            raise ValueError(f"the storage has {config.num_blocks} blocks, the pool {num_blocks}")
        if <size_t>config.page_size != block_size:
            raise ValueError(f"the storage has blocks of {config.page_size} tokens, the pool of {block_size}")
        if len(shape) + 3 > KVP_TENSOR_DIMS:
            raise ValueError(f"a region of {len(shape)} dimensions is more than {KVP_TENSOR_DIMS - 3}")
        memset(&self.region, 0, sizeof(kvp_tensor))
        self.region.device.device_type, self.region.device.device_id = self.memory.device
        self.region.dtype.code, self.region.dtype.bits = config.dtype.dlpack
        self.region.dtype.lanes = 1
        self.region.is_readonly = not self.memory.is_writable
        self.region.ndim = <int32_t>len(shape)
        for i in range(self.region.ndim):
            self.region.shape[i] = shape[i]
            self.region.strides[i] = strides[i] // self.item_size
        self.keeper = kvp_keeper_new(<void *>self.memory, let_go)
        if self.keeper == NULL:
            raise MemoryError("no memory to attach a storage")
        Py_INCREF(self.memory)  # the keeper's
        return 0

    cdef int parse_place(self, object layer, object outer, int64_t *place) except -1:
        place[0] = parse_index(layer, "layer", self.memory.memory.layout.config.num_layers)
        place[1] = parse_index(outer, "outer", self.memory.memory.layout.config.outer_dim)
        return 0

    cdef int locate(self, kvp_tensor *tensor, int32_t first, int64_t spread, uint32_t n, bint is_run, int64_t layer,
                    int64_t outer) except -1:
        cdef const kvp_layout *layout = &self.memory.memory.layout
        cdef bint is_block = layer < 0
        cdef int32_t before = is_run + (2 if is_block else 0), i
        if is_block and layout.num_parts > 1:
            raise BufferError(f"a block is not in one place, but in {layout.num_parts}: use layer_view")
        tensor[0] = self.region
        if before:
            tensor.ndim += before
            for i in range(self.region.ndim):
                tensor.shape[before + i] = self.region.shape[i]
                tensor.strides[before + i] = self.region.strides[i]
            if is_run:
                tensor.shape[0] = n
                tensor.strides[0] = spread * <int64_t>(layout.block_stride // self.item_size)
            if is_block:
                tensor.shape[before - 2] = layout.config.num_layers
                tensor.strides[before - 2] = layout.layer_stride // self.item_size
                tensor.shape[before - 1] = layout.config.outer_dim
                tensor.strides[before - 1] = layout.outer_stride // self.item_size
        tensor.data = NULL if n == 0 else kvp_block_memory_at(&self.memory.memory, first, 0 if is_block else layer,
                                                              0 if is_block else outer)
        return 0

    cdef uint32_t num_views(self) noexcept:
        return kvp_keeper_views(self.keeper)


cdef Attachment new_attachment(object storage, int32_t num_blocks, size_t block_size):
    cdef Attachment self = Attachment.__new__(Attachment)
    self.take(storage, num_blocks, block_size)
    return self
