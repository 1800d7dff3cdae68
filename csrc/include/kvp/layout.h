/*
 * What:      where the bytes of a block are. The memory of a pool is one or several parts (allocations); each (block,
 *            layer, outer) is a region in one of them, at an offset of 64 bits. `outer` tells keys from values.
 * Cost:      O(1), no memory; nothing is kept for a block.
 * Ownership: none.
 * Locking:   none; read-only once made.
 * Errors:    kvp_layout_init: KVP_TOO_LARGE, when a product of the sizes does not fit 63 bits.
 *
 * Invariants:
 *   region_bytes  = page_size * inner_dim * item_size > 0
 *   region_stride = region_bytes, rounded up to a multiple of the alignment
 *   of the strides of block, layer and outer that lie in one part, the innermost is region_stride, and each other one is
 *   the next inner one times its count; those that lead to another part are 0
 *   part_bytes = num_blocks * layers in a part * outers in a part * region_stride
 *   num_parts * part_bytes = num_blocks * num_layers * outer_dim * region_stride <= INT64_MAX
 */
#ifndef KVP_LAYOUT_H
#define KVP_LAYOUT_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef enum kvp_layout_kind {
    KVP_LAYOUT_CONTIGUOUS,   /* one part: [block][layer][outer] */
    KVP_LAYOUT_LAYER_BLOCKS, /* a part for each layer: [block][outer] */
    KVP_LAYOUT_LAYER_OUTERS, /* a part for each layer: [outer][block] */
    KVP_LAYOUT_SEPARATE      /* a part for each layer and outer: [block] */
} kvp_layout_kind;

/* All at least 1; alignment is a power of two. */
typedef struct kvp_layout_config {
    uint64_t num_blocks;
    uint64_t num_layers;
    uint64_t outer_dim; /* 1, or 2 where keys and values are apart */
    uint64_t page_size; /* tokens of a block */
    uint64_t inner_dim; /* elements of a token */
    uint64_t item_size; /* bytes of an element */
    uint64_t alignment; /* bytes */
    kvp_layout_kind kind;
} kvp_layout_config;

typedef struct kvp_layout {
    kvp_layout_config config;
    uint64_t region_bytes;
    uint64_t region_stride;
    uint64_t block_stride; /* bytes from a block to the next, in the same part */
    uint64_t layer_stride; /* bytes from a layer to the next; 0: it is in another part */
    uint64_t outer_stride; /* the same for outer */
    uint64_t layer_parts;  /* parts from a layer to the next */
    uint64_t outer_parts;  /* the same for outer */
    uint64_t num_parts;
    uint64_t part_bytes; /* of each part */
} kvp_layout;

/* KVP_OK, or KVP_TOO_LARGE with the product that is, as text, in *product. */
kvp_status kvp_layout_init(kvp_layout *self, const kvp_layout_config *config, const char **product);

/* Regions of a block, in the order of (layer, outer), that lie one behind the other without a gap: 1, outer_dim or all. A
 * span of one layout is a span of another with the same layers and outer_dim whose span is not shorter. */
uint64_t kvp_layout_span(const kvp_layout *self);

/* NULL, or the broken invariant. */
const char *kvp_layout_check(const kvp_layout *self);

/* Bytes of a block without what is between its regions. */
static inline uint64_t kvp_layout_block_bytes(const kvp_layout *self) {
    return self->config.num_layers * self->config.outer_dim * self->region_bytes;
}

/* Part that a region is in. The indices are in range. */
static inline uint64_t kvp_layout_part(const kvp_layout *self, uint64_t layer, uint64_t outer) {
    return layer * self->layer_parts + outer * self->outer_parts;
}

/* Where it begins in its part, in bytes. The indices are in range. */
static inline uint64_t kvp_layout_offset(const kvp_layout *self, uint64_t block, uint64_t layer, uint64_t outer) {
    return block * self->block_stride + layer * self->layer_stride + outer * self->outer_stride;
}

#endif
