#include "ctest.h"
#include "kvp/hint_table.h"

static kvp_hint_table new_table(int32_t num_blocks) {
    kvp_hint_table table;
    KVP_EXPECT(kvp_hint_table_init(&table, num_blocks) == KVP_OK);
    KVP_EXPECT_SOUND(kvp_hint_table_check(&table));
    return table;
}

KVP_TEST(its_size_is_the_power_of_two_from_64_to_4096_that_holds_a_quarter_of_the_blocks) {
    static const struct {
        int32_t num_blocks;
        uint64_t entries;
    } cases[] = {
        {1, 64},      {256, 64},     {257, 128},      {260, 128},    {512, 128}, {1024, 256}, {8192, 2048},
        {8196, 4096}, {16384, 4096}, {1000000, 4096}, {16388, 4096}, {516, 256}, {520, 256},  {KVP_MAX_BLOCKS, 4096}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kvp_hint_table table = new_table(cases[i].num_blocks);
        KVP_EXPECT(table.mask + 1 == cases[i].entries);
        kvp_hint_table_destroy(&table);
        KVP_EXPECT(table.entries == NULL);
    }
}

KVP_TEST(a_hint_is_found_by_its_very_hash_alone) {
    kvp_hint_table table = new_table(1);
    uint64_t parent;
    KVP_EXPECT(!kvp_hint_table_get(&table, 0, &parent)); /* what zeroed memory might look like */
    kvp_hint_table_set(&table, 5, 77);
    KVP_EXPECT(kvp_hint_table_get(&table, 5, &parent) && parent == 77);
    KVP_EXPECT(!kvp_hint_table_get(&table, 5 + 64, &parent));
    kvp_hint_table_set(&table, 0, 1);
    KVP_EXPECT(kvp_hint_table_get(&table, 0, &parent) && parent == 1);
    kvp_hint_table_set(&table, 64, 0);
    KVP_EXPECT(!kvp_hint_table_get(&table, 0, &parent));
    KVP_EXPECT(kvp_hint_table_get(&table, 64, &parent) && parent == 0);
    kvp_hint_table_destroy(&table);
}

KVP_TEST(a_cleared_table_has_no_hints) {
    kvp_hint_table table = new_table(1);
    uint64_t parent;
    for (uint64_t hash = 0; hash < 64; hash++)
        kvp_hint_table_set(&table, hash, hash + 1);
    kvp_hint_table_clear(&table);
    for (uint64_t hash = 0; hash < 64; hash++)
        KVP_EXPECT(!kvp_hint_table_get(&table, hash, &parent));
    kvp_hint_table_destroy(&table);
}

static void against_an_array(unsigned long long *state) {
    enum { NUM_HASHES = 300 };
    kvp_hint_table table = new_table(1);
    uint64_t hashes[NUM_HASHES], parents[NUM_HASHES];
    bool is_set[NUM_HASHES] = {0};
    for (int32_t i = 0; i < NUM_HASHES; i++)
        hashes[i] = kvp_random(state);
    for (int step = 0; step < 3000; step++) {
        int32_t which = kvp_random_below(state, NUM_HASHES);
        for (int32_t i = 0; i < NUM_HASHES; i++)
            is_set[i] &= hashes[i] % 64 != hashes[which] % 64;
        parents[which] = kvp_random(state);
        is_set[which] = true;
        kvp_hint_table_set(&table, hashes[which], parents[which]);
        KVP_EXPECT_SOUND(kvp_hint_table_check(&table));
        for (int32_t i = 0; i < NUM_HASHES; i++) {
            uint64_t parent;
            bool found = kvp_hint_table_get(&table, hashes[i], &parent);
            KVP_EXPECT(found == is_set[i] && (!found || parent == parents[i]));
        }
    }
    kvp_hint_table_destroy(&table);
}

KVP_TEST(it_remembers_the_last_hint_of_each_place) {
    kvp_for_seeds(5, against_an_array);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_hint_table table = new_table(1);
    kvp_hint_table_set(&table, 5, 6);
    static const uint64_t masks[] = {62, 31, 8191, 99};
    for (int i = 0; i < 4; i++)
        KVP_EXPECT_BROKEN_BY(table.mask, masks[i], kvp_hint_table_check(&table), "the hint table has a wrong size");
    KVP_EXPECT_BROKEN_BY(table.entries[7], table.entries[5], kvp_hint_table_check(&table),
                         "a hint is in the wrong place");
    kvp_hint_table_destroy(&table);
}

int main(void) {
    KVP_RUN(its_size_is_the_power_of_two_from_64_to_4096_that_holds_a_quarter_of_the_blocks);
    KVP_RUN(a_hint_is_found_by_its_very_hash_alone);
    KVP_RUN(a_cleared_table_has_no_hints);
    KVP_RUN(it_remembers_the_last_hint_of_each_place);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
