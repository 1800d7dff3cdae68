/* What a pool saves, another one becomes: kvp_pool_save and kvp_pool_restore. */
#include "restore_fixture.h"

static void begin_again(void) {
    bool keeps_duplicates = pool.copies != NULL;
    end();
    begin_with(16, keeps_duplicates);
    num_known = num_spaces = 1;
    elapsed = 0;
}

KVP_TEST(an_empty_pool_is_saved_and_restored) {
    begin(16);
    save();
    KVP_EXPECT(told.columns.count == 0);
    begin_again();
    KVP_EXPECT(restore() == KVP_OK);
    expect_counts(16, 0, 0, 0);
    KVP_EXPECT(pool.events.next == 0);
    end();
}

KVP_TEST(blocks_go_in_the_same_order_afterwards) {
    begin(16);
    release(FILL(1, 2, 3));
    release(FILL(4));
    release(MATCH(1, 2));
    release(FILL_BELOW(2, 5));
    save();
    begin_again();
    KVP_EXPECT(restore() == KVP_OK);
    expect_counts(11, 0, 0, 5);
    kvp_lease *found = MATCH(1, 2, 3);
    KVP_EXPECT(found->count == 3);
    release(found);
    end();
    begin(16);
    KVP_EXPECT(restore() == KVP_OK);
    EXPECT_ORDER(3, 4, 5, 2, 1);
    end();
}

KVP_TEST(held_blocks_are_saved_as_if_dropped_now_the_oldest_handle_first) {
    begin(16);
    kvp_lease *first = FILL(1, 2), *second = FILL(3), *third = MATCH(1), *mutable = allocate(2);
    release(FILL(4));
    save();
    KVP_EXPECT(told.columns.count == 4);
    release(first);
    release(second);
    release(third);
    release(mutable);
    EXPECT_ORDER(4, 2, 3, 1);
    begin_again();
    KVP_EXPECT(restore() == KVP_OK);
    EXPECT_ORDER(4, 2, 3, 1);
    end();
}

static kvp_lease *lend(kvp_lease *from) {
    kvp_segment part = {from, 0, 1, from->count};
    kvp_lease *view = kvp_lease_new(from->count, false);
    KVP_EXPECT(kvp_pool_lend(&pool, &part, now, view) == KVP_OK);
    return view;
}

/* A tensor still looks at a block that its owner gave back, at one that he has, and at one that was registered since. */
KVP_TEST(views_of_blocks_without_identity_are_not_saved) {
    begin(8);
    kvp_lease *left = allocate(1), *owned = allocate(1), *fresh = allocate(1);
    kvp_lease *views[] = {lend(left), lend(owned), lend(fresh)};
    release(left);
    kvp_lease *filled = register_with(fresh, of(HASHES(11))), *child = FILL_BELOW(11, 12, 13);
    save();
    KVP_EXPECT(told.columns.count == 3);
    KVP_EXPECT(told.hashes[0] == 13 && told.hashes[1] == 12 && told.hashes[2] == 11);
    for (int i = 0; i < 3; i++)
        release(views[i]);
    release(owned);
    release(filled);
    release(child);
    end();
}

KVP_TEST(a_block_that_is_set_aside_stays_so) {
    begin(16);
    release(FILL(1, 2));
    uint64_t low[] = {1};
    KVP_EXPECT(kvp_pool_retain(&pool, low, 1, 0, KVP_NO_EXPIRY, now) == 1);
    kvp_identity gone;
    KVP_EXPECT(kvp_pool_evict(&pool, 1, 0, KVP_REASON_AHEAD, now, &gone) == 0); /* 1 is looked at, and has a child */
    release(FILL(3));
    save();
    KVP_EXPECT(told.columns.count == 3 && told.is_parked[2] && told.hashes[2] == 1);
    begin_again();
    KVP_EXPECT(restore() == KVP_OK);
    EXPECT_ORDER(2, 1, 3);
    end();
}

