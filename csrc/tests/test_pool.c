/* Allocate, release, evict, expire, share, join, upgrade. */
#include "pool_fixture.h"

KVP_TEST(a_new_pool_is_all_empty) {
    begin(8);
    expect_counts(8, 0, 0, 0);
    KVP_EXPECT(kvp_pool_available(&pool) == 8 && pool.num_leases == 0 && pool.leases == NULL);
    expect_sound();
    end();
}

KVP_TEST(blocks_of_a_handle_come_back_in_their_order) {
    begin(8);
    kvp_lease *one = allocate(3), *two = allocate(2);
    for (int32_t i = 0; i < 3; i++)
        KVP_EXPECT(one->ids[i] == i);
    KVP_EXPECT(two->ids[0] == 3 && two->ids[1] == 4);
    release(one);
    kvp_lease *three = allocate(4);
    KVP_EXPECT(three->ids[0] == 0 && three->ids[1] == 1 && three->ids[2] == 2 && three->ids[3] == 5);
    release(two);
    release(three);
    end();
}

KVP_TEST(an_allocation_of_none_holds_nothing) {
    begin(4);
    kvp_lease *none = allocate(0);
    KVP_EXPECT(!none->is_live && pool.num_leases == 0 && pool.stats.allocations == 0);
    release(none);
    end();
}

KVP_TEST(an_allocation_of_too_many_changes_nothing) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *held = FILL(4, 5), *lease = kvp_lease_new(7, true);
    snapshot before = take_snapshot();
    KVP_EXPECT(kvp_pool_allocate(&pool, lease, 99, evicted, MAX_BLOCKS, &num_evicted) == KVP_NOT_ENOUGH);
    KVP_EXPECT(!lease->is_live);
    expect_unchanged(&before);
    kvp_lease_unshare(lease);
    release(held);
    end();
}

KVP_TEST(an_allocation_with_too_short_a_report_changes_nothing_and_can_be_made_again) {
    begin(8);
    release(FILL(1, 2, 3, 4, 5, 6));
    kvp_lease *lease = kvp_lease_new(5, true);
    snapshot before = take_snapshot();
    KVP_EXPECT(kvp_pool_allocate(&pool, lease, 99, evicted, 2, &num_evicted) == KVP_RETRY);
    expect_unchanged(&before);
    KVP_EXPECT(kvp_pool_allocate(&pool, lease, 99, evicted, 3, &num_evicted) == KVP_OK);
    EXPECT_EVICTED(6, 5, 4);
    release(lease);
    end();
}

KVP_TEST(empty_blocks_go_before_any_is_evicted) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *lease = allocate(5);
    KVP_EXPECT(num_evicted == 0);
    kvp_lease *more = allocate(1);
    EXPECT_EVICTED(3);
    KVP_EXPECT(!is_known(3) && is_known(2) && more->ids[0] == 2);
    KVP_EXPECT(pool.stats.allocations_from_empty == 8 && pool.stats.evictions == 1);
    release(lease);
    release(more);
    end();
}

KVP_TEST(evicted_blocks_are_the_last_of_the_lease_in_the_order_of_their_hashes) {
    begin(4);
    release(FILL(1, 2));
    kvp_lease *lease = allocate(4);
    EXPECT_EVICTED(2, 1);
    KVP_EXPECT(lease->ids[0] == 2 && lease->ids[1] == 3 && lease->ids[2] == 1 && lease->ids[3] == 0);
    release(lease);
    end();
}

KVP_TEST(the_generation_rises_with_each_allocation) {
    begin(2);
    for (uint32_t times = 1; times < 4; times++) {
        kvp_lease *lease = allocate(1);
        KVP_EXPECT(pool.table.rows[0].generation == times && pool.table.rows[1].generation == 0);
        release(lease);
    }
    pool.table.rows[0].generation = UINT32_MAX;
    release(allocate(1));
    KVP_EXPECT(pool.table.rows[0].generation == 0);
    end();
}

