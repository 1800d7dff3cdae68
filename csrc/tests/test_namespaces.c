#include "ctest.h"
#include "kvp/namespaces.h"

static kvp_namespaces spaces;
static kvp_block_table table;

static void begin(int32_t num_blocks, int32_t capacity) {
    kvp_policy_config policy = {.kind = KVP_POLICY_LRU};
    int32_t ends = kvp_eviction_num_ends(policy.kind);
    KVP_EXPECT(kvp_block_table_init(&table, num_blocks, capacity * ends) == KVP_OK);
    KVP_EXPECT(kvp_namespaces_init(&spaces, capacity, &table, num_blocks + ends, &policy) == KVP_OK);
}

static void end(void) {
    KVP_EXPECT_SOUND(kvp_namespaces_check(&spaces));
    kvp_namespaces_destroy(&spaces);
    kvp_block_table_destroy(&table);
}

static void cache(int32_t space, int32_t count) {
    spaces.quotas[space].cached += count;
}

KVP_TEST(the_default_namespace_has_all) {
    begin(10, 2);
    KVP_EXPECT(spaces.count == 1 && kvp_namespaces_room(&spaces, 0) == 10);
    kvp_namespaces_hold(&spaces, 0, 4);
    KVP_EXPECT(kvp_namespaces_room(&spaces, 0) == 6 && spaces.promised == 4);
    end();
}

KVP_TEST(a_floor_is_kept_from_the_others) {
    begin(10, 3);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 6, 10) == KVP_OK);
    KVP_EXPECT(kvp_namespaces_room(&spaces, 0) == 4 && kvp_namespaces_room(&spaces, 1) == 10);
    kvp_namespaces_hold(&spaces, 1, 5);
    KVP_EXPECT(kvp_namespaces_room(&spaces, 0) == 4 && kvp_namespaces_room(&spaces, 1) == 5);
    kvp_namespaces_hold(&spaces, 1, 3);
    KVP_EXPECT(kvp_namespaces_room(&spaces, 0) == 2 && kvp_namespaces_room(&spaces, 1) == 2);
    kvp_namespaces_hold(&spaces, 1, -8);
    kvp_namespaces_hold(&spaces, 0, 4);
    KVP_EXPECT(kvp_namespaces_room(&spaces, 0) == 0 && kvp_namespaces_room(&spaces, 1) == 6);
    end();
}

KVP_TEST(a_cap_bounds_what_is_held) {
    begin(10, 2);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 0, 3) == KVP_OK && kvp_namespaces_room(&spaces, 1) == 3);
    kvp_namespaces_hold(&spaces, 1, 3);
    KVP_EXPECT(kvp_namespaces_room(&spaces, 1) == 0);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 0, 1) == KVP_OK && kvp_namespaces_room(&spaces, 1) == 0);
    end();
}

KVP_TEST(more_floors_than_blocks_are_refused) {
    begin(10, 3);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 7, 10) == KVP_OK);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 2, 4, 10) == KVP_NOT_ENOUGH && spaces.count == 2);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 2, 3, 10) == KVP_OK && spaces.promised == 10);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 3, 0, 10) == KVP_FULL);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 5, 5) == KVP_OK && spaces.promised == 8);
    kvp_namespaces_hold(&spaces, 0, 2);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 6, 6) == KVP_NOT_ENOUGH && spaces.quotas[1].floor == 5);
    end();
}

static const kvp_space_set nobody;

KVP_TEST(the_next_is_found_among_the_others) {
    kvp_space_set without = {{0}};
    begin(20, 4);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 0, 20) == KVP_OK && kvp_namespaces_set(&spaces, 2, 0, 20) == KVP_OK);
    cache(0, 3);
    cache(1, 5);
    cache(2, 4);
    for (int32_t i = 0; i < 3; i++) {
        int32_t expected[] = {1, 2, 0};
        KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &without) == expected[i]);
        kvp_space_set_add(&without, expected[i]);
        KVP_EXPECT(kvp_space_set_has(&without, expected[i]) && !kvp_space_set_has(&without, 3));
    }
    KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &without) == -1);
    kvp_space_set_add(&without, KVP_MAX_NAMESPACES - 1);
    KVP_EXPECT(kvp_space_set_has(&without, 255) && !kvp_space_set_has(&without, 254));
    end();
}

KVP_TEST(who_is_furthest_beyond_its_floor_goes_first) {
    begin(20, 4);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 5, 20) == KVP_OK && kvp_namespaces_set(&spaces, 2, 0, 4) == KVP_OK);
    KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &nobody) == -1 && kvp_namespaces_victim(&spaces, 1) == 1);
    cache(1, 7);
    KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &nobody) == 1);
    cache(0, 3);
    KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &nobody) == 0 && kvp_namespaces_victim(&spaces, 1) == 0);
    cache(2, 4);
    KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &nobody) == 2 && kvp_namespaces_victim(&spaces, 0) == 2);
    cache(0, 4);
    kvp_namespaces_hold(&spaces, 2, 1); /* beyond its cap: its own, although another is further beyond its floor */
    KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &nobody) == 0 && kvp_namespaces_victim(&spaces, 2) == 2);
    cache(0, -7);
    cache(1, -2);
    kvp_namespaces_hold(&spaces, 0, 9); /* it has nothing cached */
    cache(2, -4);
    KVP_EXPECT(kvp_namespaces_wealthiest(&spaces, &nobody) == -1);
    end();
}

KVP_TEST(cleared_namespaces_keep_their_quotas) {
    begin(10, 2);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 4, 6) == KVP_OK);
    kvp_namespaces_hold(&spaces, 1, 5);
    cache(0, 2);
    kvp_namespaces_clear(&spaces);
    KVP_EXPECT(spaces.promised == 4 && spaces.quotas[1].floor == 4 && spaces.quotas[1].cap == 6);
    KVP_EXPECT(spaces.quotas[1].held == 0 && spaces.quotas[0].cached == 0);
    end();
}

KVP_TEST(what_is_broken_is_named) {
    begin(10, 2);
    KVP_EXPECT(kvp_namespaces_set(&spaces, 1, 4, 6) == KVP_OK);
    KVP_EXPECT_BROKEN_BY(spaces.quotas[1].cap, 3, kvp_namespaces_check(&spaces),
                         "the quotas of a namespace are out of bounds");
    KVP_EXPECT_BROKEN_BY(spaces.quotas[1].floor, -1, kvp_namespaces_check(&spaces),
                         "the quotas of a namespace are out of bounds");
    KVP_EXPECT_BROKEN_BY(spaces.quotas[1].cap, 11, kvp_namespaces_check(&spaces),
                         "the quotas of a namespace are out of bounds");
    KVP_EXPECT_BROKEN_BY(spaces.promised, 5, kvp_namespaces_check(&spaces),
                         "what is promised to namespaces is miscounted");
    kvp_namespaces_hold(&spaces, 0, 7);
    KVP_EXPECT_BROKEN(kvp_namespaces_check(&spaces), "more blocks are promised to namespaces than there are");
    kvp_namespaces_hold(&spaces, 0, -7);
    end();
}

int main(void) {
    KVP_RUN(the_default_namespace_has_all);
    KVP_RUN(a_floor_is_kept_from_the_others);
    KVP_RUN(a_cap_bounds_what_is_held);
    KVP_RUN(more_floors_than_blocks_are_refused);
    KVP_RUN(the_next_is_found_among_the_others);
    KVP_RUN(who_is_furthest_beyond_its_floor_goes_first);
    KVP_RUN(cleared_namespaces_keep_their_quotas);
    KVP_RUN(what_is_broken_is_named);
    return 0;
}