KVP_TEST(levels_and_the_rest_of_their_time_are_kept) {
    begin(16);
    now = 1000;
    kvp_registration registration = of(HASHES(1));
    registration.expiry = 1500;
    release(register_with(allocate(1), registration));
    registration = of(HASHES(2));
    registration.expiry = 1100;
    registration.level = 90;
    release(register_with(allocate(1), registration));
    registration = of(HASHES(3));
    registration.level = 10;
    release(register_with(allocate(1), registration));
    registration.hashes = HASHES(4);
    registration.expiry = KVP_NO_EXPIRY - 1;
    release(register_with(allocate(1), registration));
    now = 1200;
    save();
    begin_again();
    now = 50;
    elapsed = 299;
    KVP_EXPECT(restore() == KVP_OK);
    int32_t id = kvp_hash_index_find(&pool.index, 1);
    KVP_EXPECT(pool.table.rows[id].level == KVP_TTL_LEVEL && kvp_expiry_heap_time(&pool.expiries, id) == 51);
    id = kvp_hash_index_find(&pool.index, 2);
    KVP_EXPECT(pool.table.rows[id].level == 90 && kvp_expiry_heap_time(&pool.expiries, id) == 50 - 399);
    id = kvp_hash_index_find(&pool.index, 3);
    KVP_EXPECT(pool.table.rows[id].level == 10 && kvp_expiry_heap_time(&pool.expiries, id) == KVP_NO_EXPIRY);
    id = kvp_hash_index_find(&pool.index, 4);
    KVP_EXPECT(kvp_expiry_heap_time(&pool.expiries, id) == KVP_NO_EXPIRY - 1 - 1200 - 299 + 50);
    EXPECT_ORDER(3, 4, 2, 1); /* 2 is over, and goes to the default level before any block goes */
    end();
}

KVP_TEST(times_at_the_ends_of_their_range_stay_in_it) {
    begin(16);
    now = INT64_MIN / 2 - 5;
    pool.now = now;
    kvp_registration registration = of(HASHES(1));
    registration.expiry = KVP_NO_EXPIRY - 1;
    release(register_with(allocate(1), registration));
    registration = of(HASHES(2));
    registration.expiry = INT64_MIN;
    release(register_with(allocate(1), registration));
    save();
    KVP_EXPECT(told.lifetimes[0] == KVP_NO_EXPIRY - 1 && told.lifetimes[1] == INT64_MIN / 2 + 5);
    begin_again();
    now = INT64_MAX - 1;
    elapsed = INT64_MAX;
    told.lifetimes[1] = INT64_MIN + 1;
    KVP_EXPECT(restore() == KVP_OK);
    KVP_EXPECT(kvp_expiry_heap_time(&pool.expiries, told.ids[0]) == INT64_MAX - 2);
    KVP_EXPECT(kvp_expiry_heap_time(&pool.expiries, told.ids[1]) == -2);
    begin_again();
    now = INT64_MAX - 1;
    told.lifetimes[1] = 5;
    KVP_EXPECT(restore() == KVP_OK);
    KVP_EXPECT(kvp_expiry_heap_time(&pool.expiries, told.ids[0]) == KVP_NO_EXPIRY - 1);
    KVP_EXPECT(kvp_expiry_heap_time(&pool.expiries, told.ids[1]) == KVP_NO_EXPIRY - 1);
    begin_again();
    now = pool.now = INT64_MIN + 10;
    elapsed = 1000;
    KVP_EXPECT(restore() == KVP_OK);
    KVP_EXPECT(kvp_expiry_heap_time(&pool.expiries, told.ids[1]) == INT64_MIN);
    end();
}

