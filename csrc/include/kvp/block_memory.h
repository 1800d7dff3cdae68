/*
 * What:      the memory of all blocks: a layout and where each of its parts begins.
 * Cost:      8 bytes a part; nothing is kept for a block. O(1) to find a region.
 * Ownership: owns the array of addresses; borrows what they point at.
 * Locking:   none; read-only once made. The bytes of a block belong to who holds the block.
 * Errors:    kvp_block_memory_init: KVP_NO_MEMORY.
 *
 * Invariants:
 *   the layout's own
 *   no part wraps around the end of the address space, and no two parts overlap
 */
#ifndef KVP_BLOCK_MEMORY_H
#define KVP_BLOCK_MEMORY_H

#include "kvp/layout.h"

typedef struct kvp_block_memory {
    kvp_layout layout;
    char **bases; /* owned; by part: borrowed addresses */
} kvp_block_memory;

/* A consecutive piece of memory. */
typedef struct kvp_piece {
    char *start; /* borrowed */
    uint64_t bytes;
} kvp_piece;

/* KVP_OK or KVP_NO_MEMORY (then nothing needs to be destroyed). bases has num_parts addresses, and is copied. */
kvp_status kvp_block_memory_init(kvp_block_memory *self, const kvp_layout *layout, const uint64_t *bases);

/* Cannot fail. One of zero bytes is allowed. */
void kvp_block_memory_destroy(kvp_block_memory *self);

/* A block's memory, in the order of (layer, outer), in as few pieces as it has: stores up to capacity of them, and
 * returns how many there are. */
uint64_t kvp_block_memory_pieces(const kvp_block_memory *self, uint64_t block, kvp_piece *pieces, uint64_t capacity);

/* Whether any byte of one is a byte of the other. O(parts) where they lie apart, otherwise O(parts of both, multiplied). */
bool kvp_block_memory_overlaps(const kvp_block_memory *self, const kvp_block_memory *other);

/* Whether both put every block in the same place. */
bool kvp_block_memory_is_same(const kvp_block_memory *self, const kvp_block_memory *other);

/* NULL, or the broken invariant. */
const char *kvp_block_memory_check(const kvp_block_memory *self);

/* Where a region begins. The indices are in range. */
static inline char *kvp_block_memory_at(const kvp_block_memory *self, uint64_t block, uint64_t layer, uint64_t outer) {
    return self->bases[kvp_layout_part(&self->layout, layer, outer)] +
           kvp_layout_offset(&self->layout, block, layer, outer);
}

/* The same for the region of number `region` = layer * outer_dim + outer of its block. */
static inline char *kvp_block_memory_region(const kvp_block_memory *self, uint64_t block, uint64_t region) {
    uint64_t outer_dim = self->layout.config.outer_dim;
    return kvp_block_memory_at(self, block, region / outer_dim, region % outer_dim);
}

#endif
