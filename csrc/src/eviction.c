#include "kvp/eviction.h"

#include "kvp/check.h"

int32_t kvp_eviction_num_ends(kvp_policy_kind kind) {
    return kind == KVP_POLICY_LRU ? KVP_NUM_LEVELS : KVP_NUM_LEVELS + KVP_POLICY_LISTS;
}

kvp_status kvp_eviction_init(kvp_eviction *self, kvp_block_table *table, int32_t first_end,
                             const kvp_policy_config *config) {
    self->policy = NULL;
    kvp_priority_buckets_init(&self->buckets, table->rows, first_end);
    if (config->kind == KVP_POLICY_LRU)
        return KVP_OK;
    self->policy = kvp_policy_new(config, table, first_end + KVP_NUM_LEVELS);
    return self->policy ? KVP_OK : KVP_NO_MEMORY;
}

void kvp_eviction_destroy(kvp_eviction *self) {
    kvp_policy_destroy(self->policy);
    self->policy = NULL;
}

void kvp_eviction_clear(kvp_eviction *self) {
    kvp_priority_buckets_init(&self->buckets, self->buckets.rows, self->buckets.first_end);
    if (self->policy) {
        self->policy->count = 0;
        self->policy->methods.clear(self->policy);
    }
}

uint32_t kvp_eviction_lowest_level(const kvp_eviction *self) {
    int32_t id = kvp_priority_buckets_first(&self->buckets);
    uint32_t level = id == KVP_NO_BLOCK ? KVP_NUM_LEVELS : self->buckets.rows[id].level;
    return self->policy && self->policy->count > 0 && level > KVP_DEFAULT_LEVEL ? KVP_DEFAULT_LEVEL : level;
}

int32_t kvp_eviction_take_next(kvp_eviction *self) {
    kvp_policy *policy = self->policy;
    int32_t id = kvp_priority_buckets_first(&self->buckets);
    if (KVP_UNLIKELY(policy != NULL) && policy->count > 0 &&
        (id == KVP_NO_BLOCK || self->buckets.rows[id].level > KVP_DEFAULT_LEVEL)) {
        policy->count--;
        return policy->methods.next(policy);
    }
    if (id != KVP_NO_BLOCK)
        kvp_priority_buckets_remove(&self->buckets, id);
    return id;
}

void kvp_eviction_set_level(kvp_eviction *self, int32_t id, uint32_t level) {
    kvp_block *row = &self->buckets.rows[id];
    bool is_in_list = row->refs == 0 && !kvp_block_is_parked(row);
    if (row->level == level)
        return;
    if (is_in_list)
        kvp_eviction_remove(self, id);
    kvp_eviction_leave(self, id, false);
    row->level = level & 0x7F;
    kvp_eviction_admit(self, id);
    if (is_in_list)
        kvp_eviction_add(self, id);
}

const char *kvp_eviction_check(const kvp_eviction *self, int32_t *count) {
    const char *broken = kvp_priority_buckets_check(&self->buckets, count);
    if (broken || !self->policy)
        return broken;
    int32_t end = self->buckets.first_end + KVP_DEFAULT_LEVEL;
    KVP_REQUIRE(kvp_lru_list_is_empty(self->buckets.rows, end), "a block is in a list that the policy replaces");
    *count += self->policy->count;
    return kvp_policy_check(self->policy);
}