KVP_TEST(copies_of_a_hash_stay_in_their_order) {
    begin_with(16, true);
    kvp_lease *first = FILL(1, 2), *second = FILL(1), *third = FILL(1);
    int32_t oldest = first->ids[0], middle = second->ids[0], newest = third->ids[0];
    release(third);
    release(second);
    release(first);
    save();
    begin_again();
    KVP_EXPECT(restore() == KVP_OK);
    KVP_EXPECT(kvp_hash_index_find(&pool.index, 1) == oldest);
    KVP_EXPECT(pool.copies[oldest].newer == middle && pool.copies[middle].newer == newest);
    KVP_EXPECT(pool.events.next == 2);
    EXPECT_ORDER(1, 1, 2, 1);
    end();
}

KVP_TEST(what_was_spared_is_the_oldest_of_its_own_level) {
    begin(4);
    release(FILL(1));
    release(FILL(2));
    int32_t ids[4];
    uint32_t length = 1;
    kvp_pool_protect(&pool, HASHES(1), &length, 1, ids);
    kvp_identity gone;
    KVP_EXPECT(kvp_pool_evict(&pool, 1, KVP_MAX_PRIORITY, KVP_REASON_AHEAD, now, &gone) == 1 && gone.hash == 2);
    release(FILL(3));
    save();
    KVP_EXPECT(told.hashes[0] == 1 && told.levels[0] == KVP_DEFAULT_LEVEL);
    end();
    begin(4);
    KVP_EXPECT(restore() == KVP_OK);
    EXPECT_ORDER(1, 3);
    end();
}

KVP_TEST(a_pool_with_blocks_is_left_as_it_is) {
    begin(16);
    release(FILL(1, 2));
    save();
    snapshot before = take_snapshot();
    KVP_EXPECT(restore() == KVP_IN_USE);
    expect_unchanged(&before);
    kvp_lease *all = allocate(16);
    before = take_snapshot();
    KVP_EXPECT(restore() == KVP_IN_USE);
    expect_unchanged(&before);
    release(all);
    kvp_lease *active = FILL(9);
    KVP_EXPECT(restore() == KVP_IN_USE);
    release(active);
    KVP_EXPECT(pool.num_cached == 1 && restore() == KVP_IN_USE);
    release(allocate(16));
    kvp_lease *one = allocate(1);
    KVP_EXPECT(restore() == KVP_IN_USE);
    release(one);
    KVP_EXPECT(restore() == KVP_OK);
    end();
}

KVP_TEST(columns_without_room_are_not_written) {
    begin(16);
    release(FILL(1, 2, 3));
    saved_columns few;
    memset(&few, 0x55, sizeof few);
    KVP_EXPECT(save_into(&few, 2) == 3 && few.columns.count == 0 && few.hashes[0] == UINT64_C(0x5555555555555555));
    end();
}

KVP_TEST(events_begin_anew_and_tell_parents_first) {
    begin(16);
    release(FILL(1, 2, 3));
    save();
    kvp_identity gone[3];
    uint32_t count;
    KVP_EXPECT(kvp_pool_reset(&pool, gone, 3, &count) == KVP_OK && pool.events.next == 4);
    uint32_t generation = pool.table.rows[told.ids[0]].generation;
    KVP_EXPECT(restore() == KVP_OK);
    KVP_EXPECT(pool.table.rows[told.ids[0]].generation == generation + 1);
    kvp_event events[8];
    uint64_t first;
    KVP_EXPECT(kvp_event_ring_read(&pool.events, 4, events, NULL, 8, &first) == 4);
    KVP_EXPECT(events[0].kind == KVP_EVENT_CLEARED);
    for (uint32_t i = 1; i < 4; i++) {
        KVP_EXPECT(events[i].kind == KVP_EVENT_STORED && events[i].hash == i);
        KVP_EXPECT(events[i].has_parent == (i > 1) && events[i].parent == i - 1);
    }
    end();
}

