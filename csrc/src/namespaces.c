#include "kvp/namespaces.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_namespaces_init(kvp_namespaces *self, int32_t capacity, kvp_block_table *table, int32_t first_end,
                               const kvp_policy_config *policy) {
    KVP_ASSERT(capacity >= 1 && capacity <= KVP_MAX_NAMESPACES);
    memset(self, 0, sizeof *self);
    self->capacity = capacity;
    self->num_blocks = table->num_blocks;
    self->orders = kvp_memory_new((size_t)capacity, sizeof *self->orders);
    self->quotas = kvp_memory_new((size_t)capacity, sizeof *self->quotas);
    self->of = kvp_memory_new((size_t)self->num_blocks, sizeof *self->of);
    bool has_all = self->orders && self->quotas && self->of;
    for (int32_t i = 0; has_all && i < capacity - 1; i++)
        has_all = kvp_eviction_init(&self->orders[i], table, first_end + i * kvp_eviction_num_ends(policy->kind),
                                    policy) == KVP_OK;
    if (!has_all) {
        kvp_namespaces_destroy(self);
        return KVP_NO_MEMORY;
    }
    self->count = 1;
    self->quotas[0].cap = self->num_blocks;
    return KVP_OK;
}

void kvp_namespaces_destroy(kvp_namespaces *self) {
    for (int32_t i = 0; self->orders && i < self->capacity - 1; i++)
        kvp_eviction_destroy(&self->orders[i]);
    kvp_memory_free(self->orders, (size_t)self->capacity, sizeof *self->orders);
    kvp_memory_free(self->quotas, (size_t)self->capacity, sizeof *self->quotas);
    kvp_memory_free(self->of, (size_t)self->num_blocks, sizeof *self->of);
    memset(self, 0, sizeof *self);
}

void kvp_namespaces_clear(kvp_namespaces *self) {
    self->promised = 0;
    for (int32_t space = 0; space < self->count; space++) {
        if (space > 0)
            kvp_eviction_clear(&self->orders[space - 1]);
        self->quotas[space].held = self->quotas[space].cached = 0;
        self->promised += self->quotas[space].floor;
    }
}

kvp_status kvp_namespaces_set(kvp_namespaces *self, int32_t space, int32_t floor, int32_t cap) {
    KVP_ASSERT(space >= 0 && space <= self->count && floor >= 0 && floor <= cap && cap <= self->num_blocks);
    if (space == self->capacity)
        return KVP_FULL;
    kvp_quota *quota = &self->quotas[space];
    int64_t before = space < self->count ? kvp_namespaces_promise(quota) : 0;
    int64_t promise = floor > quota->held ? floor : quota->held;
    if (self->promised - before + promise > self->num_blocks)
        return KVP_NOT_ENOUGH;
    quota->floor = floor;
    quota->cap = cap;
    self->promised += promise - before;
    self->count += space == self->count;
    return KVP_OK;
}

int32_t kvp_namespaces_wealthiest(const kvp_namespaces *self, const kvp_space_set *without) {
    int32_t found = -1, most = 0;
    for (int32_t space = 0; space < self->count; space++) {
        const kvp_quota *quota = &self->quotas[space];
        int32_t beyond = quota->held + quota->cached - quota->floor;
        if (quota->cached > 0 && beyond > most && !kvp_space_set_has(without, space)) {
            found = space;
            most = beyond;
        }
    }
    return found;
}

int32_t kvp_namespaces_victim(const kvp_namespaces *self, int32_t space) {
    const kvp_quota *own = &self->quotas[space];
    static const kvp_space_set nobody;
    int32_t wealthiest = own->held + own->cached > own->cap ? space : kvp_namespaces_wealthiest(self, &nobody);
    return wealthiest < 0 ? space : wealthiest;
}

const char *kvp_namespaces_check(const kvp_namespaces *self) {
    int64_t promised = 0;
    for (int32_t space = 0; space < self->count; space++) {
        const kvp_quota *quota = &self->quotas[space];
        KVP_REQUIRE(quota->floor >= 0 && quota->floor <= quota->cap && quota->cap <= self->num_blocks,
                    "the quotas of a namespace are out of bounds");
        promised += kvp_namespaces_promise(quota);
    }
    KVP_REQUIRE(promised == self->promised, "what is promised to namespaces is miscounted");
    KVP_REQUIRE(promised <= self->num_blocks, "more blocks are promised to namespaces than there are");
    return NULL;
}
