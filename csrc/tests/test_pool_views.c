/* Blocks lent to views: held beside their owner, whatever becomes of that. */
#include "pool_fixture.h"

static kvp_lease *lend(kvp_lease *from, uint32_t first, uint32_t n) {
    kvp_segment part = {from, first, 1, n};
    kvp_lease *view = kvp_lease_new(n, false);
    KVP_EXPECT(kvp_pool_lend(&pool, &part, now, view) == KVP_OK);
    KVP_EXPECT(view->is_view && view->is_live && view->held == n);
    expect_sound();
    return view;
}

KVP_TEST(a_released_mutable_block_is_not_empty_before_its_view_goes) {
    begin(4);
    kvp_lease *blocks = allocate(2), *view = lend(blocks, 1, 1);
    release(blocks);
    expect_counts(3, 1, 0, 0);
    kvp_lease *rest = allocate(3); /* all but the one in view */
    for (uint32_t i = 0; i < 3; i++)
        KVP_EXPECT(rest->ids[i] != view->ids[0]);
    release(rest);
    release(view);
    expect_counts(4, 0, 0, 0);
    end();
}

KVP_TEST(the_owner_may_outlive_its_view) {
    begin(4);
    kvp_lease *blocks = allocate(2), *view = lend(blocks, 0, 2);
    release(view);
    expect_counts(2, 2, 0, 0);
    release(blocks);
    expect_counts(4, 0, 0, 0);
    end();
}

KVP_TEST(a_block_given_back_before_the_rest_stays_with_its_view) {
    begin(4);
    kvp_lease *blocks = allocate(3), *view = lend(blocks, 0, 1);
    kvp_segment first = {blocks, 0, 1, 2};
    KVP_EXPECT(kvp_pool_release_segment(&pool, &first) == KVP_OK);
    expect_sound();
    expect_counts(2, 2, 0, 0);
    release(view);
    expect_counts(3, 1, 0, 0);
    release(blocks);
    end();
}

KVP_TEST(a_cached_block_is_not_evicted_before_its_view_goes) {
    begin(2);
    kvp_lease *filled = FILL(11, 12), *view = lend(filled, 0, 2);
    release(filled);
    expect_counts(0, 0, 2, 0);
    kvp_lease *more = kvp_lease_new(1, true);
    KVP_EXPECT(kvp_pool_allocate(&pool, more, now, evicted, MAX_BLOCKS, &num_evicted) == KVP_NOT_ENOUGH);
    kvp_lease_unshare(more);
    release(view);
    expect_counts(0, 0, 0, 2);
    EXPECT_ORDER(12, 11);
    end();
}

KVP_TEST(a_view_of_the_first_block_alone_keeps_only_that) {
    begin(3);
    kvp_lease *filled = FILL(11, 12, 13), *view = lend(filled, 0, 1);
    release(filled);
    expect_counts(0, 0, 1, 2);
    release(allocate(2));
    EXPECT_EVICTED(13, 12);
    release(view);
    end();
}

KVP_TEST(a_block_registered_under_its_view_stays_held_as_registered) {
    begin(4);
    kvp_lease *blocks = allocate(2), *view = lend(blocks, 0, 2);
    kvp_lease *filled = register_with(blocks, of(HASHES(11, 12)));
    expect_counts(2, 0, 2, 0);
    release(filled);
    expect_counts(2, 0, 2, 0);
    release(view);
    expect_counts(2, 0, 0, 2);
    EXPECT_ORDER(12, 11);
    end();
}

KVP_TEST(a_duplicate_that_was_replaced_stays_with_its_view_without_identity) {
    begin(4);
    kvp_lease *first = FILL(11), *blocks = allocate(1), *view = lend(blocks, 0, 1);
    kvp_lease *filled = register_with(blocks, of(HASHES(11)));
    KVP_EXPECT(filled->ids[0] == first->ids[0] && view->ids[0] != first->ids[0]);
    expect_counts(2, 1, 1, 0);
    release(filled);
    release(first);
    release(view);
    expect_counts(3, 0, 0, 1);
    end();
}

KVP_TEST(a_copy_that_is_kept_is_held_by_its_view) {
    begin_with(4, true);
    kvp_lease *first = FILL(11), *blocks = allocate(1), *view = lend(blocks, 0, 1);
    kvp_lease *filled = register_with(blocks, of(HASHES(11)));
    KVP_EXPECT(filled->ids[0] == view->ids[0]);
    release(filled);
    release(first);
    expect_counts(2, 0, 1, 1);
    release(view);
    expect_counts(2, 0, 0, 2);
    end();
}

KVP_TEST(two_views_of_a_block_hold_it_twice) {
    begin(2);
    kvp_lease *blocks = allocate(1), *one = lend(blocks, 0, 1), *two = lend(blocks, 0, 1);
    release(blocks);
    release(one);
    expect_counts(1, 1, 0, 0);
    release(two);
    expect_counts(2, 0, 0, 0);
    end();
}