KVP_TEST(tokens_are_restored_where_they_are_kept) {
    begin_new(true, KVP_POLICY_LRU, 0, false);
    const uint32_t known[] = {5, 6}, other[] = {7, 8};
    const uint32_t *each[] = {known, NULL}, *again[] = {other};
    kvp_registration registration = of(HASHES(1, 2));
    registration.tokens = each;
    release(register_with(allocate(2), registration));
    registration = of(HASHES(2));
    registration.tokens = again;
    release(register_with(allocate(1), registration));
    save();
    end();
    begin_new(true, KVP_POLICY_LRU, 0, false);
    KVP_EXPECT(restore() == KVP_OK);
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t *tokens = kvp_block_tokens_get(&pool.tokens, told.ids[i]);
        bool is_copy = told.elders[i] != KVP_NO_BLOCK;
        KVP_EXPECT((tokens == NULL) == (told.hashes[i] == 2 && !is_copy));
        KVP_EXPECT(!tokens || (tokens[0] == (is_copy ? 7 : 5) && tokens[1] == (is_copy ? 8 : 6)));
    }
    end();
    begin_new(true, KVP_POLICY_LRU, 0, false);
    told.columns.tokens = NULL; /* from a pool that kept none */
    told.columns.has_tokens = NULL;
    KVP_EXPECT(restore() == KVP_OK && !kvp_block_tokens_get(&pool.tokens, told.ids[0]));
    end();
}

KVP_TEST(namespaces_are_made_or_the_pool_is_left_as_it_is) {
    begin_new(false, KVP_POLICY_LRU, SPACES - 1, false);
    KVP_EXPECT(kvp_pool_set_quota(&pool, 1, 4, 20, now) == KVP_OK);
    kvp_lease *mine = kvp_lease_new(3, true);
    mine->space = 1;
    KVP_EXPECT(kvp_pool_allocate(&pool, mine, now, evicted, MAX_BLOCKS, &num_evicted) == KVP_OK);
    release(register_with(mine, of(HASHES(11, 12, 13))));
    release(FILL(1, 2));
    save();
    end();

    begin_new(false, KVP_POLICY_LRU, SPACES - 1, false);
    quotas[1] = (kvp_quota){.floor = 4, .cap = 20};
    quotas[2] = (kvp_quota){.floor = 29, .cap = 32};
    num_spaces = 3;
    snapshot before = take_snapshot();
    kvp_namespaces spaces = *pool.namespaces;
    KVP_EXPECT(restore() == KVP_NOT_ENOUGH);
    KVP_EXPECT(memcmp(&spaces, pool.namespaces, sizeof spaces) == 0);
    num_known = 2;
    KVP_EXPECT(restore() == KVP_RETRY);
    num_known = 1;
    expect_unchanged(&before);
    quotas[2].floor = 1;
    quotas[0].cap = 30;
    KVP_EXPECT(restore() == KVP_OK);
    KVP_EXPECT(pool.namespaces->count == 3 && pool.namespaces->promised == 5);
    KVP_EXPECT(pool.namespaces->quotas[0].cap == 30 && pool.namespaces->quotas[0].cached == 2);
    KVP_EXPECT(pool.namespaces->quotas[1].cap == 20 && pool.namespaces->quotas[1].cached == 3);
    kvp_identity gone[5];
    KVP_EXPECT(kvp_pool_evict(&pool, 5, KVP_MAX_PRIORITY, KVP_REASON_AHEAD, now, gone) == 2); /* 3 are within a floor */
    KVP_EXPECT(gone[0].hash == 2 && gone[1].hash == 1);
    end();

    begin_new(false, KVP_POLICY_LRU, 1, false);
    KVP_EXPECT(kvp_pool_set_quota(&pool, 0, 2, 31, now) == KVP_OK); /* which it keeps */
    num_spaces = 3;
    KVP_EXPECT(restore() == KVP_FULL);
    num_spaces = 2;
    KVP_EXPECT(restore() == KVP_OK && pool.namespaces->quotas[0].cap == 31);
    end();
    begin(32);
    KVP_EXPECT(restore() == KVP_FULL);
    end();
}

