#include "kvp/policy.h"

#include "kvp/check.h"
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
    return self;
}

void kvp_policy_deallocate(kvp_policy *self, size_t size) {
    kvp_memory_free(self, 1, size);
}

kvp_policy *kvp_policy_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    switch (config->kind) {
    case KVP_POLICY_FIFO:
        return kvp_fifo_new(config, table, first_end);
    case KVP_POLICY_ADAPTIVE:
        return kvp_adaptive_new(config, table, first_end);
    default:
        KVP_ASSERT(false);
        return NULL;
    }
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
