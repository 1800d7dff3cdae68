/* One pool, several tenants: what each of them may hold, find and evict, by floor and cap. */
#include "pool_fixture.h"

enum { ONE = 1, TWO = 2 };

static void begin_spaces(int32_t num_blocks, kvp_policy_kind policy) {
    kvp_pool_config config = {.num_blocks = num_blocks,
                              .max_namespaces = 2,
                              .event_capacity = 1024,
                              .policy = policy,
                              .ghost_factor = 2,
                              .secret = {0x0123456789ABCDEF, 11}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    now = 0;
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, num_blocks, now) == KVP_OK);
    KVP_EXPECT(kvp_pool_set_quota(&pool, TWO, 0, num_blocks, now) == KVP_OK);
    expect_sound();
}

static const kvp_quota *quota_of(int32_t space) {
    return &pool.namespaces->quotas[space];
}

static void expect_quota(int32_t space, int32_t held, int32_t cached) {
    KVP_EXPECT(quota_of(space)->held == held && quota_of(space)->cached == cached);
}

static kvp_lease *new_lease(int32_t space, uint32_t n, bool is_mutable) {
    kvp_lease *lease = kvp_lease_new(n, is_mutable);
    lease->space = (uint8_t)space;
    return lease;
}

/* NULL when the namespace has no room. */
static kvp_lease *take(int32_t space, uint32_t n) {
    kvp_lease *lease = new_lease(space, n, true);
    kvp_status status = kvp_pool_allocate(&pool, lease, now, evicted, MAX_BLOCKS, &num_evicted);
    expect_sound();
    KVP_EXPECT(status == KVP_OK || status == KVP_NOT_ENOUGH);
    if (status == KVP_OK)
        return lease;
    kvp_lease_unshare(lease);
    return NULL;
}

static kvp_lease *fill_n(int32_t space, const uint64_t *hashes, uint32_t n) {
    kvp_lease *fresh = take(space, n);
    KVP_EXPECT(fresh != NULL);
    return register_with(fresh, of(hashes));
}

#define FILL_IN(space, ...) fill_n(space, HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

static kvp_lease *match_in_n(int32_t space, const uint64_t *hashes, uint32_t n) {
    kvp_lease *lease = new_lease(space, n, false);
    kvp_pool_match(&pool, hashes, n, now, lease);
    expect_sound();
    return lease;
}

#define MATCH_IN(space, ...) match_in_n(space, HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

static kvp_lease *scan_n(int32_t space, const uint64_t *hashes, uint32_t n) {
    kvp_lease *lease = new_lease(space, n, false);
    kvp_pool_match_scattered(&pool, hashes, n, now, lease);
    expect_sound();
    return lease;
}

#define SCAN(space, ...) scan_n(space, HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

static void expect_nothing(kvp_lease *lease) {
    KVP_EXPECT(lease->held == 0 && !lease->is_live);
    kvp_lease_unshare(lease);
}

KVP_TEST(what_a_namespace_holds_and_has_cached_is_counted) {
    begin_spaces(8, KVP_POLICY_LRU);
    kvp_lease *fresh = take(ONE, 2), *held = FILL_IN(TWO, 1, 2, 3);
    expect_quota(ONE, 2, 0);
    expect_quota(TWO, 3, 0);
    release(held);
    expect_quota(TWO, 0, 3);
    held = MATCH_IN(TWO, 1, 2);
    KVP_EXPECT(held->count == 2);
    expect_quota(TWO, 2, 1);
    release(held);
    release(fresh);
    expect_quota(ONE, 0, 0);
    expect_quota(0, 0, 0);
    kvp_identity gone[8];
    uint8_t outcomes[1];
    uint32_t count;
    KVP_EXPECT(kvp_pool_reset_blocks(&pool, HASHES(2), 1, outcomes, gone, 8, &count) == KVP_OK && count == 2);
    expect_quota(TWO, 0, 1);
    KVP_EXPECT(kvp_pool_reset(&pool, gone, 8, &count) == KVP_OK && count == 1);
    expect_quota(TWO, 0, 0);
    end();
}

KVP_TEST(nobody_evicts_what_another_has_within_its_floor) {
    begin_spaces(8, KVP_POLICY_LRU);
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 3, 8, now) == KVP_OK);
    release(FILL_IN(ONE, 1, 2, 3, 4));
    release(FILL_IN(TWO, 5, 6));
    KVP_EXPECT(take(TWO, 6) == NULL);
    kvp_lease *fresh = take(TWO, 5);
    EXPECT_EVICTED(6, 5, 4); /* the one furthest beyond its floor, held and cached, goes first */
    expect_quota(ONE, 0, 3);
    KVP_EXPECT(take(TWO, 1) == NULL && take(0, 1) == NULL);
    release(fresh);
    kvp_lease *own = take(ONE, 8);
    EXPECT_EVICTED(3, 2, 1);
    release(own);
    end();
}

