#include "tether_fixture.h"

#include "kvp/tensor.h"

static int64_t numbers[24];

static kvp_tensor tensor_of(int32_t ndim, const int64_t *shape, const int64_t *strides) {
    kvp_tensor self = {.data = numbers, .device = {kDLCPU, 0}, .dtype = {kDLInt, 64, 1}, .ndim = ndim};
    memcpy(self.shape, shape, (size_t)ndim * sizeof *shape);
    memcpy(self.strides, strides, (size_t)ndim * sizeof *strides);
    return self;
}

#define TENSOR(ndim, shape, strides) tensor_of(ndim, (const int64_t[])shape, (const int64_t[])strides)
#define LIST(...)                    {__VA_ARGS__}

KVP_TEST(a_tensor_that_goes_out_tells_all_that_is_known_of_it) {
    begin(true);
    kvp_tensor self = TENSOR(2, LIST(2, 3), LIST(12, 4));
    kvp_tether *view = kvp_tether_new(NULL, NULL, keeper);
    KVP_EXPECT_SOUND(kvp_tensor_check(&self));
    for (int is_readonly = 0; is_readonly < 2; is_readonly++) {
        self.is_readonly = is_readonly;
        DLManagedTensorVersioned *out = kvp_tensor_export(&self, view);
        KVP_EXPECT(out->version.major == 1 && out->version.minor == 3);
        KVP_EXPECT(out->flags == (is_readonly ? DLPACK_FLAG_BITMASK_READ_ONLY : 0));
        const DLTensor *tensor = &out->dl_tensor;
        KVP_EXPECT(tensor->data == numbers && tensor->byte_offset == 0 && tensor->ndim == 2);
        KVP_EXPECT(tensor->shape[0] == 2 && tensor->shape[1] == 3 && tensor->strides[0] == 12 &&
                   tensor->strides[1] == 4);
        KVP_EXPECT(tensor->dtype.code == kDLInt && tensor->dtype.bits == 64 && tensor->dtype.lanes == 1);
        KVP_EXPECT(tensor->device.device_type == kDLCPU && tensor->device.device_id == 0);
        out->deleter(out);
    }
    kvp_tether_unshare(view);
    kvp_keeper_unshare(keeper);
    kvp_anchor_abandon(anchor);
}

KVP_TEST(strides_are_there_whatever_the_shape) {
    begin(true);
    kvp_tensor self = TENSOR(1, LIST(0), LIST(1));
    kvp_tether *view = kvp_tether_new(NULL, NULL, keeper);
    KVP_EXPECT_BROKEN(kvp_tensor_check(&self), "a tensor without elements points somewhere");
    self.data = NULL;
    KVP_EXPECT_SOUND(kvp_tensor_check(&self));
    DLManagedTensor *out = kvp_tensor_export_legacy(&self, view);
    KVP_EXPECT(out->dl_tensor.data == NULL && out->dl_tensor.strides[0] == 1 && out->dl_tensor.shape[0] == 0);
    out->deleter(out);
    kvp_tether_unshare(view);
    kvp_keeper_unshare(keeper);
    kvp_anchor_abandon(anchor);
}

/* What a consumer's thread does, long after everybody else. */
static void *delete_versioned(void *out) {
    ((DLManagedTensorVersioned *)out)->deleter(out);
    return NULL;
}

static void *delete_legacy(void *out) {
    ((DLManagedTensor *)out)->deleter(out);
    return NULL;
}

KVP_TEST(a_deleter_in_a_thread_of_its_own_ends_the_last_share_of_everything) {
    for (int is_legacy = 0; is_legacy < 2; is_legacy++) {
        begin(true);
        kvp_lease *blocks = try_allocate(2);
        kvp_tether *view = view_of(blocks);
        kvp_tensor self = TENSOR(1, LIST(4), LIST(1));
        void *out = is_legacy ? (void *)kvp_tensor_export_legacy(&self, view) : (void *)kvp_tensor_export(&self, view);
        kvp_tether_unshare_inside(view);
        kvp_shared_pool_drop(&anchor->shared, blocks);
        KVP_EXPECT(available() == NUM_BLOCKS - 2);
        kvp_keeper_unshare(keeper);
        kvp_anchor_abandon(anchor);
        KVP_EXPECT(memory_gone == 0);
        pthread_join(start(is_legacy ? delete_legacy : delete_versioned, out), NULL);
        KVP_EXPECT(memory_gone == 1);
    }
}

KVP_TEST(contiguous_means_the_order_of_c_without_gaps) {
    static const struct {
        int32_t ndim;
        int64_t shape[3], strides[3];
        bool expected;
    } cases[] = {
        {0, {0}, {0}, true},        {1, {4}, {1}, true},
        {1, {4}, {2}, false},       {1, {1}, {7}, true}, /* there is no second element to be elsewhere */
        {2, {2, 3}, {3, 1}, true},  {2, {2, 3}, {4, 1}, false},
        {2, {2, 3}, {1, 2}, false}, {3, {2, 1, 3}, {3, 99, 1}, true},
        {2, {0, 3}, {5, 7}, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kvp_tensor self = tensor_of(cases[i].ndim, cases[i].shape, cases[i].strides);
        KVP_EXPECT(kvp_tensor_is_contiguous(&self) == cases[i].expected);
    }
    kvp_tensor self = TENSOR(3, LIST(2, 3, 4), LIST(12, 4, 1));
    KVP_EXPECT(kvp_tensor_size(&self) == 24);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_tensor self = TENSOR(1, LIST(4), LIST(1));
    KVP_EXPECT_BROKEN_BY(self.ndim, -1, kvp_tensor_check(&self), "a tensor has more dimensions than there is room for");
    KVP_EXPECT_BROKEN_BY(self.ndim, 9, kvp_tensor_check(&self), "a tensor has more dimensions than there is room for");
    KVP_EXPECT_BROKEN_BY(self.shape[0], -1, kvp_tensor_check(&self), "a tensor has a negative extent");
}

int main(void) {
    KVP_RUN(a_tensor_that_goes_out_tells_all_that_is_known_of_it);
    KVP_RUN(strides_are_there_whatever_the_shape);
    KVP_RUN(a_deleter_in_a_thread_of_its_own_ends_the_last_share_of_everything);
    KVP_RUN(contiguous_means_the_order_of_c_without_gaps);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
