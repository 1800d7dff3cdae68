#include "block_lists.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

void *kvp_block_lists_new(size_t size, const kvp_policy_methods *methods, kvp_block_table *table, int32_t first_end) {
    kvp_block_lists *self = (kvp_block_lists *)kvp_policy_allocate(size, methods, table, first_end);
    if (!self)
        return NULL;
    self->list_of = kvp_memory_new((size_t)table->num_blocks, 1);
    self->marks = kvp_memory_new((size_t)table->num_blocks, 1);
    if (!self->list_of || !self->marks) {
        kvp_block_lists_delete(self, size);
        return NULL;
    }
    kvp_block_lists_clear(self);
    return self;
}

void kvp_block_lists_delete(kvp_block_lists *self, size_t size) {
    kvp_memory_free(self->list_of, (size_t)self->base.num_blocks, 1);
    kvp_memory_free(self->marks, (size_t)self->base.num_blocks, 1);
    kvp_policy_deallocate(&self->base, size);
}

void kvp_block_lists_clear(kvp_block_lists *self) {
    for (int32_t list = 0; list < KVP_POLICY_LISTS; list++)
        kvp_lru_list_init(self->base.rows, self->base.first_end + list);
    memset(self->list_of, KVP_NO_LIST, (size_t)self->base.num_blocks);
    memset(self->marks, 0, (size_t)self->base.num_blocks);
    memset(self->lengths, 0, sizeof self->lengths);
}

const char *kvp_block_lists_check(const kvp_block_lists *self, int32_t *count) {
    const kvp_block *rows = self->base.rows;
    int32_t linked = 0, known = 0;
    *count = 0;
    for (uint32_t list = 0; list < KVP_POLICY_LISTS; list++) {
        int32_t length, end = self->base.first_end + (int32_t)list;
        const char *broken = kvp_lru_list_check(rows, self->base.first_end + KVP_POLICY_LISTS, end, &length);
        if (broken)
            return broken;
        KVP_REQUIRE(length == self->lengths[list], "a list of a policy is miscounted");
        linked += length;
        for (int32_t id = rows[end].next; id != end; id = rows[id].next) {
            KVP_REQUIRE(id < self->base.num_blocks && kvp_block_is_registered(&rows[id]),
                        "a block without identity is in a list of a policy");
            KVP_REQUIRE(rows[id].level == KVP_DEFAULT_LEVEL, "a block of another level is in a list of a policy");
            KVP_REQUIRE(self->list_of[id] == list, "a block is in another list of the policy than it says");
            *count += rows[id].refs == 0;
        }
    }
    for (int32_t id = 0; id < self->base.num_blocks; id++)
        known += kvp_block_lists_has(self, id);
    KVP_REQUIRE(known == linked, "a block that a policy has linked is in no list");
    return NULL;
}