KVP_TEST(a_lower_cap_evicts_what_is_cached_beyond_it) {
    begin_spaces(8, KVP_POLICY_LRU);
    kvp_lease *held = FILL_IN(ONE, 1, 2);
    release(FILL_IN(ONE, 3, 4, 5));
    release(FILL_IN(TWO, 6));
    now = 50;
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, 4, now) == KVP_OK && pool.now == 50);
    expect_sound();
    expect_quota(ONE, 2, 2);
    KVP_EXPECT(!is_known(5) && is_known(4) && is_known(6));
    KVP_EXPECT(pool.stats.evictions_ahead == 1 && pool.stats.evictions_for_pressure == 1);
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, 1, now) == KVP_OK);
    expect_quota(ONE, 2, 0);
    KVP_EXPECT(kvp_pool_set_quota(&pool, TWO, 8, 8, now) == KVP_NOT_ENOUGH && quota_of(TWO)->floor == 0);
    expect_sound();
    release(held);
    end();
}

/* A match holds as much of the prefix as there is room for, a scan what it comes to first. */
KVP_TEST(what_is_found_is_held_as_far_as_the_cap_goes) {
    begin_spaces(12, KVP_POLICY_LRU);
    release(FILL_IN(ONE, 1, 2, 3, 4));
    release(FILL_IN(ONE, 5));
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, 5, now) == KVP_OK);
    kvp_lease *fresh = take(ONE, 1); /* which evicts the oldest */
    EXPECT_EVICTED(4);
    kvp_lease *first = MATCH_IN(ONE, 1, 2, 3);
    KVP_EXPECT(first->count == 3);
    expect_quota(ONE, 4, 1);
    kvp_lease *again = MATCH_IN(ONE, 1, 2, 3); /* held already: costs nothing */
    KVP_EXPECT(again->count == 3);
    release(again);
    release(first);
    kvp_lease *more = take(ONE, 1);
    EXPECT_EVICTED(5);
    expect_quota(ONE, 2, 3);
    kvp_lease *scanned = SCAN(ONE, 2, 99, 1, 3); /* 2 holds 1; with 3 the room of three is full */
    KVP_EXPECT(scanned->held == 3 && scanned->ids[1] == KVP_NO_BLOCK);
    expect_quota(ONE, 5, 0);
    release(scanned);
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, 4, now) == KVP_OK);
    expect_quota(ONE, 2, 2);
    KVP_EXPECT(!is_known(3));
    release(more);
    release(fresh);
    end();
}

KVP_TEST(a_floor_of_others_bounds_what_is_held_as_a_cap_does) {
    begin_spaces(6, KVP_POLICY_LRU);
    release(FILL_IN(ONE, 1, 2, 3));
    release(FILL_IN(ONE, 4));
    kvp_lease *fresh = take(ONE, 2);
    KVP_EXPECT(kvp_pool_set_quota(&pool, TWO, 2, 6, now) == KVP_OK);
    kvp_lease *prefix = MATCH_IN(ONE, 1, 2, 3);
    KVP_EXPECT(prefix->count == 2);
    expect_nothing(MATCH_IN(ONE, 4));
    release(prefix);
    kvp_lease *scanned = SCAN(ONE, 3, 4, 2, 1); /* 3 would hold three blocks: left out; 4 and then only 1 fit */
    KVP_EXPECT(scanned->ids[0] == KVP_NO_BLOCK && scanned->ids[1] != KVP_NO_BLOCK);
    KVP_EXPECT(scanned->ids[2] == KVP_NO_BLOCK && scanned->ids[3] != KVP_NO_BLOCK && scanned->held == 2);
    expect_quota(ONE, 4, 2);
    release(scanned);
    expect_nothing(SCAN(ONE, 99));
    kvp_lease *pin = new_lease(ONE, 3, false);
    int32_t wanted;
    KVP_EXPECT(kvp_pool_pin(&pool, HASHES(3, 2, 4), 3, 6, now, pin, &wanted) == KVP_OK && wanted == 2);
    expect_sound();
    KVP_EXPECT(pin->held == 1 && pin->ids[0] == KVP_NO_BLOCK && pin->ids[2] == KVP_NO_BLOCK);
    release(pin);
    release(fresh);
    end();
}

KVP_TEST(evicting_ahead_takes_from_who_is_furthest_beyond_its_floor) {
    kvp_identity gone[8];
    begin_spaces(8, KVP_POLICY_FIFO);
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 2, 8, now) == KVP_OK);
    release(FILL_IN(ONE, 1, 2, 3));
    release(FILL_IN(TWO, 4));
    release(FILL_IN(TWO, 5));
    KVP_EXPECT(kvp_pool_evict(&pool, 8, 100, KVP_REASON_PRESSURE, now, gone) == 3);
    expect_sound();
    KVP_EXPECT(gone[0].hash == 4 && gone[1].hash == 3 && gone[2].hash == 5); /* of equals, the first namespace */
    expect_quota(ONE, 0, 2);
    end();
}