KVP_TEST(what_is_not_held_cannot_be_lent) {
    begin(4);
    kvp_lease *blocks = allocate(2), *view = kvp_lease_new(2, false);
    kvp_segment first = {blocks, 0, 1, 1}, both = {blocks, 0, 1, 2};
    KVP_EXPECT(kvp_pool_release_segment(&pool, &first) == KVP_OK);
    snapshot before = take_snapshot();
    KVP_EXPECT(kvp_pool_lend(&pool, &both, now, view) == KVP_STALE);
    expect_unchanged(&before);
    KVP_EXPECT(kvp_pool_release(&pool, blocks) == KVP_OK);
    before = take_snapshot();
    KVP_EXPECT(kvp_pool_lend(&pool, &both, now, view) == KVP_STALE);
    expect_unchanged(&before);
    kvp_lease_unshare(blocks);
    kvp_lease *sparse = kvp_lease_new(2, false);
    kvp_lease *filled = FILL(11);
    kvp_pool_match_scattered(&pool, HASHES(99, 11), 2, now, sparse);
    kvp_segment missed = {sparse, 0, 1, 2};
    KVP_EXPECT(kvp_pool_lend(&pool, &missed, now, view) == KVP_STALE);
    release(sparse);
    release(filled);
    kvp_lease_unshare(view);
    end();
}

KVP_TEST(a_view_whose_block_has_no_reference_is_named_corrupt) {
    begin(2);
    kvp_lease *blocks = allocate(1), *view = lend(blocks, 0, 1);
    uint32_t was = pool.table.rows[view->ids[0]].refs;
    pool.table.rows[view->ids[0]].refs = 0;
    KVP_EXPECT(kvp_pool_release(&pool, view) == KVP_CORRUPT && pool.stats.corruptions == 1);
    pool.table.rows[view->ids[0]].refs = was - 1;
    pool.stats.corruptions = 0;
    kvp_lease_unshare(view);
    release(blocks);
    end();
}

enum { ROUNDS = 400, SLOTS = 12 };

/* Owners and views come and go in any order; the pool's own check counts after each step. */
static void history(unsigned long long *state) {
    kvp_lease *leases[SLOTS] = {NULL};
    uint64_t next_hash = 100;
    begin_as(8, kvp_random(state) % 2 == 0, kvp_random(state) % 3 == 0 ? KVP_POLICY_S3FIFO : KVP_POLICY_LRU);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t slot = kvp_random(state) % SLOTS, from = kvp_random(state) % SLOTS;
        if (leases[slot]) {
            if (leases[slot]->is_mutable && kvp_random(state) % 2) {
                uint64_t hashes[3];
                for (uint32_t i = 0; i < 3; i++)
                    hashes[i] = kvp_random(state) % 3 ? next_hash++ : 100 + kvp_random(state) % 20;
                for (uint32_t i = 1; i < 3; i++)
                    for (uint32_t j = 0; j < i; j++)
                        hashes[i] += hashes[i] == hashes[j] ? 1000000 + next_hash++ : 0;
                leases[slot] = register_with(leases[slot], of(hashes));
            } else {
                release(leases[slot]);
                leases[slot] = NULL;
            }
        } else if (leases[from] && kvp_random(state) % 3) {
            uint32_t first = kvp_random(state) % leases[from]->count;
            leases[slot] = lend(leases[from], first, 1 + kvp_random(state) % (leases[from]->count - first));
        } else {
            uint32_t n = 1 + kvp_random(state) % 3;
            if (kvp_pool_available(&pool) >= (int32_t)n)
                leases[slot] = allocate(n);
        }
    }
    for (uint32_t slot = 0; slot < SLOTS; slot++)
        if (leases[slot])
            release(leases[slot]);
    KVP_EXPECT(kvp_pool_available(&pool) == 8 && pool.num_leases == 0);
    end();
}

KVP_TEST(owners_and_views_come_and_go_in_any_order) {
    kvp_for_seeds(60, history);
}

int main(void) {
    KVP_RUN(a_released_mutable_block_is_not_empty_before_its_view_goes);
    KVP_RUN(the_owner_may_outlive_its_view);
    KVP_RUN(a_block_given_back_before_the_rest_stays_with_its_view);
    KVP_RUN(a_cached_block_is_not_evicted_before_its_view_goes);
    KVP_RUN(a_view_of_the_first_block_alone_keeps_only_that);
    KVP_RUN(a_block_registered_under_its_view_stays_held_as_registered);
    KVP_RUN(a_duplicate_that_was_replaced_stays_with_its_view_without_identity);
    KVP_RUN(a_copy_that_is_kept_is_held_by_its_view);
    KVP_RUN(two_views_of_a_block_hold_it_twice);
    KVP_RUN(what_is_not_held_cannot_be_lent);
    KVP_RUN(a_view_whose_block_has_no_reference_is_named_corrupt);
    KVP_RUN(owners_and_views_come_and_go_in_any_order);
    return 0;
}
