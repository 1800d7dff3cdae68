#include "ctest.h"
#include "kvp/block_table.h"

#define NUM_BLOCKS 8

static kvp_block_table new_table(void) {
    kvp_block_table table;
    KVP_EXPECT(kvp_block_table_init(&table, NUM_BLOCKS, KVP_NUM_LEVELS) == KVP_OK);
    return table;
}

/* As register would write it: refs go up the lineage by hand. */
static void put(kvp_block_table *table, int32_t id, int32_t parent, uint32_t refs) {
    table->rows[id].lineage = parent == KVP_NO_BLOCK ? KVP_ROOT : parent + KVP_PARENT_BASE;
    table->rows[id].refs = refs;
    if (parent != KVP_NO_BLOCK)
        table->rows[parent].children++;
}

KVP_TEST(a_new_table_is_of_zeros_and_sound) {
    kvp_block_table table = new_table();
    const kvp_block zero = {0};
    for (int32_t row = 0; row < NUM_BLOCKS + KVP_NUM_LEVELS; row++)
        KVP_EXPECT(memcmp(&table.rows[row], &zero, sizeof zero) == 0);
    KVP_EXPECT_SOUND(kvp_block_table_check(&table));
    kvp_block_table_destroy(&table);
    KVP_EXPECT(table.rows == NULL);
}

KVP_TEST(two_rows_share_a_cache_line) {
    kvp_block_table table = new_table();
    KVP_EXPECT(sizeof(kvp_block) == 32);
    KVP_EXPECT((uintptr_t)table.rows % 64 == 0);
    kvp_block_table_destroy(&table);
}

KVP_TEST(a_row_tells_its_parent_and_whether_it_is_registered) {
    kvp_block row = {0};
    KVP_EXPECT(!kvp_block_is_registered(&row));
    row.lineage = KVP_ROOT;
    KVP_EXPECT(kvp_block_is_registered(&row) && kvp_block_parent(&row) == KVP_NO_BLOCK);
    row.lineage = KVP_PARENT_BASE;
    KVP_EXPECT(kvp_block_is_registered(&row) && kvp_block_parent(&row) == 0);
    row.lineage = KVP_MAX_BLOCKS - 1 + KVP_PARENT_BASE;
    KVP_EXPECT(kvp_block_parent(&row) == KVP_MAX_BLOCKS - 1);
    row.prev = KVP_PARKED;
    KVP_EXPECT(kvp_block_is_parked(&row));
    row.prev = KVP_NO_BLOCK;
    KVP_EXPECT(!kvp_block_is_parked(&row));
}

/* Blocks come and go at the leaves of a forest; the rows must tell what the arrays say. */
static void forest(unsigned long long *state) {
    kvp_block_table table = new_table();
    int32_t parent[NUM_BLOCKS];
    bool is_registered[NUM_BLOCKS] = {0};
    for (int step = 0; step < 2000; step++) {
        int32_t id = kvp_random_below(state, NUM_BLOCKS);
        kvp_block *row = &table.rows[id];
        if (is_registered[id] && row->children == 0) {
            if (parent[id] != KVP_NO_BLOCK)
                table.rows[parent[id]].children--;
            *row = (kvp_block){0};
            is_registered[id] = false;
        } else if (!is_registered[id]) {
            int32_t up = kvp_random_below(state, NUM_BLOCKS);
            parent[id] = up != id && is_registered[up] ? up : KVP_NO_BLOCK;
            put(&table, id, parent[id], 0);
            row->prev = kvp_random_below(state, NUM_BLOCKS);
            row->level = (uint32_t)kvp_random_below(state, KVP_NUM_LEVELS) & 0x7F;
            is_registered[id] = true;
        }
        KVP_EXPECT_SOUND(kvp_block_table_check(&table));
        for (int32_t b = 0; b < NUM_BLOCKS; b++) {
            uint32_t children = 0;
            for (int32_t c = 0; c < NUM_BLOCKS; c++)
                children += is_registered[c] && parent[c] == b;
            KVP_EXPECT(kvp_block_is_registered(&table.rows[b]) == is_registered[b]);
            KVP_EXPECT(!is_registered[b] || kvp_block_parent(&table.rows[b]) == parent[b]);
            KVP_EXPECT(table.rows[b].children == children);
        }
    }
    kvp_block_table_destroy(&table);
}

KVP_TEST(rows_tell_the_forest_that_was_written) {
    kvp_for_seeds(10, forest);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_block_table table = new_table();
    kvp_block *rows = table.rows;
    put(&table, 2, KVP_NO_BLOCK, 1);
    put(&table, 3, 2, 1);
    put(&table, 4, KVP_NO_BLOCK, 0);
    KVP_EXPECT_SOUND(kvp_block_table_check(&table));
    rows[0].children = 1;
    KVP_EXPECT_BROKEN(kvp_block_table_check(&table), "a block without identity has children");
    rows[0].children = 0;
    rows[0].is_indexed = 1;
    KVP_EXPECT_BROKEN(kvp_block_table_check(&table), "a block without identity is in the index");
    rows[0].is_indexed = 0;
    rows[4].level = KVP_NUM_LEVELS;
    KVP_EXPECT_BROKEN(kvp_block_table_check(&table), "a block's level is out of range");
    rows[4].level = 0;
    KVP_EXPECT_BROKEN_BY(rows[4].prev, KVP_PARKED, kvp_block_table_check(&table), "a parked block has no children");
    KVP_EXPECT_BROKEN_BY(rows[3].lineage, 3 + KVP_PARENT_BASE, kvp_block_table_check(&table),
                         "a block's parent is not a block");
    KVP_EXPECT_BROKEN_BY(rows[3].lineage, NUM_BLOCKS + KVP_PARENT_BASE, kvp_block_table_check(&table),
                         "a block's parent is not a block");
    KVP_EXPECT_BROKEN_BY(rows[3].lineage, 0 + KVP_PARENT_BASE, kvp_block_table_check(&table),
                         "a registered block lost its parent");
    KVP_EXPECT_BROKEN_BY(rows[2].refs, 0, kvp_block_table_check(&table), "an active block's parent is not active");
    rows[2].children = 0;
    KVP_EXPECT_BROKEN(kvp_block_table_check(&table), "a parent counts no children");
    rows[2].children = 1;
    KVP_EXPECT_SOUND(kvp_block_table_check(&table));
    kvp_block_table_destroy(&table);
}

KVP_TEST(more_rows_than_a_link_can_name_are_refused) {
    kvp_block_table table;
    KVP_EXPECT(kvp_block_table_init(&table, 1, INT32_MAX) == KVP_NO_MEMORY);
}

int main(void) {
    KVP_RUN(a_new_table_is_of_zeros_and_sound);
    KVP_RUN(two_rows_share_a_cache_line);
    KVP_RUN(a_row_tells_its_parent_and_whether_it_is_registered);
    KVP_RUN(rows_tell_the_forest_that_was_written);
    KVP_RUN(the_check_names_each_broken_invariant);
    KVP_RUN(more_rows_than_a_link_can_name_are_refused);
    return 0;
}
