/* The columns of an index with the arrays that they are in. Who includes it says how many entries there may be
 * (COLUMN_BLOCKS), and how many tokens of each (COLUMN_TOKENS). */
#ifndef KVP_SAVED_COLUMNS_H
#define KVP_SAVED_COLUMNS_H

#include "kvp/index_columns.h"

typedef struct saved_columns {
    kvp_index_columns columns;
    uint64_t hashes[COLUMN_BLOCKS];
    int64_t lifetimes[COLUMN_BLOCKS];
    int32_t ids[COLUMN_BLOCKS], parents[COLUMN_BLOCKS], elders[COLUMN_BLOCKS];
    uint32_t tokens[COLUMN_BLOCKS * COLUMN_TOKENS];
    uint8_t levels[COLUMN_BLOCKS], spaces[COLUMN_BLOCKS], is_parked[COLUMN_BLOCKS], has_tokens[COLUMN_BLOCKS];
} saved_columns;

static void set_columns(saved_columns *self, uint32_t count, bool has_elders, uint32_t block_size) {
    self->columns = (kvp_index_columns){.count = count,
                                        .block_size = block_size,
                                        .hashes = self->hashes,
                                        .lifetimes = self->lifetimes,
                                        .ids = self->ids,
                                        .parents = self->parents,
                                        .elders = has_elders ? self->elders : NULL,
                                        .tokens = block_size ? self->tokens : NULL,
                                        .levels = self->levels,
                                        .spaces = self->spaces,
                                        .is_parked = self->is_parked,
                                        .has_tokens = block_size ? self->has_tokens : NULL};
}

#endif
