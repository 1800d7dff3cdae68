#include "pool_fixture.h"

static int32_t wanted;

static kvp_lease *pin_n(const uint64_t *hashes, uint32_t n, int32_t limit, kvp_status expected) {
    kvp_lease *lease = kvp_lease_new(n, false);
    KVP_EXPECT(kvp_pool_pin(&pool, hashes, n, limit, now, lease, &wanted) == expected);
    expect_sound();
    if (expected == KVP_OK)
        return lease;
    kvp_lease_unshare(lease);
    return NULL;
}

#define PIN(limit, ...) pin_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__), limit, KVP_OK)

KVP_TEST(a_pin_holds_a_block_and_all_that_it_continues) {
    begin(8);
    release(FILL(1, 2, 3));
    release(FILL(9));
    kvp_lease *pin = PIN(8, 3);
    KVP_EXPECT(wanted == 3 && pool.num_pinned == 3 && pin->held == 1);
    expect_counts(4, 0, 3, 1);
    release(allocate(5));
    EXPECT_EVICTED(9);
    KVP_EXPECT(is_known(1) && is_known(2) && is_known(3));
    release(pin);
    KVP_EXPECT(pool.num_pinned == 0);
    EXPECT_ORDER(3, 2, 1);
    end();
}

KVP_TEST(a_block_pinned_twice_is_counted_once_and_pinned_until_the_last_goes) {
    begin(8);
    release(FILL(1, 2));
    kvp_lease *first = PIN(8, 1, 2, 2), *second = PIN(8, 2);
    KVP_EXPECT(pool.num_pinned == 2 && first->held == 3);
    release(first);
    KVP_EXPECT(pool.num_pinned == 2);
    release(second);
    KVP_EXPECT(pool.num_pinned == 0 && pool.num_active == 0);
    end();
}

KVP_TEST(pins_beyond_the_limit_change_nothing_and_say_how_many_were_wanted) {
    begin(8);
    release(FILL(1, 2, 3));
    kvp_lease *pin = PIN(2, 2);
    snapshot before = take_snapshot();
    KVP_EXPECT(pin_n(HASHES(3, 1), 2, 2, KVP_NOT_ENOUGH) == NULL && wanted == 3);
    expect_unchanged(&before);
    release(PIN(3, 3));
    release(pin);
    end();
}

KVP_TEST(a_hash_that_is_not_there_is_not_pinned) {
    begin(8);
    release(FILL(1));
    kvp_lease *pin = PIN(1, 7, 1, 8);
    KVP_EXPECT(pin->held == 1 && pin->ids[0] == KVP_NO_BLOCK && pin->ids[1] != KVP_NO_BLOCK && wanted == 1);
    release(pin);
    kvp_lease *nothing = PIN(0, 7);
    KVP_EXPECT(!nothing->is_live && wanted == 0);
    kvp_lease_unshare(nothing);
    end();
}

KVP_TEST(a_wrong_count_of_pins_is_named) {
    begin(8);
    release(FILL(1, 2));
    kvp_lease *held = MATCH(1), *pin = PIN(8, 2, 9);
    int32_t at = pin->ids[0], other = 7;
    /* The scratch is cleared only when all holds. */
    uint32_t was = pool.pins[at];
    pool.pins[at] = 2;
    KVP_EXPECT_BROKEN(kvp_pool_check(&pool, scratch), "a block miscounts its pins");
    pool.pins[at] = was;
    memset(scratch, 0, sizeof scratch);
    pool.num_pinned = 3;
    KVP_EXPECT_BROKEN(kvp_pool_check(&pool, scratch), "the pinned blocks are miscounted");
    pool.num_pinned = 2;
    memset(scratch, 0, sizeof scratch);
    pool.pins[other] = 1;
    KVP_EXPECT_BROKEN(kvp_pool_check(&pool, scratch), "a block miscounts its pins");
    pool.pins[other] = 0;
    memset(scratch, 0, sizeof scratch);
    pin->is_pin = false;
    KVP_EXPECT_BROKEN(kvp_pool_check(&pool, scratch), "a block miscounts its pins");
    pin->is_pin = true;
    memset(scratch, 0, sizeof scratch);
    release(pin);
    release(held);
    end();
}

static void begin_with_facts(int32_t num_blocks, kvp_policy_kind policy) {
    kvp_pool_config config = {.num_blocks = num_blocks,
                              .keeps_facts = true,
                              .event_capacity = 1024,
                              .secret = {1, 2},
                              .policy = policy,
                              .ghost_factor = 1};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    now = 0;
}

static kvp_candidate candidates[MAX_BLOCKS];

static uint32_t tell(uint32_t max) {
    return kvp_pool_candidates(&pool, candidates, max);
}

