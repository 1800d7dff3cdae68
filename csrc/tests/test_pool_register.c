/* Register: duplicates, parents, retention, failures, events. */
#include "pool_fixture.h"

static int32_t parent_of(uint64_t hash) {
    return kvp_block_parent(&pool.table.rows[kvp_hash_index_find(&pool.index, hash)]);
}

static kvp_event last_event(void) {
    kvp_event event;
    uint64_t first;
    KVP_EXPECT(kvp_event_ring_read(&pool.events, pool.events.next - 1, &event, NULL, 1, &first) == 1);
    return event;
}

KVP_TEST(each_hash_is_the_child_of_the_one_before) {
    begin(8);
    kvp_lease *filled = FILL(1, 2, 3);
    KVP_EXPECT(filled->ids[0] == 0 && filled->ids[1] == 1 && filled->ids[2] == 2 && filled->held == 3);
    KVP_EXPECT(parent_of(1) == KVP_NO_BLOCK && parent_of(2) == 0 && parent_of(3) == 1);
    expect_counts(5, 0, 3, 0);
    release(filled);
    end();
}

KVP_TEST(part_of_a_lease_is_registered_and_the_rest_stays_mutable) {
    begin(8);
    kvp_lease *lease = allocate(4), *filled = kvp_lease_new(2, false);
    kvp_segment segment = {lease, 2, -1, 2}; /* entries 2 and 1 */
    kvp_registration registration = of(HASHES(1, 2));
    uint32_t at;
    registration.segments = &segment;
    registration.num_segments = 1;
    KVP_EXPECT(kvp_pool_register(&pool, &registration, 0, filled, &at) == KVP_OK);
    expect_sound();
    KVP_EXPECT(filled->ids[0] == 2 && filled->ids[1] == 1 && lease->held == 2 && lease->is_live);
    release(lease);
    expect_counts(6, 0, 2, 0);
    release(filled);
    end();
}

KVP_TEST(a_block_that_is_gone_or_named_twice_changes_nothing) {
    begin(8);
    kvp_lease *one = allocate(2), *two = allocate(2), *filled = kvp_lease_new(4, false);
    kvp_segment gone = {two, 1, 1, 1};
    KVP_EXPECT(kvp_pool_release_segment(&pool, &gone) == KVP_OK);
    uint32_t at = 9;
    kvp_segment parts[] = {{one, 0, 1, 2}, {NULL, 0, 1, 0}, {two, 0, 1, 2}};
    kvp_registration registration = of(HASHES(1, 2, 3, 4));
    registration.segments = parts;
    registration.num_segments = 3;
    snapshot before = take_snapshot();
    KVP_EXPECT(kvp_pool_register(&pool, &registration, 7, filled, &at) == KVP_CONSUMED && at == 3);
    parts[2] = (kvp_segment){one, 0, 1, 1};
    KVP_EXPECT(kvp_pool_register(&pool, &registration, 7, filled, &at) == KVP_CONSUMED && at == 2);
    KVP_EXPECT(one->held == 2 && two->held == 1 && !filled->is_live && !is_known(1));
    KVP_EXPECT(kvp_lease_gone(one)[0] == 0 && kvp_lease_gone(one)[1] == 0);
    expect_unchanged(&before);
    release(one);
    registration.segments = &(kvp_segment){one = allocate(1), 0, 1, 1};
    registration.num_segments = 1;
    KVP_EXPECT(kvp_pool_release(&pool, one) == KVP_OK);
    KVP_EXPECT(kvp_pool_register(&pool, &registration, 7, filled, &at) == KVP_CONSUMED && at == 0);
    release(one);
    release(two);
    release(filled);
    end();
}

KVP_TEST(a_registration_of_nothing_holds_nothing) {
    begin(2);
    kvp_lease *filled = register_with(allocate(0), of(NULL));
    KVP_EXPECT(!filled->is_live);
    release(filled);
    end();
}