KVP_TEST(the_least_recently_released_goes_first_whichever_handle_went_last) {
    begin(8);
    kvp_lease *a = FILL(1), *b = FILL(2), *c = FILL(3);
    release(b);
    release(c);
    release(a);
    EXPECT_ORDER(2, 3, 1);
    end();
}

KVP_TEST(a_held_block_holds_its_ancestors) {
    begin(8);
    kvp_lease *prefix = FILL(1, 2), *rest = FILL_BELOW(2, 3, 4);
    release(prefix);
    expect_counts(4, 0, 4, 0);
    KVP_EXPECT(kvp_pool_available(&pool) == 4);
    release(rest);
    expect_counts(4, 0, 0, 4);
    EXPECT_ORDER(4, 3, 2, 1);
    end();
}

KVP_TEST(the_order_of_release_does_not_change_the_order_of_eviction_of_one_prefix) {
    begin(8);
    kvp_lease *prefix = FILL(1, 2), *rest = FILL_BELOW(2, 3, 4);
    release(rest);
    release(prefix);
    EXPECT_ORDER(4, 3, 2, 1);
    end();
}

KVP_TEST(two_continuations_hold_their_common_prefix_until_both_go) {
    begin(8);
    release(FILL(1));
    kvp_lease *left = FILL_BELOW(1, 2), *right = FILL_BELOW(1, 3);
    release(left);
    expect_counts(5, 0, 2, 1);
    release(right);
    EXPECT_ORDER(2, 3, 1);
    end();
}

static kvp_registration at_level(kvp_registration registration, int level, int64_t expiry) {
    registration.level = level;
    registration.expiry = expiry;
    return registration;
}

KVP_TEST(lower_levels_go_first_and_35_is_the_default) {
    begin(8);
    release(register_with(allocate(1), at_level(of(HASHES(1)), 36, KVP_NO_EXPIRY)));
    release(FILL(2));
    release(register_with(allocate(1), at_level(of(HASHES(3)), 34, KVP_NO_EXPIRY)));
    release(register_with(allocate(1), at_level(of(HASHES(4)), 100, KVP_NO_EXPIRY)));
    release(register_with(allocate(1), at_level(of(HASHES(5)), 0, KVP_NO_EXPIRY)));
    EXPECT_ORDER(5, 3, 2, 1, 4);
    end();
}

/* 1 has the lowest level, but 2 continues it: 1 is set aside until 2 is gone, and then goes before all of its level. */
KVP_TEST(a_block_with_children_is_parked_until_its_last_child_goes) {
    begin(8);
    release(register_with(allocate(1), at_level(of(HASHES(1)), 10, KVP_NO_EXPIRY)));
    release(register_with(allocate(1), at_level(below(HASHES(2), 1), 20, KVP_NO_EXPIRY)));
    release(register_with(allocate(1), at_level(below(HASHES(3), 1), 5, KVP_NO_EXPIRY)));
    release(register_with(allocate(1), at_level(of(HASHES(4)), 10, KVP_NO_EXPIRY)));
    release(FILL(5));
    kvp_lease *rest = allocate(4);
    EXPECT_EVICTED(3);
    KVP_EXPECT(!kvp_block_is_parked(&pool.table.rows[0]));
    kvp_lease *next = allocate(1);
    EXPECT_EVICTED(4);
    KVP_EXPECT(kvp_block_is_parked(&pool.table.rows[0]) && is_known(1));
    kvp_lease *last = allocate(1);
    EXPECT_EVICTED(2);
    KVP_EXPECT(!kvp_block_is_parked(&pool.table.rows[0]));
    release(rest);
    release(next);
    release(last);
    EXPECT_ORDER(1, 5);
    end();
}

