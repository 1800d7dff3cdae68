#include "kvp/foresight.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_foresight_init(kvp_foresight *self, int32_t num_blocks) {
    memset(self, 0, sizeof *self);
    self->num_blocks = num_blocks;
    self->marks = kvp_memory_new_lazy((size_t)num_blocks, sizeof *self->marks);
    self->asked = kvp_memory_new_lazy((size_t)num_blocks, sizeof *self->asked);
    if (self->marks && self->asked)
        return KVP_OK;
    kvp_foresight_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_foresight_destroy(kvp_foresight *self) {
    kvp_memory_free(self->marks, (size_t)self->num_blocks, sizeof *self->marks);
    kvp_memory_free(self->asked, (size_t)self->num_blocks, sizeof *self->asked);
    self->marks = self->asked = NULL;
}

uint32_t kvp_foresight_add(kvp_foresight *self, const int32_t *ids, uint32_t n) {
    self->number += self->number == UINT32_MAX ? 2 : 1;
    for (uint32_t i = 0; i < n; i++)
        self->count += self->marks[ids[i]]++ == 0;
    return self->number;
}

void kvp_foresight_hit(kvp_foresight *self, const int32_t *ids, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == KVP_NO_BLOCK || self->marks[ids[i]] == 0)
            continue;
        self->marks[ids[i]] = 0;
        self->asked[ids[i]] = self->number;
        self->count--;
        self->useful++;
    }
}

void kvp_foresight_end(kvp_foresight *self, const int32_t *ids, uint32_t n, uint32_t number) {
    for (uint32_t i = 0; i < n; i++) {
        if ((int32_t)(self->asked[ids[i]] - number) >= 0 && self->asked[ids[i]] > 0)
            continue; /* it was asked for since */
        if (self->marks[ids[i]] == 0 || --self->marks[ids[i]] > 0)
            continue; /* others hold it ahead as well */
        self->count--;
        self->wasted++;
    }
}

const char *kvp_foresight_check(const kvp_foresight *self) {
    int32_t marked = 0;
    for (int32_t id = 0; id < self->num_blocks; id++)
        marked += self->marks[id] > 0;
    KVP_REQUIRE(marked == self->count, "the blocks that are held ahead are miscounted");
    return NULL;
}