KVP_TEST(the_parent_given_the_hint_left_or_none_is_the_first_ones_parent) {
    begin(16);
    release(FILL(1, 2));
    release(FILL_BELOW(2, 3));
    KVP_EXPECT(parent_of(3) == 1);
    release(FILL_BELOW(99, 4)); /* not registered: no parent */
    KVP_EXPECT(parent_of(4) == KVP_NO_BLOCK);
    release(MATCH(1, 2, 5));
    release(FILL(5));
    KVP_EXPECT(parent_of(5) == 1);
    release(MATCH(1, 2, 6));
    release(FILL_BELOW(1, 6)); /* what is said goes before what was seen */
    KVP_EXPECT(parent_of(6) == 0);
    release(MATCH(1, 2, 7, 8));
    release(FILL(8)); /* the hint is for 7 */
    KVP_EXPECT(parent_of(8) == KVP_NO_BLOCK);
    release(MATCH(9, 10));
    release(FILL(9)); /* a match without a hit tells nothing */
    KVP_EXPECT(parent_of(9) == KVP_NO_BLOCK);
    end();
}

KVP_TEST(each_block_can_be_given_its_own_parent) {
    begin(8);
    release(FILL(1));
    kvp_registration registration = of(HASHES(2, 3, 4, 5));
    registration.parents = HASHES(1, 3, 2, 77);
    release(register_with(allocate(4), registration));
    KVP_EXPECT(parent_of(2) == 0 && parent_of(3) == KVP_NO_BLOCK && parent_of(4) == 1 && parent_of(5) == KVP_NO_BLOCK);
    end();
}

KVP_TEST(a_duplicate_is_shared_and_its_block_given_back) {
    begin(8);
    kvp_lease *first = FILL(1, 2), *second = FILL(1, 2, 3);
    KVP_EXPECT(second->ids[0] == 0 && second->ids[1] == 1 && second->ids[2] == 4);
    KVP_EXPECT(parent_of(3) == 1);
    expect_counts(5, 0, 3, 0);
    KVP_EXPECT(pool.stats.registrations == 5 && pool.stats.duplicates == 2);
    kvp_lease *fresh = allocate(3); /* the two come back in their order */
    KVP_EXPECT(fresh->ids[0] == 2 && fresh->ids[1] == 3 && fresh->ids[2] == 5);
    release(first);
    expect_counts(2, 3, 3, 0);
    release(second);
    release(fresh);
    end();
}

KVP_TEST(a_hash_twice_in_one_call_is_its_own_duplicate) {
    begin(8);
    kvp_lease *filled = FILL(1, 1, 2);
    KVP_EXPECT(filled->ids[0] == 0 && filled->ids[1] == 0 && filled->ids[2] == 2 && pool.table.rows[0].refs == 3);
    release(filled);
    EXPECT_ORDER(2, 1);
    end();
}

KVP_TEST(a_duplicate_revives_a_cached_block) {
    begin(4);
    release(FILL(1));
    kvp_lease *again = FILL(1);
    KVP_EXPECT(again->ids[0] == 0);
    expect_counts(3, 0, 1, 0);
    release(again);
    end();
}

static void register_at(uint64_t hash, int level, int64_t expiry) {
    kvp_registration registration = of(&hash);
    registration.level = level;
    registration.expiry = expiry;
    release(register_with(allocate(1), registration));
}

static void expect_retention(uint64_t hash, uint32_t level, int64_t expiry) {
    int32_t id = kvp_hash_index_find(&pool.index, hash);
    KVP_EXPECT(pool.table.rows[id].level == level && kvp_expiry_heap_time(&pool.expiries, id) == expiry);
}

