#include "kvp/block_table.h"

#include "kvp/check.h"
#include "kvp/memory.h"

static size_t num_rows(const kvp_block_table *self) {
    return (size_t)self->num_blocks + (size_t)self->num_ends;
}

kvp_status kvp_block_table_init(kvp_block_table *self, int32_t num_blocks, int32_t num_ends) {
    KVP_ASSERT(num_blocks >= 1 && num_blocks <= KVP_MAX_BLOCKS);
    self->num_blocks = num_blocks;
    self->num_ends = num_ends;
    if (num_rows(self) > INT32_MAX)
        return KVP_NO_MEMORY;
    self->rows = kvp_memory_new(num_rows(self), sizeof(kvp_block));
    return self->rows ? KVP_OK : KVP_NO_MEMORY;
}

void kvp_block_table_destroy(kvp_block_table *self) {
    kvp_memory_free(self->rows, num_rows(self), sizeof(kvp_block));
    self->rows = NULL;
}

const char *kvp_block_table_check(const kvp_block_table *self) {
    for (int32_t id = 0; id < self->num_blocks; id++) {
        const kvp_block *row = &self->rows[id];
        if (!kvp_block_is_registered(row)) {
            KVP_REQUIRE(row->children == 0, "a block without identity has children");
            KVP_REQUIRE(!row->is_indexed, "a block without identity is in the index");
            continue;
        }
        KVP_REQUIRE(row->level < KVP_NUM_LEVELS, "a block's level is out of range");
        KVP_REQUIRE(!(row->refs == 0 && kvp_block_is_parked(row)) || row->children > 0,
                    "a parked block has no children");
        int32_t parent = kvp_block_parent(row);
        if (parent == KVP_NO_BLOCK)
            continue;
        KVP_REQUIRE(parent < self->num_blocks && parent != id, "a block's parent is not a block");
        const kvp_block *up = &self->rows[parent];
        KVP_REQUIRE(kvp_block_is_registered(up), "a registered block lost its parent");
        KVP_REQUIRE(row->refs == 0 || up->refs > 0, "an active block's parent is not active");
        KVP_REQUIRE(up->children > 0, "a parent counts no children");
    }
    return NULL;
}