static void expect_candidates_n(const uint64_t *hashes, uint32_t n) {
    KVP_EXPECT(tell(MAX_BLOCKS) == n);
    for (uint32_t i = 0; i < n; i++)
        KVP_EXPECT(candidates[i].hash == hashes[i]);
}

#define EXPECT_CANDIDATES(...) expect_candidates_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

/* Registered with a level. */
static void fill_at(uint64_t hash, int level) {
    kvp_registration registration = of(&hash);
    registration.level = level;
    release(register_with(allocate(1), registration));
}

KVP_TEST(candidates_are_told_in_the_order_in_which_they_would_go) {
    begin_with_facts(16, KVP_POLICY_LRU);
    release(FILL(1, 2));
    fill_at(3, 80);
    fill_at(4, 20);
    now = 5000;
    release(MATCH(1));
    kvp_lease *held = FILL(9);
    EXPECT_CANDIDATES(4, 2, 1, 3);
    KVP_EXPECT(candidates[0].priority == 20 && candidates[3].priority == 80);
    KVP_EXPECT(candidates[2].last_access == 5000 && candidates[2].reuse_count == 1 && candidates[2].position == 0);
    KVP_EXPECT(candidates[1].last_access == 0 && candidates[1].reuse_count == 0 && candidates[1].position == 1);
    KVP_EXPECT(candidates[2].is_continued && !candidates[1].is_continued);
    KVP_EXPECT(pool.table.rows[candidates[0].id].hash == 4);
    for (uint32_t max = 0; max <= 4; max++)
        KVP_EXPECT(tell(max) == max);
    KVP_EXPECT(candidates[3].hash == 3);
    release(held);
    end();
}

KVP_TEST(preferred_blocks_go_first_in_the_order_in_which_they_were_named) {
    begin_with_facts(8, KVP_POLICY_LRU);
    release(FILL(1));
    release(FILL(2));
    release(FILL(3));
    fill_at(4, 90);
    EXPECT_CANDIDATES(1, 2, 3, 4);
    kvp_candidate victims[] = {candidates[3], candidates[1]};
    KVP_EXPECT(kvp_pool_prefer(&pool, victims, 2) == 2);
    expect_sound();
    EXPECT_ORDER(4, 2, 1, 3);
    end();
}

KVP_TEST(what_is_not_what_it_was_is_not_preferred) {
    begin_with_facts(8, KVP_POLICY_LRU);
    release(FILL(1, 2));
    release(FILL(3));
    release(FILL(5));
    release(FILL(6));
    release(FILL(7));
    KVP_EXPECT(tell(MAX_BLOCKS) == 6);
    kvp_candidate known[6];
    memcpy(known, candidates, sizeof known);
    kvp_candidate other_hash = known[4], other_life = known[5], empty = known[5];
    other_hash.hash = 77;
    other_life.generation++;
    empty.id = 7;
    kvp_lease *held = MATCH(3);
    kvp_pool_protect(&pool, HASHES(5), (const uint32_t[]){1}, 1, (int32_t[1]){0});
    kvp_identity gone;
    KVP_EXPECT(kvp_pool_evict(&pool, 1, KVP_PROTECTED_LEVEL, KVP_REASON_CAPACITY, now, &gone) == 1 && gone.hash == 2);
    KVP_EXPECT(pool.table.rows[gone.id].refs == 0);
    kvp_candidate victims[] = {other_hash, other_life, empty, known[0], known[2]};
    KVP_EXPECT(known[0].hash == 2 && known[2].hash == 3);
    KVP_EXPECT(kvp_pool_prefer(&pool, victims, 5) == 0);
    release(held);
    end();
}

KVP_TEST(a_block_that_is_parked_or_spared_is_not_preferred) {
    begin_with_facts(8, KVP_POLICY_LRU);
    kvp_lease *base = FILL(1);
    release(FILL_BELOW(1, 2));
    release(base); /* 2 goes first, then 1; but 1 was touched before 2 now */
    release(MATCH(1, 2));
    release(FILL(5));
    KVP_EXPECT(tell(MAX_BLOCKS) == 3);
    kvp_candidate known[3];
    memcpy(known, candidates, sizeof known);
    for (uint32_t i = 0; i < 3; i++) /* the parent alone is preferred: it is set aside when its turn comes */
        if (known[i].hash == 1)
            KVP_EXPECT(kvp_pool_prefer(&pool, &known[i], 1) == 1);
    kvp_pool_protect(&pool, HASHES(5, 1, 2), (const uint32_t[]){1, 2}, 2, (int32_t[2]){0});
    kvp_pool_protect(&pool, HASHES(5), (const uint32_t[]){1}, 1, (int32_t[1]){0});
    kvp_identity gone[3];
    KVP_EXPECT(kvp_pool_evict(&pool, 1, KVP_PROTECTED_LEVEL, KVP_REASON_CAPACITY, now, gone) == 1);
    KVP_EXPECT(gone[0].hash == 2);
    for (uint32_t i = 0; i < 3; i++) {
        bool is_free = known[i].hash == 1 && !kvp_block_is_parked(&pool.table.rows[known[i].id]);
        KVP_EXPECT(kvp_pool_prefer(&pool, &known[i], 1) == (known[i].hash == 5 || is_free));
    }
    expect_sound();
    end();
}

