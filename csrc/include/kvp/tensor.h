/*
 * What:      a place in a storage as a tensor, and its way into the hands of other libraries through DLPack.
 * Cost:      one allocation for each tensor that goes out: the managed tensor, its shape and its strides.
 * Ownership: a tensor that went out has a share of the tether of its view, given up by its deleter.
 * Locking:   none. A deleter runs on any thread, with or without an interpreter, and after the end of one.
 * Errors:    the exports return NULL without memory.
 *
 * Invariants:
 *   0 <= ndim <= KVP_TENSOR_DIMS;  shape[i] >= 0;  strides count elements
 *   data == NULL when it has no elements
 *   shape and strides of what goes out lie behind it, in the same allocation
 */
#ifndef KVP_TENSOR_H
#define KVP_TENSOR_H

#include "dlpack.h"
#include "kvp/tether.h"

#define KVP_TENSOR_DIMS 8

typedef struct kvp_tensor {
    void *data; /* borrowed; of the device */
    DLDevice device;
    DLDataType dtype;
    int32_t ndim;
    bool is_readonly;
    int64_t shape[KVP_TENSOR_DIMS];
    int64_t strides[KVP_TENSOR_DIMS]; /* elements */
} kvp_tensor;

/* Elements. */
int64_t kvp_tensor_size(const kvp_tensor *self);

/* Whether the elements lie one behind the other, in the order of C. */
bool kvp_tensor_is_contiguous(const kvp_tensor *self);

/* A managed tensor with a share of the tether; NULL without memory. */
DLManagedTensorVersioned *kvp_tensor_export(const kvp_tensor *self, kvp_tether *tether);

/* The same as before DLPack 1.0: it cannot say that it is read-only. */
DLManagedTensor *kvp_tensor_export_legacy(const kvp_tensor *self, kvp_tether *tether);

/* NULL, or the broken invariant. */
const char *kvp_tensor_check(const kvp_tensor *self);

#endif