KVP_TEST(a_duplicates_retention_is_the_larger_pair) {
    begin(4);
    register_at(1, 50, 100);
    register_at(1, 50, 90);
    expect_retention(1, 50, 100);
    register_at(1, 50, 110);
    expect_retention(1, 50, 110);
    register_at(1, 40, KVP_NO_EXPIRY);
    expect_retention(1, 50, 110);
    register_at(1, 60, 5);
    expect_retention(1, 60, 5);
    register_at(1, 60, KVP_NO_EXPIRY);
    expect_retention(1, 60, KVP_NO_EXPIRY);
    register_at(1, 60, 7);
    expect_retention(1, 60, KVP_NO_EXPIRY);
    register_at(1, -1, KVP_NO_EXPIRY); /* nothing was asked for */
    expect_retention(1, 60, KVP_NO_EXPIRY);
    register_at(1, -1, 500); /* a ttl alone is level 100 */
    expect_retention(1, KVP_TTL_LEVEL, 500);
    register_at(2, 0, KVP_NO_EXPIRY);
    expect_retention(2, 0, KVP_NO_EXPIRY);
    register_at(3, -1, KVP_NO_EXPIRY);
    expect_retention(3, KVP_DEFAULT_LEVEL, KVP_NO_EXPIRY);
    end();
}

KVP_TEST(copies_are_kept_the_oldest_is_matched_and_the_next_follows_it) {
    begin_with(8, true);
    kvp_lease *a = FILL(1), *b = FILL(1), *c = FILL(1);
    KVP_EXPECT(a->ids[0] == 0 && b->ids[0] == 1 && c->ids[0] == 2);
    KVP_EXPECT(pool.events.next == 1);
    expect_counts(5, 0, 3, 0);
    kvp_lease *hit = MATCH(1);
    KVP_EXPECT(hit->ids[0] == 0);
    release(hit);
    release(a);
    kvp_lease *rest = allocate(6); /* evicts the oldest copy */
    KVP_EXPECT(num_evicted == 1 && rest->ids[5] == 0);
    KVP_EXPECT(pool.events.next == 1); /* the hash is still there */
    hit = MATCH(1);
    KVP_EXPECT(hit->held == 1 && hit->ids[0] == 1);
    release(hit);
    release(rest);
    release(c);
    release(b);
    EXPECT_ORDER(1, 1);
    KVP_EXPECT(!is_known(1) && pool.events.next == 2 && last_event().kind == KVP_EVENT_REMOVED);
    end();
}

KVP_TEST(a_copy_in_the_middle_can_go_first) {
    begin_with(3, true);
    kvp_lease *a = FILL(1), *b = FILL(1), *c = FILL(1);
    release(b);
    b = allocate(1);
    KVP_EXPECT(num_evicted == 1 && b->ids[0] == 1);
    kvp_lease *hit = MATCH(1);
    KVP_EXPECT(hit->ids[0] == 0);
    release(hit);
    release(a);
    a = allocate(1);
    hit = MATCH(1);
    KVP_EXPECT(hit->ids[0] == 2);
    release(hit);
    release(a);
    release(b);
    release(c);
    end();
}

KVP_TEST(children_hang_on_the_oldest_copy) {
    begin_with(8, true);
    kvp_lease *a = FILL(1), *b = FILL(1, 2);
    KVP_EXPECT(b->ids[0] == 1 && parent_of(2) == 0);
    kvp_lease *c = FILL_BELOW(1, 3);
    KVP_EXPECT(parent_of(3) == 0);
    release(a);
    release(b);
    expect_counts(4, 0, 2, 2); /* 3 holds the oldest copy of 1 */
    release(c);
    end();
}

KVP_TEST(a_parent_with_all_the_children_it_can_count_gets_no_more) {
    begin(8);
    kvp_lease *parent = FILL(1), *lease = allocate(1), *filled = kvp_lease_new(1, false);
    kvp_segment segment = {lease, 0, 1, 1};
    kvp_registration registration = below(HASHES(2), 1);
    uint32_t at;
    registration.segments = &segment;
    registration.num_segments = 1;
    pool.table.rows[0].children = KVP_MAX_CHILDREN & 0xFFFFFF;
    KVP_EXPECT(kvp_pool_register(&pool, &registration, 0, filled, &at) == KVP_OK);
    KVP_EXPECT(pool.table.rows[0].children == KVP_MAX_CHILDREN && pool.table.rows[0].refs == 1);
    pool.table.rows[0].children = 0;
    expect_sound();
    KVP_EXPECT(parent_of(2) == KVP_NO_BLOCK && !last_event().has_parent);
    release(lease);
    release(filled);
    release(parent);
    end();
}