KVP_TEST(a_parked_block_that_is_matched_and_released_is_the_newest) {
    begin(4);
    release(register_with(allocate(1), at_level(of(HASHES(1)), 10, KVP_NO_EXPIRY)));
    release(register_with(allocate(1), at_level(below(HASHES(2), 1), 20, KVP_NO_EXPIRY)));
    release(register_with(allocate(1), at_level(of(HASHES(3)), 10, KVP_NO_EXPIRY)));
    release(allocate(2));
    EXPECT_EVICTED(3);
    KVP_EXPECT(kvp_block_is_parked(&pool.table.rows[0]));
    release(register_with(allocate(1), at_level(of(HASHES(4)), 10, KVP_NO_EXPIRY)));
    kvp_lease *hit = MATCH(1);
    KVP_EXPECT(hit->held == 1 && !kvp_block_is_parked(&pool.table.rows[0]));
    release(hit);
    EXPECT_ORDER(4, 2, 1);
    end();
}

/* A parent whose child is evicted while others hold the parent is not put in a list. */
KVP_TEST(an_active_parent_loses_a_cached_child) {
    begin(3);
    kvp_lease *parent = FILL(1);
    release(FILL_BELOW(1, 2));
    kvp_lease *lease = allocate(2);
    EXPECT_EVICTED(2);
    KVP_EXPECT(pool.table.rows[0].children == 0);
    release(lease);
    release(parent);
    EXPECT_ORDER(1);
    end();
}

KVP_TEST(an_expired_block_is_demoted_to_35_not_deleted) {
    begin(4);
    release(register_with(allocate(1), at_level(of(HASHES(1)), -1, 100)));
    release(FILL(2));
    release(FILL(3));
    KVP_EXPECT(pool.table.rows[0].level == KVP_TTL_LEVEL);
    now = 99;
    release(allocate(2));
    EXPECT_EVICTED(2);
    KVP_EXPECT(pool.table.rows[0].level == KVP_TTL_LEVEL);
    now = 100;
    release(allocate(2)); /* nothing is evicted, so nothing expires */
    KVP_EXPECT(pool.table.rows[0].level == KVP_TTL_LEVEL);
    release(allocate(3));
    EXPECT_EVICTED(3);
    KVP_EXPECT(pool.table.rows[0].level == KVP_DEFAULT_LEVEL && pool.expiries.count == 0 && is_known(1));
    end();
}

KVP_TEST(expired_blocks_join_the_newest_of_35_in_order_of_expiry_and_id) {
    begin(8);
    release(register_with(allocate(1), at_level(of(HASHES(1)), 50, 20)));
    release(register_with(allocate(1), at_level(of(HASHES(2)), 60, 10)));
    release(register_with(allocate(1), at_level(of(HASHES(3)), 70, 20)));
    release(register_with(allocate(1), at_level(of(HASHES(4)), 20, 5))); /* below 35 it stays where it is */
    release(FILL(5));
    now = 20;
    EXPECT_ORDER(4, 5, 2, 1, 3);
    end();
}

KVP_TEST(time_never_runs_backwards) {
    begin(4);
    release(register_with(allocate(1), at_level(of(HASHES(1)), 90, 50)));
    now = 60;
    release(allocate(0));
    now = 10;
    release(FILL(2));
    release(FILL(3));
    EXPECT_ORDER(2, 3, 1);
    KVP_EXPECT(pool.now == 60);
    end();
}

KVP_TEST(a_held_or_parked_block_that_expires_takes_its_new_level_when_it_is_released) {
    begin(4);
    kvp_lease *held = register_with(allocate(1), at_level(of(HASHES(1)), 90, 10));
    release(FILL(2));
    release(FILL(3));
    now = 10;
    release(allocate(2));
    EXPECT_EVICTED(2);
    release(held);
    EXPECT_ORDER(3, 1);
    end();
}

KVP_TEST(a_lease_is_given_back_once) {
    begin(4);
    kvp_lease *lease = allocate(2);
    KVP_EXPECT(kvp_pool_release(&pool, lease) == KVP_OK);
    KVP_EXPECT(kvp_pool_release(&pool, lease) == KVP_OK);
    expect_counts(4, 0, 0, 0);
    release(lease);
    end();
}

