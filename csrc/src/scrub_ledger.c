#include "kvp/scrub_ledger.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_scrub_ledger_init(kvp_scrub_ledger *self, int32_t num_blocks, kvp_scrub_rule rule, bool is_zeroed) {
    *self = (kvp_scrub_ledger){.num_blocks = num_blocks, .rule = rule};
    if (rule == KVP_SCRUB_NEVER)
        return KVP_OK;
    self->last = kvp_memory_new((size_t)num_blocks, sizeof *self->last);
    if (!self->last)
        return KVP_NO_MEMORY;
    for (int32_t id = 0; !is_zeroed && id < num_blocks; id++)
        self->last[id] = KVP_SCRUB_UNKNOWN;
    return KVP_OK;
}

void kvp_scrub_ledger_destroy(kvp_scrub_ledger *self) {
    kvp_memory_free(self->last, (size_t)self->num_blocks, sizeof *self->last);
    self->last = NULL;
}

uint64_t kvp_scrub_ledger_arriving(const kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, uint8_t space,
                                   int32_t *dirty) {
    uint64_t count = 0;
    if (self->rule == KVP_SCRUB_NEVER)
        return 0;
    /* Clean ones need nothing under any rule; those of the same namespace need nothing under one. */
    uint16_t own = self->rule == KVP_SCRUB_NAMESPACES ? (uint16_t)(space + 1) : KVP_SCRUB_CLEAN;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t last = self->last[ids[i]];
        if (last == KVP_SCRUB_CLEAN || last == own)
            continue;
        if (dirty)
            dirty[count] = ids[i];
        count++;
    }
    return count;
}

uint64_t kvp_scrub_ledger_leaving(const kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, int32_t *dirty) {
    return self->rule == KVP_SCRUB_FREE ? kvp_scrub_ledger_arriving(self, ids, n, 0, dirty) : 0;
}

static void set_last(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, uint16_t last) {
    for (uint64_t i = 0; self->last && i < n; i++)
        self->last[ids[i]] = last;
}

void kvp_scrub_ledger_own(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, uint8_t space) {
    set_last(self, ids, n, (uint16_t)(space + 1));
}

void kvp_scrub_ledger_clean(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n) {
    set_last(self, ids, n, KVP_SCRUB_CLEAN);
}

void kvp_scrub_ledger_forget(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n) {
    set_last(self, ids, n, KVP_SCRUB_UNKNOWN);
}

void kvp_scrub_blocks(const kvp_block_memory *memory, const int32_t *ids, uint64_t n) {
    uint64_t span = kvp_layout_span(&memory->layout), bytes = span * memory->layout.region_bytes;
    uint64_t regions = memory->layout.config.num_layers * memory->layout.config.outer_dim;
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t region = 0; region < regions; region += span)
            memset(kvp_block_memory_region(memory, (uint64_t)ids[i], region), 0, bytes);
}

const char *kvp_scrub_ledger_check(const kvp_scrub_ledger *self) {
    KVP_REQUIRE(!self->last == (self->rule == KVP_SCRUB_NEVER), "it is known whose bytes blocks have, and nobody asks");
    for (int32_t id = 0; self->last && id < self->num_blocks; id++)
        KVP_REQUIRE(self->last[id] <= KVP_SCRUB_SPACES || self->last[id] == KVP_SCRUB_UNKNOWN,
                    "a block has the bytes of a namespace that cannot be");
    return NULL;
}
