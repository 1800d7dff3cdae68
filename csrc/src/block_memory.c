#include "kvp/block_memory.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_block_memory_init(kvp_block_memory *self, const kvp_layout *layout, const uint64_t *bases) {
    self->layout = *layout;
    self->bases = kvp_memory_new(layout->num_parts, sizeof *self->bases);
    if (!self->bases)
        return KVP_NO_MEMORY;
    for (uint64_t part = 0; part < layout->num_parts; part++)
        self->bases[part] = (char *)(uintptr_t)bases[part];
    return KVP_OK;
}

void kvp_block_memory_destroy(kvp_block_memory *self) {
    kvp_memory_free(self->bases, self->layout.num_parts, sizeof *self->bases);
    self->bases = NULL;
}

uint64_t kvp_block_memory_pieces(const kvp_block_memory *self, uint64_t block, kvp_piece *pieces, uint64_t capacity) {
    uint64_t span = kvp_layout_span(&self->layout);
    uint64_t count = self->layout.config.num_layers * self->layout.config.outer_dim / span;
    for (uint64_t i = 0; i < count && i < capacity; i++)
        pieces[i] = (kvp_piece){kvp_block_memory_region(self, block, i * span), span * self->layout.region_bytes};
    return count;
}

/* The lowest address, and the one behind the highest. */
static void find_bounds(const kvp_block_memory *self, uintptr_t *low, uintptr_t *high) {
    *low = UINTPTR_MAX;
    *high = 0;
    for (uint64_t part = 0; part < self->layout.num_parts; part++) {
        uintptr_t start = (uintptr_t)self->bases[part];
        *low = start < *low ? start : *low;
        *high = start + self->layout.part_bytes > *high ? start + self->layout.part_bytes : *high;
    }
}

static bool is_apart(uintptr_t low, uintptr_t high, uintptr_t other_low, uintptr_t other_high) {
    return high <= other_low || other_high <= low;
}

bool kvp_block_memory_overlaps(const kvp_block_memory *self, const kvp_block_memory *other) {
    uintptr_t low, high, other_low, other_high;
    find_bounds(self, &low, &high);
    find_bounds(other, &other_low, &other_high);
    if (is_apart(low, high, other_low, other_high))
        return false;
    for (uint64_t i = 0; i < self->layout.num_parts; i++)
        for (uint64_t j = 0; j < other->layout.num_parts; j++) {
            uintptr_t one = (uintptr_t)self->bases[i], two = (uintptr_t)other->bases[j];
            if (!is_apart(one, one + self->layout.part_bytes, two, two + other->layout.part_bytes))
                return true;
        }
    return false;
}

bool kvp_block_memory_is_same(const kvp_block_memory *self, const kvp_block_memory *other) {
    const kvp_layout *one = &self->layout, *two = &other->layout;
    return one->num_parts == two->num_parts && one->region_bytes == two->region_bytes &&
           one->block_stride == two->block_stride && one->layer_stride == two->layer_stride &&
           one->outer_stride == two->outer_stride && one->config.num_layers == two->config.num_layers &&
           one->config.outer_dim == two->config.outer_dim && one->layer_parts == two->layer_parts &&
           memcmp(self->bases, other->bases, one->num_parts * sizeof *self->bases) == 0;
}

const char *kvp_block_memory_check(const kvp_block_memory *self) {
    const char *broken = kvp_layout_check(&self->layout);
    if (broken)
        return broken;
    uint64_t bytes = self->layout.part_bytes;
    for (uint64_t i = 0; i < self->layout.num_parts; i++) {
        uintptr_t one = (uintptr_t)self->bases[i];
        KVP_REQUIRE(one && one + bytes > one, "a part wraps around the end of the address space");
        for (uint64_t j = 0; j < i; j++) {
            uintptr_t two = (uintptr_t)self->bases[j];
            KVP_REQUIRE(is_apart(one, one + bytes, two, two + bytes), "two parts overlap");
        }
    }
    return NULL;
}
