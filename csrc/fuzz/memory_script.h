/* What the targets of block memory share: memories of any layout over one room of bytes. */
#ifndef KVP_MEMORY_SCRIPT_H
#define KVP_MEMORY_SCRIPT_H

#include "kvp/block_memory.h"
#include "script.h"

#define ROOM   2048
#define REGION 8 /* bytes; all memories have regions of this size */

static unsigned char room[ROOM];

/* Parts anywhere in the room, also over each other; false when they do not fit in. */
static inline bool take_memory(kvp_block_memory *memory, uint64_t num_layers, uint64_t outer_dim) {
    kvp_layout_config config = {.num_blocks = 1 + take_below(8),
                                .num_layers = num_layers,
                                .outer_dim = outer_dim,
                                .page_size = 2,
                                .inner_dim = 2,
                                .item_size = 2,
                                .alignment = UINT64_C(1) << take_below(6),
                                .kind = (kvp_layout_kind)take_below(4)};
    kvp_layout layout;
    uint64_t bases[8];
    const char *product;
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK && layout.num_parts <= 8);
    if (layout.part_bytes > ROOM)
        return false;
    for (uint64_t part = 0; part < layout.num_parts; part++)
        bases[part] = (uintptr_t)(room + 8 * take_byte() % (ROOM - layout.part_bytes + 1));
    KVP_EXPECT(kvp_block_memory_init(memory, &layout, bases) == KVP_OK);
    return true;
}

/* Where the k-th byte of a block is. */
static inline unsigned char *byte_of(const kvp_block_memory *memory, uint64_t block, uint64_t k) {
    return (unsigned char *)kvp_block_memory_region(memory, block, k / REGION) + k % REGION;
}

static inline void fill_room(void) {
    for (uint32_t at = 0; at < ROOM; at++)
        room[at] = (unsigned char)(1 + at % 255);
}

#endif
