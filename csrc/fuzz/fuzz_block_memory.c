/* Memories that may overlap: their pieces are their regions, and overlaps are found, and only those there are. */
#include "memory_script.h"

#define MOST_PIECES 8

/* How many regions of a part each byte of the room is in; parts as a whole, gaps included. */
static void cover(const kvp_block_memory *memory, uint8_t *counts) {
    memset(counts, 0, ROOM);
    for (uint64_t part = 0; part < memory->layout.num_parts; part++)
        for (uint64_t at = 0; at < memory->layout.part_bytes; at++)
            counts[(unsigned char *)memory->bases[part] - room + (int64_t)at]++;
}

static void expect_pieces(const kvp_block_memory *memory) {
    kvp_piece pieces[MOST_PIECES];
    for (uint64_t block = 0; block < memory->layout.config.num_blocks; block++) {
        uint64_t count = kvp_block_memory_pieces(memory, block, pieces, MOST_PIECES), k = 0;
        KVP_EXPECT(count <= MOST_PIECES);
        for (uint64_t i = 0; i < count; i++)
            for (uint64_t at = 0; at < pieces[i].bytes; at++)
                KVP_EXPECT((unsigned char *)pieces[i].start + at == byte_of(memory, block, k++));
        KVP_EXPECT(k == kvp_layout_block_bytes(&memory->layout));
    }
}

static void run(void) {
    static uint8_t counts[2][ROOM];
    while (has_more()) {
        kvp_block_memory one, two;
        uint64_t num_layers = 1 + take_below(3), outer_dim = 1 + take_below(2);
        bool is_clean = true, is_over = false;
        if (!take_memory(&one, num_layers, outer_dim))
            continue;
        expect_pieces(&one);
        cover(&one, counts[0]);
        for (uint32_t at = 0; at < ROOM; at++)
            is_clean = is_clean && counts[0][at] <= 1;
        KVP_EXPECT((kvp_block_memory_check(&one) == NULL) == is_clean);
        if (take_memory(&two, num_layers, outer_dim)) {
            cover(&two, counts[1]);
            for (uint32_t at = 0; at < ROOM; at++)
                is_over = is_over || (counts[0][at] && counts[1][at]);
            KVP_EXPECT(kvp_block_memory_overlaps(&one, &two) == is_over);
            KVP_EXPECT(!kvp_block_memory_is_same(&one, &two) || is_over);
            kvp_block_memory_destroy(&two);
        }
        kvp_block_memory_destroy(&one);
    }
}
