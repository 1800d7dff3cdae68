/* Match, match scattered, touch. */
#include "pool_fixture.h"

KVP_TEST(a_match_holds_the_longest_registered_prefix) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *hit = MATCH(1, 2, 9, 3);
    KVP_EXPECT(hit->count == 2 && hit->held == 2 && hit->ids[0] == 0 && hit->ids[1] == 1);
    expect_counts(5, 0, 2, 1);
    KVP_EXPECT(pool.stats.match_hashes_requested == 4 && pool.stats.match_blocks_returned == 2);
    release(hit);
    end();
}

KVP_TEST(a_match_of_nothing_holds_nothing) {
    begin(8);
    release(FILL(1));
    kvp_lease *miss = MATCH(2, 1), *none = match_n(NULL, 0);
    KVP_EXPECT(!miss->is_live && miss->count == 0 && !none->is_live && pool.num_leases == 0);
    release(miss);
    release(none);
    end();
}

KVP_TEST(what_is_matched_is_never_evicted) {
    begin(4);
    release(FILL(1, 2, 3));
    kvp_lease *hit = MATCH(1, 2);
    kvp_lease *all = allocate(2);
    EXPECT_EVICTED(3);
    kvp_lease *more = kvp_lease_new(1, true);
    KVP_EXPECT(kvp_pool_allocate(&pool, more, 0, evicted, MAX_BLOCKS, &num_evicted) == KVP_NOT_ENOUGH);
    KVP_EXPECT(is_known(1) && is_known(2));
    release(more);
    release(all);
    release(hit);
    end();
}

KVP_TEST(a_match_and_its_release_make_a_block_the_newest) {
    begin(8);
    release(FILL(1));
    release(FILL(2));
    release(MATCH(1));
    EXPECT_ORDER(2, 1);
    end();
}

KVP_TEST(a_scattered_match_goes_on_after_misses_and_leaves_no_hint) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *hit = kvp_lease_new(5, false);
    uint64_t parent;
    kvp_pool_match_scattered(&pool, HASHES(3, 9, 1, 3, 8), 5, 0, hit);
    expect_sound();
    KVP_EXPECT(hit->count == 5 && hit->held == 3);
    KVP_EXPECT(hit->ids[0] == 2 && hit->ids[1] == KVP_NO_BLOCK && hit->ids[2] == 0 && hit->ids[3] == 2);
    KVP_EXPECT(hit->ids[4] == KVP_NO_BLOCK);
    KVP_EXPECT(!kvp_hint_table_get(&pool.hints, 9, &parent) && !kvp_hint_table_get(&pool.hints, 8, &parent));
    KVP_EXPECT(pool.stats.scan_hashes_requested == 5 && pool.stats.scan_blocks_returned == 3);
    expect_counts(5, 0, 3, 0);
    release(hit);
    expect_counts(5, 0, 0, 3);
    end();
}

KVP_TEST(a_scattered_match_of_misses_alone_holds_nothing) {
    begin(8);
    kvp_lease *miss = kvp_lease_new(2, false);
    kvp_pool_match_scattered(&pool, HASHES(1, 2), 2, 0, miss);
    KVP_EXPECT(!miss->is_live && miss->ids[0] == KVP_NO_BLOCK);
    release(miss);
    end();
}

KVP_TEST(a_touch_is_a_match_and_a_drop) {
    begin(8);
    release(FILL(1, 2));
    release(FILL(3));
    int32_t ids[3];
    KVP_EXPECT(kvp_pool_touch(&pool, HASHES(2, 9, 2), 3, ids) == 2);
    expect_sound();
    expect_counts(5, 0, 0, 3);
    KVP_EXPECT(pool.stats.touches == 2 && pool.num_leases == 0);
    EXPECT_ORDER(3, 2, 1);
    end();
}

KVP_TEST(a_touch_of_an_active_block_changes_nothing_but_the_count) {
    begin(8);
    kvp_lease *held = FILL(1);
    release(FILL(2));
    int32_t ids[1];
    KVP_EXPECT(kvp_pool_touch(&pool, HASHES(1), 1, ids) == 1);
    expect_counts(6, 0, 1, 1);
    release(held);
    EXPECT_ORDER(2, 1);
    end();
}

int main(void) {
    KVP_RUN(a_match_holds_the_longest_registered_prefix);
    KVP_RUN(a_match_of_nothing_holds_nothing);
    KVP_RUN(what_is_matched_is_never_evicted);
    KVP_RUN(a_match_and_its_release_make_a_block_the_newest);
    KVP_RUN(a_scattered_match_goes_on_after_misses_and_leaves_no_hint);
    KVP_RUN(a_scattered_match_of_misses_alone_holds_nothing);
    KVP_RUN(a_touch_is_a_match_and_a_drop);
    KVP_RUN(a_touch_of_an_active_block_changes_nothing_but_the_count);
    return 0;
}
