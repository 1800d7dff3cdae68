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

kvp_policy *kvp_policy_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    switch (config->kind) {
    case KVP_POLICY_FIFO:
        return kvp_fifo_new(config, table, first_end);
    case KVP_POLICY_LFU:
        return kvp_lfu_new(config, table, first_end);
    case KVP_POLICY_SLRU:
        return kvp_slru_new(config, table, first_end);
    case KVP_POLICY_S3FIFO:
        return kvp_s3fifo_new(config, table, first_end);
    case KVP_POLICY_SIEVE:
        return kvp_sieve_new(config, table, first_end);
    case KVP_POLICY_ARC:
        return kvp_arc_new(config, table, first_end);
    case KVP_POLICY_MULTI_LRU:
        return kvp_multi_lru_new(config, table, first_end);
    case KVP_POLICY_ADAPTIVE:
        return kvp_adaptive_new(config, table, first_end);
    case KVP_POLICY_LRU:
    case KVP_NUM_POLICIES:
        break;
    }
    KVP_ASSERT(false);
    return NULL;
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
