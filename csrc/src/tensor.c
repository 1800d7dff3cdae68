#include "kvp/tensor.h"

#include "kvp/check.h"

#include <string.h>

typedef struct versioned {
    DLManagedTensorVersioned managed;
    int64_t dims[];
} versioned;

typedef struct legacy {
    DLManagedTensor managed;
    int64_t dims[];
} legacy;

int64_t kvp_tensor_size(const kvp_tensor *self) {
    int64_t size = 1;
    for (int32_t i = 0; i < self->ndim; i++)
        size *= self->shape[i];
    return size;
}

bool kvp_tensor_is_contiguous(const kvp_tensor *self) {
    int64_t expected = 1;
    if (kvp_tensor_size(self) == 0)
        return true;
    for (int32_t i = self->ndim; i-- > 0;) {
        if (self->shape[i] != 1 && self->strides[i] != expected)
            return false;
        expected *= self->shape[i];
    }
    return true;
}

static DLTensor describe(const kvp_tensor *self, int64_t *dims) {
    size_t ndim = (size_t)self->ndim;
    memcpy(dims, self->shape, ndim * sizeof *dims);
    memcpy(dims + ndim, self->strides, ndim * sizeof *dims);
    return (DLTensor){.data = self->data,
                      .device = self->device,
                      .ndim = self->ndim,
                      .dtype = self->dtype,
                      .shape = dims,
                      .strides = dims + ndim,
                      .byte_offset = 0};
}

static void end_versioned(DLManagedTensorVersioned *managed) {
    kvp_tether_unshare(managed->manager_ctx);
    kvp_memory_free_raw(managed);
}

static void end_legacy(DLManagedTensor *managed) {
    kvp_tether_unshare(managed->manager_ctx);
    kvp_memory_free_raw(managed);
}

DLManagedTensorVersioned *kvp_tensor_export(const kvp_tensor *self, kvp_tether *tether) {
    versioned *out = kvp_memory_new_raw(sizeof *out + 2 * (size_t)self->ndim * sizeof *out->dims);
    if (!out)
        return NULL;
    kvp_tether_share(tether);
    out->managed = (DLManagedTensorVersioned){.version = {.major = DLPACK_MAJOR_VERSION, .minor = DLPACK_MINOR_VERSION},
                                              .manager_ctx = tether,
                                              .deleter = end_versioned,
                                              .flags = self->is_readonly ? DLPACK_FLAG_BITMASK_READ_ONLY : 0,
                                              .dl_tensor = describe(self, out->dims)};
    return &out->managed;
}

DLManagedTensor *kvp_tensor_export_legacy(const kvp_tensor *self, kvp_tether *tether) {
    legacy *out = kvp_memory_new_raw(sizeof *out + 2 * (size_t)self->ndim * sizeof *out->dims);
    if (!out)
        return NULL;
    kvp_tether_share(tether);
    out->managed =
        (DLManagedTensor){.dl_tensor = describe(self, out->dims), .manager_ctx = tether, .deleter = end_legacy};
    return &out->managed;
}

const char *kvp_tensor_check(const kvp_tensor *self) {
    KVP_REQUIRE(self->ndim >= 0 && self->ndim <= KVP_TENSOR_DIMS,
                "a tensor has more dimensions than there is room for");
    for (int32_t i = 0; i < self->ndim; i++)
        KVP_REQUIRE(self->shape[i] >= 0, "a tensor has a negative extent");
    KVP_REQUIRE(kvp_tensor_size(self) > 0 || self->data == NULL, "a tensor without elements points somewhere");
    return NULL;
}
