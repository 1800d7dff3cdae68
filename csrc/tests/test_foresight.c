#include "pool_fixture.h"

static kvp_foresight *const ahead = &pool.foresight;

static kvp_lease *hold_ahead_n(const uint64_t *hashes, uint32_t n) {
    kvp_lease *lease = kvp_lease_new(n, false);
    kvp_pool_hold_ahead(&pool, hashes, n, now, lease);
    expect_sound();
    return lease;
}

#define HOLD_AHEAD(...) hold_ahead_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

static void expect_counts_of(int32_t count, uint64_t useful, uint64_t wasted) {
    KVP_EXPECT(ahead->count == count && ahead->useful == useful && ahead->wasted == wasted);
}

KVP_TEST(a_prefix_that_is_held_ahead_leaves_a_hint_as_a_match_does) {
    begin(8);
    release(FILL(1, 2));
    release(HOLD_AHEAD(1, 2, 3));
    release(FILL(3));
    KVP_EXPECT(kvp_block_parent(&pool.table.rows[kvp_hash_index_find(&pool.index, 3)]) ==
               kvp_hash_index_find(&pool.index, 2));
    end();
}

KVP_TEST(what_nobody_asks_for_is_wasted_when_the_hold_ends) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *held = HOLD_AHEAD(1, 2, 3, 4);
    KVP_EXPECT(held->count == 3 && held->ahead == 1);
    expect_counts(5, 0, 3, 0);
    expect_counts_of(3, 0, 0);
    release(held);
    expect_counts(5, 0, 0, 3);
    expect_counts_of(0, 0, 3);
    end();
}

KVP_TEST(what_is_asked_for_meanwhile_was_useful_and_is_counted_once) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *held = HOLD_AHEAD(1, 2, 3);
    release(MATCH(1, 2));
    expect_counts_of(1, 2, 0);
    release(MATCH(1, 2));
    expect_counts_of(1, 2, 0);
    release(held);
    expect_counts_of(0, 2, 1);
    end();
}

KVP_TEST(a_block_held_ahead_twice_is_wasted_with_the_last_hold) {
    begin(8);
    release(FILL(1, 2));
    kvp_lease *one = HOLD_AHEAD(1, 2), *other = HOLD_AHEAD(1);
    release(one);
    expect_counts_of(1, 0, 1);
    release(other);
    expect_counts_of(0, 0, 2);
    end();
}

/* The end of a hold whose block was asked for is nothing to a later hold. */
KVP_TEST(holds_that_follow_each_other_are_told_apart) {
    begin(8);
    release(FILL(1, 2));
    kvp_lease *first = HOLD_AHEAD(1, 2);
    release(MATCH(1, 2));
    kvp_lease *second = HOLD_AHEAD(1, 2);
    release(first);
    expect_counts_of(2, 2, 0);
    release(MATCH(1));
    expect_counts_of(1, 3, 0);
    release(second);
    expect_counts_of(0, 3, 1);
    end();
}

KVP_TEST(holding_ahead_is_no_request) {
    begin(8);
    release(FILL(1, 2));
    release(HOLD_AHEAD(1, 2, 3));
    KVP_EXPECT(pool.stats.match_hashes_requested == 0 && pool.stats.match_blocks_returned == 0);
    KVP_EXPECT(!pool.has_extras);
    end();
}

KVP_TEST(nothing_that_is_held_ahead_is_evicted) {
    begin(4);
    release(FILL(1, 2));
    release(FILL(3));
    kvp_lease *held = HOLD_AHEAD(1, 2), *fresh = allocate(2);
    EXPECT_EVICTED(3);
    KVP_EXPECT(is_known(1) && is_known(2));
    release(fresh);
    release(held);
    end();
}

KVP_TEST(a_scattered_match_and_a_touch_ask_as_well) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *held = HOLD_AHEAD(1, 2, 3), *scattered = kvp_lease_new(2, false);
    kvp_pool_match_scattered(&pool, HASHES(3, 9), 2, now, scattered);
    expect_counts_of(2, 1, 0);
    int32_t ids[1];
    KVP_EXPECT(kvp_pool_touch(&pool, HASHES(1), 1, ids) == 1);
    expect_counts_of(1, 2, 0);
    release(scattered);
    release(held);
    expect_counts_of(0, 2, 1);
    end();
}

KVP_TEST(the_check_names_the_broken_invariant) {
    begin(4);
    KVP_EXPECT_BROKEN_BY(ahead->count, 1, kvp_foresight_check(ahead), "the blocks that are held ahead are miscounted");
    KVP_EXPECT_BROKEN_BY(ahead->marks[2], 3, kvp_foresight_check(ahead),
                         "the blocks that are held ahead are miscounted");
    end();
}

KVP_TEST(the_number_of_a_hold_is_never_none) {
    begin(4);
    release(FILL(1));
    ahead->number = UINT32_MAX;
    kvp_lease *held = HOLD_AHEAD(1);
    KVP_EXPECT(held->ahead == 1);
    release(MATCH(1));
    release(held);
    expect_counts_of(0, 1, 0);
    end();
}

int main(void) {
    KVP_RUN(a_prefix_that_is_held_ahead_leaves_a_hint_as_a_match_does);
    KVP_RUN(what_nobody_asks_for_is_wasted_when_the_hold_ends);
    KVP_RUN(what_is_asked_for_meanwhile_was_useful_and_is_counted_once);
    KVP_RUN(a_block_held_ahead_twice_is_wasted_with_the_last_hold);
    KVP_RUN(holds_that_follow_each_other_are_told_apart);
    KVP_RUN(holding_ahead_is_no_request);
    KVP_RUN(nothing_that_is_held_ahead_is_evicted);
    KVP_RUN(a_scattered_match_and_a_touch_ask_as_well);
    KVP_RUN(the_check_names_the_broken_invariant);
    KVP_RUN(the_number_of_a_hold_is_never_none);
    return 0;
}
