#include "kvp/index_columns.h"

#include "ctest.h"
#include "kvp/memory.h"

#define NUM_BLOCKS 16
#define MAX_ROWS   4096

static uint64_t hashes[MAX_ROWS];
static int64_t lifetimes[MAX_ROWS];
static int32_t ids[MAX_ROWS], parents[MAX_ROWS], elders[MAX_ROWS];
static uint8_t levels[MAX_ROWS], spaces[MAX_ROWS], is_parked[MAX_ROWS], has_tokens[MAX_ROWS];
static kvp_index_columns columns;
static uint32_t at;

/* Entries 0, 1, 2 are a chain of ids 5, 3, 9, the leaf first; 3 is alone; 4 and 5 are younger copies of its hash. */
static void begin(void) {
    const uint64_t some_hashes[] = {103, 102, 101, 7, 7, 7};
    const int32_t some_ids[] = {9, 3, 5, 0, 15, 8}, some_parents[] = {3, 5, -1, -1, -1, -1};
    const int32_t some_elders[] = {-1, -1, -1, -1, 0, 15};
    columns = (kvp_index_columns){.count = 6,
                                  .hashes = hashes,
                                  .lifetimes = lifetimes,
                                  .ids = ids,
                                  .parents = parents,
                                  .elders = elders,
                                  .levels = levels,
                                  .spaces = spaces,
                                  .is_parked = is_parked,
                                  .has_tokens = has_tokens};
    memcpy(hashes, some_hashes, sizeof some_hashes);
    memcpy(ids, some_ids, sizeof some_ids);
    memcpy(parents, some_parents, sizeof some_parents);
    memcpy(elders, some_elders, sizeof some_elders);
    memset(levels, KVP_DEFAULT_LEVEL, sizeof levels);
    memset(spaces, 0, sizeof spaces);
    memset(is_parked, 0, sizeof is_parked);
    memset(has_tokens, 0, sizeof has_tokens);
}

static const char *check_of(int32_t num_blocks) {
    size_t size = kvp_index_columns_scratch(columns.count, num_blocks);
    void *scratch = kvp_memory_new(1, size);
    const char *broken = kvp_index_columns_check(&columns, num_blocks, 2, scratch, &at);
    kvp_memory_free(scratch, 1, size);
    return broken;
}

static const char *check(void) {
    return check_of(NUM_BLOCKS);
}

KVP_TEST(columns_of_a_pool_are_sound_and_so_are_none) {
    begin();
    KVP_EXPECT_SOUND(check());
    is_parked[1] = 1;
    levels[0] = KVP_MAX_PRIORITY;
    has_tokens[0] = 1;
    lifetimes[0] = INT64_MIN;
    KVP_EXPECT_SOUND(check());
    columns.count = 0;
    KVP_EXPECT_SOUND(check());
    columns.count = 3; /* of which no hash has copies */
    columns.elders = NULL;
    columns.has_tokens = NULL;
    KVP_EXPECT_SOUND(check());
    KVP_EXPECT_BROKEN(check_of(2), "there are more blocks than the pool has");
}

KVP_TEST(values_out_of_their_bounds_are_named) {
    begin();
    KVP_EXPECT_BROKEN_BY(ids[2], NUM_BLOCKS, check(), "its id is not one of the pool's");
    KVP_EXPECT_BROKEN_BY(ids[2], -1, check(), "its id is not one of the pool's");
    KVP_EXPECT_BROKEN_BY(ids[2], INT32_MIN, check(), "its id is not one of the pool's");
    KVP_EXPECT_BROKEN_BY(ids[4], 9, check(), "its id is another block's as well");
    levels[3] = KVP_MAX_PRIORITY + 1;
    KVP_EXPECT_BROKEN(check(), "its priority is above the highest");
    KVP_EXPECT(at == 3);
    levels[3] = KVP_MAX_PRIORITY;
    KVP_EXPECT_BROKEN_BY(spaces[3], 2, check(), "its namespace is not one of the index's");
    KVP_EXPECT_BROKEN_BY(is_parked[1], 2, check(), "whether it is set aside is neither yes nor no");
    KVP_EXPECT_BROKEN_BY(has_tokens[1], 255, check(), "whether its tokens are known is neither yes nor no");
}

KVP_TEST(lineages_that_lead_nowhere_or_around_are_named) {
    begin();
    KVP_EXPECT_BROKEN_BY(parents[3], 4, check(), "its parent is not in the index");
    KVP_EXPECT_BROKEN_BY(parents[3], NUM_BLOCKS, check(), "its parent is not in the index");
    KVP_EXPECT_BROKEN_BY(parents[3], -2, check(), "its parent is not in the index");
    KVP_EXPECT_BROKEN_BY(parents[3], INT32_MAX, check(), "its parent is not in the index");
    KVP_EXPECT_BROKEN_BY(parents[2], 9, check(), "it is its own ancestor");
    KVP_EXPECT_BROKEN_BY(parents[2], 3, check(), "it is its own ancestor");
    KVP_EXPECT_BROKEN_BY(parents[2], 5, check(), "it is its own ancestor");
    KVP_EXPECT_BROKEN_BY(spaces[2], 1, check(), "its parent is of another namespace");
    KVP_EXPECT_BROKEN_BY(is_parked[0], 1, check(), "it is set aside, but nothing continues it");
}

