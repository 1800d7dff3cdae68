#include "kvp/hint_table.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_hint_table_init(kvp_hint_table *self, int32_t num_blocks) {
    uint64_t entries = 64;
    while (entries < 4096 && entries < ((uint64_t)num_blocks + 3) / 4)
        entries *= 2;
    self->mask = entries - 1;
    self->entries = kvp_memory_new(entries, sizeof *self->entries);
    return self->entries ? KVP_OK : KVP_NO_MEMORY;
}

void kvp_hint_table_destroy(kvp_hint_table *self) {
    kvp_memory_free(self->entries, self->mask + 1, sizeof *self->entries);
    self->entries = NULL;
}

void kvp_hint_table_clear(kvp_hint_table *self) {
    memset(self->entries, 0, (self->mask + 1) * sizeof *self->entries);
}

const char *kvp_hint_table_check(const kvp_hint_table *self) {
    uint64_t size = self->mask + 1;
    KVP_REQUIRE(size >= 64 && size <= 4096 && (size & self->mask) == 0, "the hint table has a wrong size");
    for (uint64_t i = 0; i < size; i++) {
        const kvp_hint *entry = &self->entries[i];
        KVP_REQUIRE(entry->hash == entry->parent || (entry->hash & self->mask) == i, "a hint is in the wrong place");
    }
    return NULL;
}