KVP_TEST(stored_events_name_block_and_parent_in_order) {
    begin(8);
    release(FILL(1, 2));
    kvp_event events[4];
    uint64_t first;
    KVP_EXPECT(kvp_event_ring_read(&pool.events, 0, events, NULL, 4, &first) == 2);
    KVP_EXPECT(events[0].hash == 1 && events[0].id == 0 && events[0].kind == KVP_EVENT_STORED && !events[0].has_parent);
    KVP_EXPECT(events[1].hash == 2 && events[1].id == 1 && events[1].has_parent && events[1].parent == 1);
    release(allocate(7));
    kvp_event removed = last_event();
    KVP_EXPECT(removed.hash == 2 && removed.id == 1 && removed.kind == KVP_EVENT_REMOVED);
    KVP_EXPECT(removed.reason == KVP_REASON_CAPACITY);
    release(FILL(2, 1));
    KVP_EXPECT(pool.events.next == 4 && last_event().hash == 2); /* 1 was there */
    end();
}

/* More hashes of one home than the probe bound lets in: the pool rekeys within register and goes on. */
KVP_TEST(a_register_that_meets_the_probe_bound_rekeys_and_loses_nothing) {
    enum { CROWD = KVP_INDEX_CHUNK_SLOTS * KVP_INDEX_MAX_PROBES + 16 };
    kvp_pool_config config = {.num_blocks = CROWD, .secret = {1, 2}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    kvp_lease *lease = kvp_lease_new(CROWD, true), *filled = kvp_lease_new(CROWD, false);
    static uint64_t hashes[CROWD];
    uint8_t *large_scratch = calloc(CROWD, 5);
    uint32_t at;
    for (uint64_t h = 1, n = 0; n < CROWD; h++)
        if (kvp_hash_index_place(&pool.index, h).home == 0)
            hashes[n++] = h;
    KVP_EXPECT(kvp_pool_allocate(&pool, lease, 0, NULL, 0, &num_evicted) == KVP_OK);
    kvp_segment segment = {lease, 0, 1, CROWD};
    kvp_registration registration = of(hashes);
    registration.segments = &segment;
    registration.num_segments = 1;
    KVP_EXPECT(kvp_pool_register(&pool, &registration, 0, filled, &at) == KVP_OK);
    KVP_EXPECT(pool.index.rekeys == 1);
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, large_scratch));
    for (uint32_t i = 0; i < CROWD; i++)
        KVP_EXPECT(kvp_hash_index_find(&pool.index, hashes[i]) == filled->ids[i]);
    KVP_EXPECT(kvp_pool_release(&pool, filled) == KVP_OK);
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, large_scratch));
    free(large_scratch);
    kvp_lease_unshare(lease);
    kvp_lease_unshare(filled);
    kvp_pool_destroy(&pool);
}

int main(void) {
    KVP_RUN(each_hash_is_the_child_of_the_one_before);
    KVP_RUN(part_of_a_lease_is_registered_and_the_rest_stays_mutable);
    KVP_RUN(a_block_that_is_gone_or_named_twice_changes_nothing);
    KVP_RUN(a_registration_of_nothing_holds_nothing);
    KVP_RUN(the_parent_given_the_hint_left_or_none_is_the_first_ones_parent);
    KVP_RUN(each_block_can_be_given_its_own_parent);
    KVP_RUN(a_duplicate_is_shared_and_its_block_given_back);
    KVP_RUN(a_hash_twice_in_one_call_is_its_own_duplicate);
    KVP_RUN(a_duplicate_revives_a_cached_block);
    KVP_RUN(a_duplicates_retention_is_the_larger_pair);
    KVP_RUN(copies_are_kept_the_oldest_is_matched_and_the_next_follows_it);
    KVP_RUN(a_copy_in_the_middle_can_go_first);
    KVP_RUN(children_hang_on_the_oldest_copy);
    KVP_RUN(a_parent_with_all_the_children_it_can_count_gets_no_more);
    KVP_RUN(stored_events_name_block_and_parent_in_order);
    KVP_RUN(a_register_that_meets_the_probe_bound_rekeys_and_loses_nothing);
    return 0;
}