KVP_TEST(hashes_that_are_there_twice_and_copies_in_disorder_are_named) {
    begin();
    KVP_EXPECT_BROKEN_BY(hashes[0], 7, check(), "its hash is another block's as well");
    KVP_EXPECT_BROKEN_BY(hashes[0], 101, check(), "its hash is another block's as well");
    KVP_EXPECT_BROKEN_BY(elders[5], KVP_NO_BLOCK, check(), "its hash is another block's as well");
    KVP_EXPECT_BROKEN_BY(elders[5], 0, check(), "its older copy is another's as well");
    KVP_EXPECT_BROKEN_BY(elders[5], 9, check(), "its older copy is not one of its hash");
    KVP_EXPECT_BROKEN_BY(elders[5], 1, check(), "its older copy is not one of its hash");
    KVP_EXPECT_BROKEN_BY(elders[5], -2, check(), "its older copy is not one of its hash");
    KVP_EXPECT_BROKEN_BY(elders[5], 8, check(), "it is older than itself");
    KVP_EXPECT_BROKEN_BY(elders[4], 8, check(), "it is older than itself");
    KVP_EXPECT_BROKEN_BY(elders[3], 8, check(), "it is older than itself");
    KVP_EXPECT_BROKEN_BY(spaces[5], 1, check(), "its older copy is of another namespace");
    columns.elders = NULL;
    KVP_EXPECT_BROKEN(check(), "its hash is another block's as well");
}

/* Hashes that differ in one byte, whichever, or that agree in all. */
KVP_TEST(every_byte_of_a_hash_counts) {
    begin();
    for (int byte = 0; byte < 8; byte++) {
        for (uint32_t i = 0; i < 256; i++) {
            hashes[i] = UINT64_C(0x8877665544332211) ^ (uint64_t)(255 - i) << 8 * byte;
            ids[i] = (int32_t)(i * 7 % 256);
            parents[i] = elders[i] = KVP_NO_BLOCK;
        }
        columns.count = 256;
        KVP_EXPECT_SOUND(check_of(256));
        hashes[200] = hashes[3];
        KVP_EXPECT_BROKEN(check_of(256), "its hash is another block's as well");
        KVP_EXPECT(at == 200);
    }
}

static void against_a_slow_answer(unsigned long long *state) {
    begin();
    int32_t n = 1 + kvp_random_below(state, 8), kinds = 1 + kvp_random_below(state, 8);
    columns.count = (uint32_t)n;
    columns.elders = NULL;
    bool is_sound = true;
    for (int32_t i = 0; i < n; i++) {
        ids[i] = i;
        hashes[i] = (uint64_t)(kvp_random_below(state, 3) ? i + 100 : kvp_random_below(state, kinds));
        parents[i] = kvp_random_below(state, 2) ? kvp_random_below(state, n) : KVP_NO_BLOCK;
        for (int32_t j = 0; j < i; j++)
            is_sound &= hashes[j] != hashes[i];
    }
    for (int32_t i = 0; i < n; i++) {
        int32_t up = i, steps = 0;
        while (up != KVP_NO_BLOCK && steps++ <= n)
            up = parents[up];
        is_sound &= up == KVP_NO_BLOCK;
    }
    KVP_EXPECT((check() == NULL) == is_sound);
}

KVP_TEST(random_columns_are_sound_when_a_slow_check_says_so) {
    kvp_for_seeds(3000, against_a_slow_answer);
}

KVP_TEST(a_long_chain_in_any_order_is_sound_and_a_long_ring_is_not) {
    begin();
    columns.count = MAX_ROWS;
    columns.elders = NULL;
    for (int32_t i = 0; i < MAX_ROWS; i++) {
        ids[i] = i * 5 % MAX_ROWS;
        hashes[i] = (uint64_t)ids[i];
        parents[i] = ids[i] - 1; /* of 0: none */
    }
    KVP_EXPECT_SOUND(check_of(MAX_ROWS));
    KVP_EXPECT_BROKEN_BY(parents[0], MAX_ROWS - 1, check_of(MAX_ROWS), "it is its own ancestor");
}

int main(void) {
    KVP_RUN(columns_of_a_pool_are_sound_and_so_are_none);
    KVP_RUN(values_out_of_their_bounds_are_named);
    KVP_RUN(lineages_that_lead_nowhere_or_around_are_named);
    KVP_RUN(hashes_that_are_there_twice_and_copies_in_disorder_are_named);
    KVP_RUN(every_byte_of_a_hash_counts);
    KVP_RUN(random_columns_are_sound_when_a_slow_check_says_so);
    KVP_RUN(a_long_chain_in_any_order_is_sound_and_a_long_ring_is_not);
    return 0;
}
