/* Tensors of any shape that there is memory for: what goes out says the same, and gives up its share of the view. */
#include "kvp/tensor.h"
#include "script.h"

static int gone;

static void let_go(kvp_keeper *self) {
    gone++;
    kvp_keeper_free(self);
}

static void expect_same(const kvp_tensor *tensor, const DLTensor *out) {
    KVP_EXPECT(out->ndim == tensor->ndim && out->data == tensor->data && out->byte_offset == 0);
    for (int32_t i = 0; i < tensor->ndim; i++)
        KVP_EXPECT(out->shape[i] == tensor->shape[i] && out->strides[i] == tensor->strides[i]);
}

static void take_tensor(kvp_tensor *tensor, void *data) {
    int64_t size = 1;
    *tensor = (kvp_tensor){.ndim = (int32_t)take_below(KVP_TENSOR_DIMS + 1), .is_readonly = take_below(2)};
    tensor->dtype = (DLDataType){.code = kDLFloat, .bits = 16, .lanes = 1};
    for (int32_t i = tensor->ndim; i-- > 0;) {
        tensor->shape[i] = (int64_t)take_below(5);
        tensor->strides[i] = take_below(4) ? size : (int64_t)take_size();
        size *= tensor->shape[i];
    }
    tensor->data = size ? data : NULL;
}

static void run(void) {
    int memory = 0;
    gone = 0;
    kvp_keeper *keeper = kvp_keeper_new(&memory, let_go);
    kvp_tether *tether = kvp_tether_new(NULL, NULL, keeper);
    KVP_EXPECT(keeper && tether);
    while (has_more()) {
        kvp_tensor tensor;
        bool is_contiguous = true;
        int64_t size = 1;
        take_tensor(&tensor, &memory);
        KVP_EXPECT_SOUND(kvp_tensor_check(&tensor));
        for (int32_t i = tensor.ndim; i-- > 0; size *= tensor.shape[i])
            is_contiguous = is_contiguous && (tensor.shape[i] == 1 || tensor.strides[i] == size);
        KVP_EXPECT(kvp_tensor_size(&tensor) == size);
        KVP_EXPECT(kvp_tensor_is_contiguous(&tensor) == (is_contiguous || size == 0));
        DLManagedTensorVersioned *one = kvp_tensor_export(&tensor, tether);
        DLManagedTensor *two = kvp_tensor_export_legacy(&tensor, tether);
        KVP_EXPECT(one && two && (one->flags & DLPACK_FLAG_BITMASK_READ_ONLY) == (tensor.is_readonly ? 1u : 0u));
        expect_same(&tensor, &one->dl_tensor);
        expect_same(&tensor, &two->dl_tensor);
        one->deleter(one);
        two->deleter(two);
        KVP_EXPECT_SOUND(kvp_tether_check(tether));
    }
    kvp_tether_unshare(tether);
    KVP_EXPECT(gone == 0);
    kvp_keeper_unshare(keeper);
    KVP_EXPECT(gone == 1);
}
