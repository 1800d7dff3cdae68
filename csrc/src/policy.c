#include "kvp/policy.h"

#include "kvp/check.h"
#include "kvp/lru_list.h"
#include "kvp/memory.h"
#include "policies/policies.h"

kvp_policy *kvp_policy_allocate(size_t size, const kvp_policy_methods *methods, kvp_block_table *table,
                                int32_t first_end) {
    kvp_policy *self = kvp_memory_new(1, size);
    if (!self)
        return NULL;
    self->methods = *methods;
    self->rows = table->rows;
    self->num_blocks = table->num_blocks;
    self->first_end = first_end;
    for (int32_t list = 0; list < KVP_POLICY_LISTS; list++)
        kvp_lru_list_init(table->rows, first_end + list);
    return self;
}

void kvp_policy_deallocate(kvp_policy *self, size_t size) {
    kvp_memory_free(self, 1, size);
}

typedef kvp_policy *(*maker)(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);

kvp_policy *kvp_policy_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    static const maker makers[KVP_NUM_POLICIES] = {
        [KVP_POLICY_FIFO] = kvp_fifo_new,           [KVP_POLICY_LFU] = kvp_lfu_new,
        [KVP_POLICY_SLRU] = kvp_slru_new,           [KVP_POLICY_S3FIFO] = kvp_s3fifo_new,
        [KVP_POLICY_SIEVE] = kvp_sieve_new,         [KVP_POLICY_ARC] = kvp_arc_new,
        [KVP_POLICY_MULTI_LRU] = kvp_multi_lru_new, [KVP_POLICY_ADAPTIVE] = kvp_adaptive_new,
    };
    KVP_ASSERT(config->kind > KVP_POLICY_LRU && config->kind < KVP_NUM_POLICIES);
    return makers[config->kind](config, table, first_end);
}

const char *kvp_policy_check(const kvp_policy *self) {
    int32_t count = 0;
    const char *broken = self->methods.check(self, &count);
    KVP_REQUIRE(broken || count == self->count, "a policy miscounts its blocks");
    return broken;
}

void kvp_policy_destroy(kvp_policy *self) {
    if (self)
        self->methods.destroy(self);
}
