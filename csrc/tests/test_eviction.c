#include "pool_fixture.h"

/* Blocks 1, 2, 3 of the default level come back in this order under FIFO, others of other levels between. */
static void fill_levels(void) {
    begin_as(16, false, KVP_POLICY_FIFO);
    kvp_registration low = of(HASHES(10)), high = of(HASHES(20));
    low.level = 3;
    high.level = 90;
    release(FILL(1));
    release(register_with(allocate(1), high));
    release(FILL(2));
    release(register_with(allocate(1), low));
    release(FILL(3));
}

KVP_TEST(lower_levels_go_before_the_policy_and_higher_ones_after) {
    fill_levels();
    EXPECT_ORDER(10, 1, 2, 3, 20);
    end();
}

KVP_TEST(a_cached_block_that_leaves_the_default_level_leaves_the_policy) {
    fill_levels();
    kvp_eviction_set_level(&pool.eviction, kvp_hash_index_find(&pool.index, 1), 50);
    expect_sound();
    kvp_eviction_set_level(&pool.eviction, kvp_hash_index_find(&pool.index, 20), 0);
    expect_sound();
    EXPECT_ORDER(20, 10, 2, 3, 1);
    end();
}

KVP_TEST(a_cached_block_that_comes_to_the_default_level_is_the_policys_newest) {
    fill_levels();
    kvp_eviction_set_level(&pool.eviction, kvp_hash_index_find(&pool.index, 10), KVP_DEFAULT_LEVEL);
    expect_sound();
    EXPECT_ORDER(1, 2, 3, 10, 20);
    end();
}

KVP_TEST(a_held_block_that_changes_its_level_goes_where_that_is_when_it_comes_back) {
    fill_levels();
    kvp_lease *held = MATCH(2);
    kvp_eviction_set_level(&pool.eviction, held->ids[0], 7);
    expect_sound();
    release(held);
    EXPECT_ORDER(10, 2, 1, 3, 20);
    end();
}

KVP_TEST(a_block_set_aside_can_change_its_level) {
    begin_as(6, false, KVP_POLICY_FIFO);
    release(FILL(1));
    release(FILL(2));
    release(FILL_BELOW(1, 3)); /* 1 is the oldest, and continued by 3 */
    release(allocate(4));
    EXPECT_EVICTED(2);
    kvp_eviction_set_level(&pool.eviction, kvp_hash_index_find(&pool.index, 1), 90);
    expect_sound();
    EXPECT_ORDER(3, 1);
    end();
}

KVP_TEST(expiry_demotes_into_the_policy) {
    begin_as(4, false, KVP_POLICY_FIFO);
    kvp_registration kept = of(HASHES(9));
    kept.level = 80;
    kept.expiry = 100;
    release(register_with(allocate(1), kept));
    release(FILL(1));
    now = 99;
    release(allocate(3));
    EXPECT_EVICTED(1);
    release(FILL(2));
    now = 100;
    EXPECT_ORDER(2, 9);
    end();
}

KVP_TEST(a_cleared_order_has_nothing_to_take) {
    fill_levels();
    kvp_identity identities[16];
    uint32_t count;
    KVP_EXPECT(kvp_pool_reset(&pool, identities, 16, &count) == KVP_OK && count == 5);
    expect_sound();
    KVP_EXPECT(kvp_eviction_take_next(&pool.eviction) == KVP_NO_BLOCK);
    release(FILL(4));
    release(FILL(5));
    EXPECT_ORDER(4, 5);
    end();
}

KVP_TEST(the_check_finds_a_block_in_the_list_that_the_policy_replaces) {
    fill_levels();
    int32_t count;
    kvp_block *rows = pool.table.rows;
    int32_t id = kvp_hash_index_find(&pool.index, 10), end_of_low = pool.eviction.buckets.first_end + 3;
    kvp_lru_list_init(rows, end_of_low);
    pool.eviction.buckets.occupied[0] = 0;
    rows[id].level = KVP_DEFAULT_LEVEL;
    kvp_priority_buckets_add_newest(&pool.eviction.buckets, id);
    KVP_EXPECT_BROKEN(kvp_eviction_check(&pool.eviction, &count), "a block is in a list that the policy replaces");
    kvp_pool_destroy(&pool);
}

int main(void) {
    KVP_RUN(lower_levels_go_before_the_policy_and_higher_ones_after);
    KVP_RUN(a_cached_block_that_leaves_the_default_level_leaves_the_policy);
    KVP_RUN(a_cached_block_that_comes_to_the_default_level_is_the_policys_newest);
    KVP_RUN(a_held_block_that_changes_its_level_goes_where_that_is_when_it_comes_back);
    KVP_RUN(a_block_set_aside_can_change_its_level);
    KVP_RUN(expiry_demotes_into_the_policy);
    KVP_RUN(a_cleared_order_has_nothing_to_take);
    KVP_RUN(the_check_finds_a_block_in_the_list_that_the_policy_replaces);
    return 0;
}