KVP_TEST(a_release_without_a_reference_is_counted_and_changes_no_block) {
    begin(4);
    kvp_lease *mutable = allocate(1), *filled = FILL(7);
    pool.table.rows[0].refs = pool.table.rows[1].refs = 0;
    KVP_EXPECT(kvp_pool_release(&pool, mutable) == KVP_CORRUPT);
    KVP_EXPECT(kvp_pool_release(&pool, filled) == KVP_CORRUPT);
    KVP_EXPECT(pool.stats.corruptions == 2);
    KVP_EXPECT(pool.table.rows[0].refs == 0 && pool.table.rows[1].refs == 0);
    expect_counts(2, 1, 1, 0);
    KVP_EXPECT(kvp_pool_check(&pool, scratch) != NULL);
    memset(scratch, 0, sizeof scratch);
    kvp_lease_unshare(mutable);
    kvp_lease_unshare(filled);
    kvp_pool_destroy(&pool);
}

KVP_TEST(part_of_a_lease_is_given_back_and_the_rest_later) {
    begin(8);
    kvp_lease *lease = allocate(5);
    kvp_segment odd = {lease, 3, -2, 2}; /* entries 3 and 1 */
    KVP_EXPECT(kvp_pool_release_segment(&pool, &odd) == KVP_OK);
    expect_sound();
    expect_counts(5, 3, 0, 0);
    kvp_segment all = {lease, 0, 1, 4}; /* two of them are gone */
    KVP_EXPECT(kvp_pool_release_segment(&pool, &all) == KVP_OK && lease->is_live);
    expect_counts(7, 1, 0, 0);
    kvp_segment last = {lease, 4, 1, 1};
    KVP_EXPECT(kvp_pool_release_segment(&pool, &last) == KVP_OK && !lease->is_live);
    expect_counts(8, 0, 0, 0);
    KVP_EXPECT(kvp_pool_release_segment(&pool, &last) == KVP_OK);
    release(lease);
    expect_counts(8, 0, 0, 0);
    lease = allocate(3);
    kvp_segment middle = {lease, 1, 1, 1};
    KVP_EXPECT(kvp_pool_release_segment(&pool, &middle) == KVP_OK);
    release(lease);
    expect_counts(8, 0, 0, 0);
    end();
}

KVP_TEST(a_share_is_a_hold_of_its_own) {
    begin(8);
    kvp_lease *filled = FILL(1, 2, 3), *half = kvp_lease_new(3, false);
    kvp_segment parts[] = {{filled, 2, -2, 2}, {filled, 1, 1, 1}, {NULL, 0, 1, 0}};
    KVP_EXPECT(kvp_pool_share(&pool, parts, 3, 5, half) == KVP_OK);
    KVP_EXPECT(half->ids[0] == 2 && half->ids[1] == 0 && half->ids[2] == 1 && half->held == 3 && half->since == 5);
    release(filled);
    expect_counts(5, 0, 3, 0);
    release(half);
    expect_counts(5, 0, 0, 3);
    end();
}

KVP_TEST(a_share_of_a_released_lease_is_stale_and_changes_nothing) {
    begin(8);
    kvp_lease *live = FILL(1), *dead = FILL(2), *lease = kvp_lease_new(2, false);
    KVP_EXPECT(kvp_pool_release(&pool, dead) == KVP_OK);
    snapshot before = take_snapshot();
    kvp_segment parts[] = {{live, 0, 1, 1}, {dead, 0, 1, 1}};
    KVP_EXPECT(kvp_pool_share(&pool, parts, 2, 5, lease) == KVP_STALE);
    expect_unchanged(&before);
    kvp_segment swapped[] = {parts[1], parts[0]};
    KVP_EXPECT(kvp_pool_share(&pool, swapped, 2, 5, lease) == KVP_STALE);
    expect_unchanged(&before);
    release(live);
    release(dead);
    release(lease);
    end();
}