KVP_TEST(what_is_beyond_the_cap_of_its_namespace_goes_at_once) {
    begin_new(false, KVP_POLICY_LRU, 1, false);
    release(FILL(1, 2, 3));
    release(FILL(4));
    save();
    end();
    begin_new(false, KVP_POLICY_LRU, 1, false);
    KVP_EXPECT(kvp_pool_set_quota(&pool, 0, 0, 2, now) == KVP_OK);
    KVP_EXPECT(restore() == KVP_OK);
    expect_counts(30, 0, 0, 2);
    KVP_EXPECT(is_known(1) && is_known(4) && pool.events.next == 6 && pool.stats.evictions_for_pressure == 2);
    end();
}

/* More hashes of one home than the probe bound lets in. */
KVP_TEST(an_index_that_meets_the_probe_bound_is_restored_by_rekeying) {
    enum { CROWD = KVP_INDEX_CHUNK_SLOTS * KVP_INDEX_MAX_PROBES + 16 };
    static uint64_t hashes[CROWD], work[3 * CROWD];
    static int64_t lifetimes[CROWD];
    static int32_t ids[CROWD], parents[CROWD];
    static uint8_t levels[CROWD], spaces[CROWD], is_parked[CROWD], checked[5 * CROWD];
    kvp_pool_config config = {.num_blocks = CROWD, .secret = {1, 2}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    int32_t n = 0;
    for (uint64_t hash = 1; n < CROWD; hash++) {
        if (kvp_hash_index_place(&pool.index, hash).home != 0)
            continue;
        hashes[n] = hash;
        lifetimes[n] = KVP_NO_EXPIRY;
        ids[n] = n;
        levels[n] = KVP_DEFAULT_LEVEL;
        parents[n++] = KVP_NO_BLOCK;
    }
    kvp_index_columns columns = {.count = CROWD,
                                 .hashes = hashes,
                                 .lifetimes = lifetimes,
                                 .ids = ids,
                                 .parents = parents,
                                 .levels = levels,
                                 .spaces = spaces,
                                 .is_parked = is_parked};
    kvp_restoration restoration = {.columns = &columns, .num_known = 1, .num_spaces = 1};
    KVP_EXPECT(kvp_pool_restore(&pool, &restoration, 0, work) == KVP_OK && pool.index.rekeys > 0);
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, checked));
    for (int32_t i = 0; i < CROWD; i++)
        KVP_EXPECT(kvp_hash_index_find(&pool.index, hashes[i]) == i);
    kvp_pool_destroy(&pool);
}

int main(void) {
    KVP_RUN(an_empty_pool_is_saved_and_restored);
    KVP_RUN(blocks_go_in_the_same_order_afterwards);
    KVP_RUN(held_blocks_are_saved_as_if_dropped_now_the_oldest_handle_first);
    KVP_RUN(views_of_blocks_without_identity_are_not_saved);
    KVP_RUN(a_block_that_is_set_aside_stays_so);
    KVP_RUN(levels_and_the_rest_of_their_time_are_kept);
    KVP_RUN(times_at_the_ends_of_their_range_stay_in_it);
    KVP_RUN(copies_of_a_hash_stay_in_their_order);
    KVP_RUN(what_was_spared_is_the_oldest_of_its_own_level);
    KVP_RUN(a_pool_with_blocks_is_left_as_it_is);
    KVP_RUN(columns_without_room_are_not_written);
    KVP_RUN(events_begin_anew_and_tell_parents_first);
    KVP_RUN(tokens_are_restored_where_they_are_kept);
    KVP_RUN(namespaces_are_made_or_the_pool_is_left_as_it_is);
    KVP_RUN(what_is_beyond_the_cap_of_its_namespace_goes_at_once);
    KVP_RUN(an_index_that_meets_the_probe_bound_is_restored_by_rekeying);
    return 0;
}