KVP_TEST(what_was_spared_at_its_turn_is_not_preferred) {
    begin_with_facts(4, KVP_POLICY_LRU);
    release(FILL(1));
    release(FILL(2));
    KVP_EXPECT(tell(MAX_BLOCKS) == 2);
    kvp_candidate known[2];
    memcpy(known, candidates, sizeof known);
    kvp_pool_protect(&pool, HASHES(1), (const uint32_t[]){1}, 1, (int32_t[1]){0});
    kvp_identity gone;
    KVP_EXPECT(kvp_pool_evict(&pool, 1, KVP_PROTECTED_LEVEL, KVP_REASON_CAPACITY, now, &gone) == 1 && gone.hash == 2);
    KVP_EXPECT(pool.table.rows[known[0].id].level == KVP_PROTECTED_LEVEL);
    KVP_EXPECT(kvp_pool_prefer(&pool, known, 2) == 0 && tell(MAX_BLOCKS) == 0);
    end();
}

KVP_TEST(what_did_not_go_gets_its_level_back_and_is_next_there) {
    begin_with_facts(8, KVP_POLICY_LRU);
    release(FILL(1));
    release(FILL(2));
    fill_at(3, 90);
    fill_at(4, 0);
    KVP_EXPECT(tell(MAX_BLOCKS) == 4);
    kvp_candidate known[4];
    memcpy(known, candidates, sizeof known); /* 4, 1, 2, 3 */
    KVP_EXPECT(kvp_pool_prefer(&pool, (kvp_candidate[]){known[3], known[2], known[0]}, 3) == 3);
    kvp_lease *held = MATCH(3);
    kvp_candidate stale = known[1];
    stale.generation++;
    kvp_pool_end_preference(&pool, (kvp_candidate[]){known[3], known[2], known[0], known[1], stale}, 5);
    KVP_EXPECT(pool.table.rows[known[3].id].level == 90 && pool.table.rows[known[2].id].level == known[2].priority);
    expect_sound();
    release(held);
    EXPECT_ORDER(4, 2, 1, 3);
    end();
}

KVP_TEST(evictions_for_pressure_are_told_from_the_others) {
    begin(8);
    release(FILL(1));
    release(FILL(2));
    kvp_identity gone[2];
    KVP_EXPECT(kvp_pool_evict(&pool, 1, KVP_PROTECTED_LEVEL, KVP_REASON_PRESSURE, now, gone) == 1 && gone[0].hash == 1);
    KVP_EXPECT(pool.stats.evictions_ahead == 1 && pool.stats.evictions_for_pressure == 1);
    KVP_EXPECT(kvp_pool_evict(&pool, 2, KVP_PROTECTED_LEVEL, KVP_REASON_CAPACITY, now, gone) == 1 && gone[0].hash == 2);
    KVP_EXPECT(pool.stats.evictions_ahead == 2 && pool.stats.evictions_for_pressure == 1);
    end();
}

int main(void) {
    KVP_RUN(a_pin_holds_a_block_and_all_that_it_continues);
    KVP_RUN(a_block_pinned_twice_is_counted_once_and_pinned_until_the_last_goes);
    KVP_RUN(pins_beyond_the_limit_change_nothing_and_say_how_many_were_wanted);
    KVP_RUN(a_hash_that_is_not_there_is_not_pinned);
    KVP_RUN(a_wrong_count_of_pins_is_named);
    KVP_RUN(candidates_are_told_in_the_order_in_which_they_would_go);
    KVP_RUN(preferred_blocks_go_first_in_the_order_in_which_they_were_named);
    KVP_RUN(what_is_not_what_it_was_is_not_preferred);
    KVP_RUN(a_block_that_is_parked_or_spared_is_not_preferred);
    KVP_RUN(what_was_spared_at_its_turn_is_not_preferred);
    KVP_RUN(what_did_not_go_gets_its_level_back_and_is_next_there);
    KVP_RUN(evictions_for_pressure_are_told_from_the_others);
    return 0;
}