KVP_TEST(mutable_leases_are_joined_and_their_old_ones_end) {
    begin(8);
    kvp_lease *one = allocate(2), *two = allocate(2), *joined = kvp_lease_new(3, true);
    uint32_t at;
    kvp_segment parts[] = {{two, 0, 1, 2}, {NULL, 0, 1, 0}, {one, 1, 1, 1}};
    KVP_EXPECT(kvp_pool_join(&pool, parts, 3, 0, joined, &at) == KVP_OK);
    expect_sound();
    KVP_EXPECT(joined->ids[0] == 2 && joined->ids[1] == 3 && joined->ids[2] == 1);
    KVP_EXPECT(!two->is_live && one->is_live && one->held == 1);
    release(two);
    release(one);
    expect_counts(5, 3, 0, 0);
    release(joined);
    end();
}

KVP_TEST(a_join_that_names_a_block_twice_changes_nothing) {
    begin(8);
    kvp_lease *one = allocate(2), *joined = kvp_lease_new(3, true);
    uint32_t at = 0;
    snapshot before = take_snapshot();
    kvp_segment parts[] = {{one, 0, 1, 2}, {one, 1, 1, 1}};
    KVP_EXPECT(kvp_pool_join(&pool, parts, 2, 0, joined, &at) == KVP_CONSUMED && at == 2);
    KVP_EXPECT(one->held == 2 && one->is_live && !joined->is_live);
    expect_unchanged(&before);
    release(one);
    release(joined);
    end();
}

KVP_TEST(a_weak_block_is_upgraded_until_it_is_another_or_has_no_identity) {
    begin(2);
    release(FILL(1));
    uint32_t generation = pool.table.rows[0].generation;
    kvp_lease *lease = kvp_lease_new(1, false);
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, generation, 1, 0, lease) == KVP_OK && lease->ids[0] == 0);
    expect_counts(1, 0, 1, 0);
    KVP_EXPECT(kvp_pool_release(&pool, lease) == KVP_OK);
    snapshot before = take_snapshot();
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, generation + 1, 1, 9, lease) == KVP_STALE);
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, generation, 2, 9, lease) == KVP_STALE);
    KVP_EXPECT(kvp_pool_upgrade(&pool, 1, 0, 0, 9, lease) == KVP_STALE);
    expect_unchanged(&before);
    kvp_lease *all = allocate(2); /* the block is evicted and belongs to somebody else */
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, generation, 1, 0, lease) == KVP_STALE);
    release(all);
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, generation + 1, 1, 0, lease) == KVP_STALE);
    release(lease);
    end();
}

/* After 2^32 allocations of one block. */
KVP_TEST(a_generation_that_begins_anew_is_another_all_the_same) {
    begin(1);
    pool.table.rows[0].generation = UINT32_MAX - 1;
    release(FILL(1));
    KVP_EXPECT(pool.table.rows[0].generation == UINT32_MAX);
    kvp_lease *weak = kvp_lease_new(1, false);
    release(allocate(1));
    KVP_EXPECT(pool.table.rows[0].generation == 0);
    release(FILL(1));
    KVP_EXPECT(pool.table.rows[0].generation == 1);
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, UINT32_MAX, 1, 0, weak) == KVP_STALE);
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, 0, 1, 0, weak) == KVP_STALE);
    expect_counts(0, 0, 0, 1);
    KVP_EXPECT(kvp_pool_upgrade(&pool, 0, 1, 1, 0, weak) == KVP_OK);
    KVP_EXPECT(kvp_pool_release(&pool, weak) == KVP_OK);
    release(weak);
    end();
}

KVP_TEST(a_share_of_nothing_holds_nothing) {
    begin(4);
    kvp_lease *held = FILL(1), *share = kvp_lease_new(0, false);
    kvp_segment none = {held, 0, 1, 0};
    KVP_EXPECT(kvp_pool_share(&pool, &none, 1, now, share) == KVP_OK && !share->is_live);
    KVP_EXPECT(kvp_pool_share(&pool, NULL, 0, now, share) == KVP_OK && !share->is_live && share->space == 0);
    kvp_lease_unshare(share);
    release(held);
    end();
}