KVP_TEST(who_has_nothing_that_may_go_is_passed_over) {
    kvp_identity gone[8];
    begin_spaces(12, KVP_POLICY_LRU);
    release(FILL_IN(ONE, 1, 2, 3, 4));
    release(FILL_IN(TWO, 5, 6, 7));
    release(FILL_IN(0, 8));
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(1, 2, 3, 4), 4, 80, KVP_NO_EXPIRY, now) == 4);
    KVP_EXPECT(kvp_pool_evict(&pool, 12, KVP_DEFAULT_LEVEL, KVP_REASON_PRESSURE, now, gone) == 4);
    expect_sound();
    expect_quota(ONE, 0, 4);
    expect_quota(TWO, 0, 0);
    expect_quota(0, 0, 0);
    end();
}

KVP_TEST(a_cap_that_evicts_nothing_lets_nothing_expire) {
    begin_spaces(8, KVP_POLICY_LRU);
    release(FILL_IN(ONE, 1, 2));
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(2), 1, 80, 5, now) == 1);
    now = 5;
    int32_t id = kvp_hash_index_find(&pool.index, 2);
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, 2, now) == KVP_OK && pool.table.rows[id].level == 80);
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, 1, now) == KVP_OK && !kvp_block_is_registered(&pool.table.rows[id]));
    expect_quota(ONE, 0, 1);
    end();
}

KVP_TEST(a_cap_that_evicts_lets_expire_what_has_had_its_time) {
    begin_spaces(8, KVP_POLICY_LRU);
    release(FILL_IN(ONE, 1));
    release(FILL_IN(ONE, 2));
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(1), 1, 80, 5, now) == 1);
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(2), 1, 50, KVP_NO_EXPIRY, now) == 1);
    kvp_lease *held = take(ONE, 1);
    now = 5;
    KVP_EXPECT(kvp_pool_set_quota(&pool, ONE, 0, 2, now) == KVP_OK);
    KVP_EXPECT(!is_known(1) && is_known(2));
    release(held);
    end();
}

/* Else one block that continues a long prompt would hold all of it, whatever others were promised. */
KVP_TEST(a_block_continues_no_more_than_its_namespace_can_hold) {
    begin_spaces(10, KVP_POLICY_LRU);
    release(FILL_IN(ONE, 1, 2, 3, 4));
    kvp_lease *fresh = take(ONE, 2), *more;
    KVP_EXPECT(kvp_pool_set_quota(&pool, TWO, 5, 10, now) == KVP_OK);
    KVP_EXPECT(kvp_pool_room(&pool, ONE) == 3);
    kvp_lease *child = register_with(fresh, below(HASHES(5, 6), 4)); /* 4, 3, 2 and 1 were one too many */
    expect_quota(ONE, 2, 4);
    KVP_EXPECT(kvp_block_parent(&pool.table.rows[child->ids[0]]) == KVP_NO_BLOCK);
    KVP_EXPECT(kvp_block_parent(&pool.table.rows[child->ids[1]]) == child->ids[0]);
    fresh = take(ONE, 1);
    more = register_with(fresh, below(HASHES(7), 2));
    expect_quota(ONE, 5, 2);
    KVP_EXPECT(kvp_pool_room(&pool, ONE) == 0 && (fresh = take(TWO, 5)) != NULL);
    release(child);
    release(more);
    release(fresh);
    end();
}

KVP_TEST(a_duplicate_holds_no_more_than_its_namespace_can_hold) {
    begin_spaces(10, KVP_POLICY_LRU);
    release(FILL_IN(ONE, 1, 2, 3));
    release(FILL_IN(ONE, 9));
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(1, 2), 2, 10, KVP_NO_EXPIRY, now) == 2);
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(9), 1, 20, KVP_NO_EXPIRY, now) == 1);
    release(take(ONE, 7)); /* 1 and 2 are set aside for 3, and 9 goes */
    EXPECT_EVICTED(9);
    int32_t two = kvp_hash_index_find(&pool.index, 2), three = kvp_hash_index_find(&pool.index, 3);
    KVP_EXPECT(kvp_block_is_parked(&pool.table.rows[two]) && kvp_block_parent(&pool.table.rows[three]) == two);
    kvp_lease *fresh = take(ONE, 1);
    KVP_EXPECT(kvp_pool_set_quota(&pool, TWO, 8, 10, now) == KVP_OK && kvp_pool_room(&pool, ONE) == 1);
    kvp_lease *held = register_with(fresh, of(HASHES(3)));
    KVP_EXPECT(held->ids[0] == three && kvp_block_parent(&pool.table.rows[three]) == KVP_NO_BLOCK);
    expect_quota(ONE, 1, 2);
    KVP_EXPECT(!kvp_block_is_parked(&pool.table.rows[two]) && kvp_pool_room(&pool, ONE) == 1);
    release(held);
    KVP_EXPECT(kvp_pool_set_quota(&pool, TWO, 0, 10, now) == KVP_OK);
    EXPECT_ORDER(2, 1, 3);
    end();
}

