#include "ctest.h"
#include "kvp/priority_buckets.h"

#define NUM_BLOCKS 24

static kvp_block_table table;
static kvp_priority_buckets buckets;

static void begin(void) {
    KVP_EXPECT(kvp_block_table_init(&table, NUM_BLOCKS, KVP_NUM_LEVELS) == KVP_OK);
    kvp_priority_buckets_init(&buckets, table.rows, NUM_BLOCKS);
    for (int32_t id = 0; id < NUM_BLOCKS; id++)
        table.rows[id].lineage = KVP_ROOT;
}

static void add_newest(int32_t id, uint32_t level) {
    table.rows[id].level = level & 0x7F;
    kvp_priority_buckets_add_newest(&buckets, id);
}

static int32_t num_linked(void) {
    int32_t linked;
    KVP_EXPECT_SOUND(kvp_priority_buckets_check(&buckets, &linked));
    return linked;
}

KVP_TEST(no_block_is_first_of_none) {
    begin();
    KVP_EXPECT(kvp_priority_buckets_first(&buckets) == KVP_NO_BLOCK && num_linked() == 0);
    kvp_block_table_destroy(&table);
}

KVP_TEST(the_oldest_of_the_lowest_level_is_first) {
    begin();
    add_newest(3, 100);
    KVP_EXPECT(kvp_priority_buckets_first(&buckets) == 3);
    add_newest(4, 64);
    KVP_EXPECT(kvp_priority_buckets_first(&buckets) == 4);
    add_newest(5, 63);
    add_newest(6, 63);
    KVP_EXPECT(kvp_priority_buckets_first(&buckets) == 5);
    table.rows[7].level = 63;
    kvp_priority_buckets_add_oldest(&buckets, 7);
    KVP_EXPECT(kvp_priority_buckets_first(&buckets) == 7);
    add_newest(8, 0);
    KVP_EXPECT(kvp_priority_buckets_first(&buckets) == 8);
    KVP_EXPECT(num_linked() == 6);
    kvp_block_table_destroy(&table);
}

KVP_TEST(each_level_is_found_and_forgotten_alone) {
    begin();
    for (uint32_t level = 0; level < KVP_NUM_LEVELS; level++) {
        add_newest(1, level);
        KVP_EXPECT(kvp_priority_buckets_first(&buckets) == 1 && num_linked() == 1);
        kvp_priority_buckets_remove(&buckets, 1);
        KVP_EXPECT(kvp_priority_buckets_first(&buckets) == KVP_NO_BLOCK && num_linked() == 0);
        KVP_EXPECT(buckets.occupied[0] == 0 && buckets.occupied[1] == 0);
    }
    kvp_block_table_destroy(&table);
}

/* Lists as arrays of (level, rank): the victim is the smallest pair. */
static void against_ranks(unsigned long long *state) {
    static const uint32_t levels[] = {0, 1, 35, 63, 64, 99, 100};
    int64_t rank[NUM_BLOCKS], newest = 0, oldest = 0;
    bool is_in[NUM_BLOCKS] = {0};
    begin();
    for (int step = 0; step < 5000; step++) {
        int32_t id = kvp_random_below(state, NUM_BLOCKS), first = KVP_NO_BLOCK, count = 0;
        if (is_in[id]) {
            kvp_priority_buckets_remove(&buckets, id);
        } else {
            table.rows[id].level = levels[kvp_random_below(state, 7)] & 0x7F;
            if (kvp_random_below(state, 3)) {
                rank[id] = ++newest;
                kvp_priority_buckets_add_newest(&buckets, id);
            } else {
                rank[id] = --oldest;
                kvp_priority_buckets_add_oldest(&buckets, id);
            }
        }
        is_in[id] = !is_in[id];
        for (int32_t b = 0; b < NUM_BLOCKS; b++) {
            if (!is_in[b])
                continue;
            count++;
            uint32_t level = table.rows[b].level;
            if (first == KVP_NO_BLOCK || level < table.rows[first].level ||
                (level == table.rows[first].level && rank[b] < rank[first]))
                first = b;
        }
        KVP_EXPECT(kvp_priority_buckets_first(&buckets) == first);
        KVP_EXPECT(num_linked() == count);
    }
    kvp_block_table_destroy(&table);
}

KVP_TEST(first_is_the_smallest_level_and_rank) {
    kvp_for_seeds(10, against_ranks);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    int32_t linked;
    begin();
    add_newest(3, 10);
    add_newest(4, 10);
    add_newest(5, 80);
    KVP_EXPECT(num_linked() == 3);
    kvp_block *rows = table.rows;
    KVP_EXPECT_BROKEN_BY(buckets.occupied[0], 0, kvp_priority_buckets_check(&buckets, &linked),
                         "the bitmap of levels disagrees with a list");
    KVP_EXPECT_BROKEN_BY(buckets.occupied[1], buckets.occupied[1] | 1, kvp_priority_buckets_check(&buckets, &linked),
                         "the bitmap of levels disagrees with a list");
    KVP_EXPECT_BROKEN_BY(rows[4].lineage, KVP_UNREGISTERED, kvp_priority_buckets_check(&buckets, &linked),
                         "a block without identity is in an eviction list");
    KVP_EXPECT_BROKEN_BY(rows[4].refs, 1, kvp_priority_buckets_check(&buckets, &linked),
                         "a held block is in an eviction list");
    rows[4].level = 11;
    KVP_EXPECT_BROKEN(kvp_priority_buckets_check(&buckets, &linked), "a block is in the list of another level");
    rows[4].level = 10;
    KVP_EXPECT_BROKEN_BY(rows[4].prev, 4, kvp_priority_buckets_check(&buckets, &linked),
                         "a list is linked one way only");
    kvp_lru_list_insert(rows, 4, NUM_BLOCKS + 7, NUM_BLOCKS + 10); /* the end of level 7 */
    buckets.occupied[0] |= UINT64_C(1) << 7;
    KVP_EXPECT_BROKEN(kvp_priority_buckets_check(&buckets, &linked), "the end of one level is in the list of another");
    kvp_block_table_destroy(&table);
}

int main(void) {
    KVP_RUN(no_block_is_first_of_none);
    KVP_RUN(the_oldest_of_the_lowest_level_is_first);
    KVP_RUN(each_level_is_found_and_forgotten_alone);
    KVP_RUN(first_is_the_smallest_level_and_rank);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