/* However it came to that: what contradicts a hold is counted and left alone, the rest is given back. */
KVP_TEST(a_hold_that_the_rows_contradict_is_counted_as_corrupt) {
    enum { SCATTERED, CHAIN, MUTABLE, KINDS };
    for (int kind = 0; kind < KINDS; kind++)
        for (int is_unheld = 0; is_unheld < 2; is_unheld++) {
            kvp_lease *lease;
            begin(8);
            release(FILL(1));
            release(FILL(2));
            if (kind == SCATTERED) {
                lease = kvp_lease_new(2, false);
                kvp_pool_match_scattered(&pool, HASHES(1, 2), 2, now, lease);
            } else {
                lease = kind == CHAIN ? MATCH(1) : allocate(2);
            }
            kvp_block *row = &pool.table.rows[lease->ids[0]];
            if (is_unheld)
                row->refs = 0;
            else
                row->lineage = kind == MUTABLE ? KVP_ROOT : KVP_UNREGISTERED;
            kvp_block was = *row;
            KVP_EXPECT(kvp_pool_release(&pool, lease) == KVP_CORRUPT && pool.stats.corruptions == 1);
            KVP_EXPECT(memcmp(row, &was, sizeof was) == 0 && !lease->is_live);
            KVP_EXPECT(kind == CHAIN || pool.table.rows[lease->ids[1]].refs == 0);
            kvp_lease_unshare(lease);
            kvp_pool_destroy(&pool);
        }
}

int main(void) {
    KVP_RUN(a_new_pool_is_all_empty);
    KVP_RUN(blocks_of_a_handle_come_back_in_their_order);
    KVP_RUN(an_allocation_of_none_holds_nothing);
    KVP_RUN(an_allocation_of_too_many_changes_nothing);
    KVP_RUN(an_allocation_with_too_short_a_report_changes_nothing_and_can_be_made_again);
    KVP_RUN(empty_blocks_go_before_any_is_evicted);
    KVP_RUN(evicted_blocks_are_the_last_of_the_lease_in_the_order_of_their_hashes);
    KVP_RUN(the_generation_rises_with_each_allocation);
    KVP_RUN(the_least_recently_released_goes_first_whichever_handle_went_last);
    KVP_RUN(a_held_block_holds_its_ancestors);
    KVP_RUN(the_order_of_release_does_not_change_the_order_of_eviction_of_one_prefix);
    KVP_RUN(two_continuations_hold_their_common_prefix_until_both_go);
    KVP_RUN(lower_levels_go_first_and_35_is_the_default);
    KVP_RUN(a_block_with_children_is_parked_until_its_last_child_goes);
    KVP_RUN(a_parked_block_that_is_matched_and_released_is_the_newest);
    KVP_RUN(an_active_parent_loses_a_cached_child);
    KVP_RUN(an_expired_block_is_demoted_to_35_not_deleted);
    KVP_RUN(expired_blocks_join_the_newest_of_35_in_order_of_expiry_and_id);
    KVP_RUN(time_never_runs_backwards);
    KVP_RUN(a_held_or_parked_block_that_expires_takes_its_new_level_when_it_is_released);
    KVP_RUN(a_lease_is_given_back_once);
    KVP_RUN(a_release_without_a_reference_is_counted_and_changes_no_block);
    KVP_RUN(part_of_a_lease_is_given_back_and_the_rest_later);
    KVP_RUN(a_share_is_a_hold_of_its_own);
    KVP_RUN(a_share_of_a_released_lease_is_stale_and_changes_nothing);
    KVP_RUN(mutable_leases_are_joined_and_their_old_ones_end);
    KVP_RUN(a_join_that_names_a_block_twice_changes_nothing);
    KVP_RUN(a_weak_block_is_upgraded_until_it_is_another_or_has_no_identity);
    KVP_RUN(a_generation_that_begins_anew_is_another_all_the_same);
    KVP_RUN(a_share_of_nothing_holds_nothing);
    KVP_RUN(a_hold_that_the_rows_contradict_is_counted_as_corrupt);
    return 0;
}