/* Calls of three tenants at random: whoever has room is served, and nobody is given what is another's. */
static void history(unsigned long long *state) {
    enum { BLOCKS = 24, LEASES = 12 };
    kvp_lease *leases[LEASES] = {NULL};
    begin_spaces(BLOCKS, (kvp_policy_kind)kvp_random_below(state, KVP_NUM_POLICIES));
    for (int step = 0; step < 400; step++) {
        int32_t space = kvp_random_below(state, 3), which = kvp_random_below(state, LEASES);
        uint32_t n = 1 + (uint32_t)kvp_random_below(state, 6);
        uint64_t hashes[6], base = 100 * (uint64_t)space + 10 * (uint64_t)kvp_random_below(state, 4) + 1;
        now += kvp_random_below(state, 3);
        for (uint32_t i = 0; i < n; i++)
            hashes[i] = base + i;
        if (leases[which]) {
            KVP_EXPECT(kvp_pool_release_hinted(&pool, leases[which], (uint32_t)kvp_random_below(state, 3)) == KVP_OK);
            kvp_lease_unshare(leases[which]);
            leases[which] = NULL;
        } else if (kvp_random_below(state, 8) == 0) {
            int32_t floor = kvp_random_below(state, 9), cap = floor + kvp_random_below(state, BLOCKS + 1 - floor);
            kvp_status status = kvp_pool_set_quota(&pool, space, floor, cap, now);
            KVP_EXPECT(status == KVP_OK || status == KVP_NOT_ENOUGH);
        } else if (kvp_random_below(state, 3) == 0) {
            leases[which] = scan_n(space, hashes, n);
        } else {
            kvp_lease *found = match_in_n(space, hashes, n);
            int64_t room = kvp_pool_room(&pool, space);
            uint32_t left = n - found->count;
            int32_t other = (space + 1) % 3;
            int32_t floor = quota_of(other)->floor, others = quota_of(other)->held + quota_of(other)->cached;
            leases[which] = found;
            kvp_lease *fresh = left ? take(space, left) : NULL;
            KVP_EXPECT(left == 0 || (fresh != NULL) == (left <= room));
            int32_t kept = quota_of(other)->held + quota_of(other)->cached;
            KVP_EXPECT(kept == others || kept >= floor);
            if (fresh && found->count) {
                release(register_with(fresh, below(hashes + found->count, hashes[found->count - 1])));
            } else if (fresh) {
                kvp_lease_unshare(found);
                leases[which] = register_with(fresh, of(hashes));
            }
        }
        for (int i = 0; i < LEASES; i++)
            for (uint32_t k = 0; leases[i] && k < leases[i]->count; k++)
                KVP_EXPECT(leases[i]->ids[k] == KVP_NO_BLOCK ||
                           pool.namespaces->of[leases[i]->ids[k]] == leases[i]->space);
        expect_sound();
    }
    for (int i = 0; i < LEASES; i++)
        if (leases[i])
            release(leases[i]);
    KVP_EXPECT(pool.num_active == 0 && pool.num_mutable == 0);
    end();
}

KVP_TEST(no_history_gives_a_tenant_what_is_anothers) {
    kvp_for_seeds(60, history);
}

int main(void) {
    KVP_RUN(what_a_namespace_holds_and_has_cached_is_counted);
    KVP_RUN(nobody_evicts_what_another_has_within_its_floor);
    KVP_RUN(a_lower_cap_evicts_what_is_cached_beyond_it);
    KVP_RUN(what_is_found_is_held_as_far_as_the_cap_goes);
    KVP_RUN(a_floor_of_others_bounds_what_is_held_as_a_cap_does);
    KVP_RUN(evicting_ahead_takes_from_who_is_furthest_beyond_its_floor);
    KVP_RUN(who_has_nothing_that_may_go_is_passed_over);
    KVP_RUN(a_cap_that_evicts_nothing_lets_nothing_expire);
    KVP_RUN(a_cap_that_evicts_lets_expire_what_has_had_its_time);
    KVP_RUN(a_block_continues_no_more_than_its_namespace_can_hold);
    KVP_RUN(a_duplicate_holds_no_more_than_its_namespace_can_hold);
    KVP_RUN(no_history_gives_a_tenant_what_is_anothers);
    return 0;
}
