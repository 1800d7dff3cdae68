/* What the tests of block memory share: a memory of its own, with a pattern in every byte. */
#ifndef KVP_MEMORY_FIXTURE_H
#define KVP_MEMORY_FIXTURE_H

#include "ctest.h"
#include "kvp/block_memory.h"
#include "kvp/memory.h"

enum { FIXTURE_BLOCKS = 9, FIXTURE_LAYERS = 3, FIXTURE_REGION = 40, FIXTURE_REGIONS = 6, FIXTURE_ROOM = 8192 };

typedef struct fixture {
    kvp_block_memory memory;
    unsigned char room[FIXTURE_ROOM];
} fixture;

static inline unsigned char fixture_pattern(uint64_t at) {
    return (unsigned char)(1 + at % 255); /* never 0 */
}

static inline void fixture_init(fixture *self, kvp_layout_kind kind, uint64_t alignment) {
    kvp_layout_config config = {.num_blocks = FIXTURE_BLOCKS,
                                .num_layers = FIXTURE_LAYERS,
                                .outer_dim = 2,
                                .page_size = 20,
                                .inner_dim = 1,
                                .item_size = 2,
                                .alignment = alignment,
                                .kind = kind};
    kvp_layout layout;
    uint64_t bases[FIXTURE_REGIONS];
    const char *product;
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK);
    KVP_EXPECT(layout.num_parts * (layout.part_bytes + 64) + 64 <= FIXTURE_ROOM);
    for (uint64_t part = 0; part < layout.num_parts; part++) /* something before, between and behind the parts */
        bases[part] = (uintptr_t)(self->room + 64 + part * (layout.part_bytes + 64));
    KVP_EXPECT(kvp_block_memory_init(&self->memory, &layout, bases) == KVP_OK);
    for (uint64_t at = 0; at < FIXTURE_ROOM; at++)
        self->room[at] = fixture_pattern(at);
}

static inline void fixture_destroy(fixture *self) {
    kvp_block_memory_destroy(&self->memory);
}

/* The block that a byte of the room belongs to, or -1. */
static inline int32_t fixture_owner(const fixture *self, uint64_t at) {
    for (int32_t block = 0; block < FIXTURE_BLOCKS; block++)
        for (uint64_t region = 0; region < FIXTURE_REGIONS; region++) {
            const unsigned char *start =
                (unsigned char *)kvp_block_memory_region(&self->memory, (uint64_t)block, region);
            if (self->room + at >= start && self->room + at < start + FIXTURE_REGION)
                return block;
        }
    return -1;
}

#endif
