/* Who goes when: levels and times to live, protection, eviction ahead, and the choice of others. */
#include "pool_fixture.h"

static void begin_with_facts(int32_t num_blocks) {
    kvp_pool_config config = {
        .num_blocks = num_blocks, .keeps_facts = true, .event_capacity = 64, .secret = {0x0123456789ABCDEF, 7}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    now = 0;
}

static int32_t id_of(uint64_t hash) {
    return kvp_hash_index_find(&pool.index, hash);
}

static uint32_t retain_n(const uint64_t *hashes, uint32_t n, int level, int64_t expiry) {
    uint32_t found = kvp_pool_retain(&pool, hashes, n, level, expiry, now);
    expect_sound();
    return found;
}

#define RETAIN(level, expiry, ...) retain_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__), level, expiry)

KVP_TEST(retained_blocks_go_last_and_demoted_ones_first) {
    begin(6);
    release(FILL(1));
    release(FILL(2));
    release(FILL(3));
    release(FILL(4));
    KVP_EXPECT(RETAIN(50, KVP_NO_EXPIRY, 1, 99, 2) == 2 && RETAIN(0, KVP_NO_EXPIRY, 4) == 1);
    EXPECT_ORDER(4, 3, 1, 2);
    end();
}

KVP_TEST(a_level_that_ends_is_the_default_one_from_then_on) {
    begin(4);
    release(FILL(1));
    now = 10;
    KVP_EXPECT(RETAIN(50, 30, 1) == 1 && pool.now == 10);
    release(FILL(2));
    release(FILL(3));
    now = 30;
    EXPECT_ORDER(2, 3, 1); /* demoted when blocks were wanted: behind what was there */
    end();
}

KVP_TEST(a_held_block_can_be_retained) {
    begin(4);
    kvp_lease *held = FILL(1);
    KVP_EXPECT(RETAIN(60, KVP_NO_EXPIRY, 1) == 1);
    release(FILL(2));
    release(held);
    release(FILL(3));
    EXPECT_ORDER(2, 3, 1);
    end();
}

static void protect_n(const uint64_t *hashes, const uint32_t *lengths, uint32_t num_prompts) {
    int32_t ids[MAX_BLOCKS];
    kvp_pool_protect(&pool, hashes, lengths, num_prompts, ids);
    expect_sound();
}

#define PROTECT(...) protect_n(HASHES(__VA_ARGS__), (const uint32_t[]){COUNT(__VA_ARGS__)}, 1)

KVP_TEST(protected_prefixes_go_when_there_are_no_others) {
    begin(8);
    release(FILL(1, 2));
    release(FILL(3, 4));
    release(FILL(5, 6));
    protect_n(HASHES(1, 2, 99, 5, 98, 6), (const uint32_t[]){3, 3}, 2); /* 6 stands behind a miss */
    KVP_EXPECT(pool.protection.count == 3);
    release(allocate(4));
    EXPECT_EVICTED(4, 3);
    release(allocate(5));
    EXPECT_EVICTED(6);
    KVP_EXPECT(is_known(1) && is_known(2) && is_known(5));
    protect_n(NULL, NULL, 0);
    KVP_EXPECT(!pool.has_extras);
    EXPECT_ORDER(2, 1, 5); /* the first two had been spared, the third not yet */
    end();
}

KVP_TEST(what_was_spared_goes_next_when_it_is_protected_no_more) {
    begin(4);
    release(FILL(1));
    release(FILL(2));
    release(FILL(3));
    RETAIN(20, KVP_NO_EXPIRY, 1);
    PROTECT(1);
    release(allocate(2)); /* its turn: spared, 2 goes */
    EXPECT_EVICTED(2);
    KVP_EXPECT(pool.table.rows[id_of(1)].level == KVP_PROTECTED_LEVEL);
    release(FILL(4));
    PROTECT(3);
    KVP_EXPECT(pool.table.rows[id_of(1)].level == 20);
    EXPECT_ORDER(1, 4, 3);
    end();
}

KVP_TEST(a_spared_block_that_is_matched_has_its_level_again) {
    begin(3);
    release(FILL(1));
    release(FILL(2));
    RETAIN(20, KVP_NO_EXPIRY, 1);
    PROTECT(1);
    release(allocate(2));
    EXPECT_EVICTED(2);
    kvp_lease *held = MATCH(1);
    KVP_EXPECT(pool.table.rows[id_of(1)].level == 20);
    release(held);
    end();
}

KVP_TEST(a_protected_block_that_is_matched_before_its_turn_is_protected_no_more) {
    begin(4);
    release(FILL(1));
    release(FILL(2));
    PROTECT(1);
    release(MATCH(1));
    KVP_EXPECT(!kvp_protection_has(&pool.protection, id_of(1)));
    release(FILL(3));
    EXPECT_ORDER(2, 1, 3);
    end();
}

KVP_TEST(what_was_spared_comes_back_in_the_order_of_its_turns) {
    begin(6);
    for (uint64_t hash = 1; hash <= 5; hash++)
        release(FILL(hash));
    release(MATCH(2));
    RETAIN(50, KVP_NO_EXPIRY, 1);
    protect_n(HASHES(5, 2, 1, 4), (const uint32_t[]){1, 1, 1, 1}, 4);
    release(allocate(2)); /* 3, whose turn comes first, is enough */
    KVP_EXPECT(!is_known(3) && pool.table.rows[id_of(4)].level == KVP_DEFAULT_LEVEL);
    release(allocate(3)); /* none but protected ones: 4, 5, 2 and 1 are spared, then 4 goes */
    EXPECT_EVICTED(4);
    protect_n(HASHES(5), (const uint32_t[]){1}, 1);
    release(allocate(4));
    EXPECT_EVICTED(2); /* which had been spared before 1, and has a lower level */
    protect_n(NULL, NULL, 0);
    EXPECT_ORDER(5, 1);
    end();
}

KVP_TEST(spared_blocks_of_a_level_come_back_oldest_first) {
    begin(5);
    for (uint64_t hash = 1; hash <= 4; hash++)
        release(FILL(hash));
    protect_n(HASHES(3, 1, 2), (const uint32_t[]){1, 1, 1}, 3);
    release(allocate(2));
    EXPECT_EVICTED(4);
    protect_n(NULL, NULL, 0);
    EXPECT_ORDER(1, 2, 3);
    end();
}

KVP_TEST(the_level_of_a_spared_block_can_be_changed_meanwhile) {
    begin(3);
    release(FILL(1));
    release(FILL(2));
    PROTECT(1);
    release(allocate(2));
    KVP_EXPECT(RETAIN(70, KVP_NO_EXPIRY, 1) == 1);
    KVP_EXPECT(pool.table.rows[id_of(1)].level == KVP_PROTECTED_LEVEL && pool.protection.levels[id_of(1)] == 70);
    PROTECT(99);
    KVP_EXPECT(pool.table.rows[id_of(1)].level == 70);
    end();
}

KVP_TEST(a_spared_block_that_is_held_is_not_put_in_a_list) {
    begin(4);
    release(FILL(1));
    release(FILL(2));
    PROTECT(1);
    release(allocate(3));
    kvp_lease *child = FILL_BELOW(1, 5);
    protect_n(NULL, NULL, 0);
    KVP_EXPECT(pool.table.rows[id_of(1)].level == KVP_DEFAULT_LEVEL && pool.table.rows[id_of(1)].refs == 1);
    release(child);
    EXPECT_ORDER(5, 1);
    end();
}

static uint32_t evict_ahead(uint32_t n, uint32_t highest, kvp_reason reason, kvp_identity *gone) {
    uint32_t count = kvp_pool_evict(&pool, n, highest, reason, now, gone);
    expect_sound();
    return count;
}

KVP_TEST(evicting_ahead_goes_by_the_order_up_to_a_level) {
    kvp_identity gone[8];
    begin(8);
    release(FILL(1, 2));
    release(FILL(3));
    release(FILL(4));
    RETAIN(50, KVP_NO_EXPIRY, 3);
    RETAIN(10, KVP_NO_EXPIRY, 4);
    now = 9;
    KVP_EXPECT(evict_ahead(2, 100, KVP_REASON_CAPACITY, gone) == 2 && pool.now == 9);
    KVP_EXPECT(gone[0].hash == 4 && gone[1].hash == 2 && gone[1].id == pool.empty.ids[pool.empty.count - 1]);
    KVP_EXPECT(pool.stats.evictions_ahead == 2 && pool.stats.evictions_for_pressure == 0);
    KVP_EXPECT(evict_ahead(8, KVP_DEFAULT_LEVEL, KVP_REASON_PRESSURE, gone) == 1 && gone[0].hash == 1);
    KVP_EXPECT(pool.stats.evictions_ahead == 3 && pool.stats.evictions_for_pressure == 1 && pool.stats.evictions == 0);
    expect_counts(7, 0, 0, 1);
    KVP_EXPECT(evict_ahead(1, 50, KVP_REASON_PRESSURE, gone) == 1 && gone[0].hash == 3);
    KVP_EXPECT(evict_ahead(1, 101, KVP_REASON_PRESSURE, gone) == 0);
    end();
}

static kvp_candidate told[8];

KVP_TEST(nothing_expires_before_a_block_must_go) {
    kvp_identity gone[1];
    begin(4);
    release(FILL(1));
    RETAIN(50, 5, 1);
    now = 5;
    KVP_EXPECT(evict_ahead(0, KVP_PROTECTED_LEVEL, KVP_REASON_CAPACITY, gone) == 0 && pool.now == 5);
    KVP_EXPECT(pool.table.rows[id_of(1)].level == 50);
    KVP_EXPECT(evict_ahead(1, 40, KVP_REASON_CAPACITY, gone) == 1 && gone[0].hash == 1);
    end();
}

KVP_TEST(candidates_are_told_in_their_order_with_what_is_known_of_them) {
    begin_with_facts(8);
    now = 100;
    release(FILL(1, 2));
    release(FILL(3));
    now = 200;
    release(MATCH(3));
    kvp_lease *held = FILL(4);
    RETAIN(2, KVP_NO_EXPIRY, 3);
    uint32_t count = kvp_pool_candidates(&pool, told, 8);
    KVP_EXPECT(count == 3 && told[0].hash == 3 && told[1].hash == 2 && told[2].hash == 1);
    KVP_EXPECT(told[0].priority == 2 && told[0].last_access == 200 && told[0].reuse_count == 1);
    KVP_EXPECT(told[1].priority == KVP_DEFAULT_LEVEL && told[1].last_access == 100 && told[1].reuse_count == 0);
    KVP_EXPECT(told[1].position == 1 && told[2].position == 0 && told[0].position == 0);
    KVP_EXPECT(!told[1].is_continued && told[2].is_continued && !told[0].is_continued);
    KVP_EXPECT(told[1].id == id_of(2) && told[1].generation == pool.table.rows[id_of(2)].generation);
    KVP_EXPECT(kvp_pool_candidates(&pool, told, 2) == 2 && kvp_pool_candidates(&pool, told, 0) == 0);
    release(held);
    end();
}

KVP_TEST(every_block_of_a_match_was_asked_for_once_more) {
    begin_with_facts(4);
    release(FILL(1, 2, 3));
    now = 7;
    pool.facts[id_of(2)].reuse_count = UINT32_MAX;
    release(MATCH(1, 2, 3));
    KVP_EXPECT(kvp_pool_candidates(&pool, told, 8) == 3);
    KVP_EXPECT(told[0].hash == 3 && told[0].reuse_count == 1 && told[0].last_access == 7);
    KVP_EXPECT(told[1].hash == 2 && told[1].reuse_count == UINT32_MAX && told[1].last_access == 7);
    KVP_EXPECT(told[2].hash == 1 && told[2].reuse_count == 1 && told[2].last_access == 7);
    end();
}

KVP_TEST(what_is_preferred_goes_first_and_the_rest_comes_back_in_front) {
    begin_with_facts(8);
    release(FILL(1));
    release(FILL(2));
    release(FILL(3));
    release(FILL(4));
    RETAIN(60, KVP_NO_EXPIRY, 4);
    KVP_EXPECT(kvp_pool_candidates(&pool, told, 8) == 4);
    kvp_candidate victims[3] = {told[3], told[2], told[1]}; /* 4, 3, 2 */
    KVP_EXPECT(kvp_pool_prefer(&pool, victims, 3) == 3);
    expect_sound();
    release(allocate(5));
    EXPECT_EVICTED(4);
    kvp_pool_end_preference(&pool, victims, 3);
    expect_sound();
    KVP_EXPECT(pool.table.rows[id_of(3)].level == KVP_DEFAULT_LEVEL);
    EXPECT_ORDER(3, 2, 1);
    end();
}

KVP_TEST(a_preferred_block_that_was_held_meanwhile_has_its_level_again) {
    begin_with_facts(4);
    release(FILL(1));
    release(FILL(2));
    KVP_EXPECT(kvp_pool_candidates(&pool, told, 8) == 2);
    KVP_EXPECT(kvp_pool_prefer(&pool, told + 1, 1) == 1 && pool.table.rows[id_of(2)].level == 0);
    kvp_lease *held = MATCH(2);
    kvp_pool_end_preference(&pool, told + 1, 1);
    KVP_EXPECT(pool.table.rows[id_of(2)].level == KVP_DEFAULT_LEVEL);
    expect_sound();
    release(held);
    EXPECT_ORDER(1, 2);
    end();
}

KVP_TEST(a_block_of_level_1_that_was_preferred_gets_it_back) {
    begin_with_facts(4);
    release(FILL(1));
    RETAIN(1, KVP_NO_EXPIRY, 1);
    KVP_EXPECT(kvp_pool_candidates(&pool, told, 8) == 1 && kvp_pool_prefer(&pool, told, 1) == 1);
    kvp_pool_end_preference(&pool, told, 1);
    expect_sound();
    KVP_EXPECT(pool.table.rows[id_of(1)].level == 1);
    end();
}

KVP_TEST(a_block_of_level_0_that_was_preferred_stays_there) {
    begin_with_facts(4);
    release(FILL(1));
    release(FILL(2));
    RETAIN(0, KVP_NO_EXPIRY, 1, 2);
    KVP_EXPECT(kvp_pool_candidates(&pool, told, 8) == 2 && told[1].hash == 2 && told[1].priority == 0);
    KVP_EXPECT(kvp_pool_prefer(&pool, told + 1, 1) == 1);
    kvp_pool_end_preference(&pool, told + 1, 1);
    expect_sound();
    EXPECT_ORDER(2, 1);
    end();
}

int main(void) {
    KVP_RUN(retained_blocks_go_last_and_demoted_ones_first);
    KVP_RUN(a_level_that_ends_is_the_default_one_from_then_on);
    KVP_RUN(a_held_block_can_be_retained);
    KVP_RUN(protected_prefixes_go_when_there_are_no_others);
    KVP_RUN(what_was_spared_goes_next_when_it_is_protected_no_more);
    KVP_RUN(a_spared_block_that_is_matched_has_its_level_again);
    KVP_RUN(a_protected_block_that_is_matched_before_its_turn_is_protected_no_more);
    KVP_RUN(what_was_spared_comes_back_in_the_order_of_its_turns);
    KVP_RUN(spared_blocks_of_a_level_come_back_oldest_first);
    KVP_RUN(the_level_of_a_spared_block_can_be_changed_meanwhile);
    KVP_RUN(a_spared_block_that_is_held_is_not_put_in_a_list);
    KVP_RUN(evicting_ahead_goes_by_the_order_up_to_a_level);
    KVP_RUN(nothing_expires_before_a_block_must_go);
    KVP_RUN(candidates_are_told_in_their_order_with_what_is_known_of_them);
    KVP_RUN(every_block_of_a_match_was_asked_for_once_more);
    KVP_RUN(what_is_preferred_goes_first_and_the_rest_comes_back_in_front);
    KVP_RUN(a_preferred_block_that_was_held_meanwhile_has_its_level_again);
    KVP_RUN(a_block_of_level_1_that_was_preferred_gets_it_back);
    KVP_RUN(a_block_of_level_0_that_was_preferred_stays_there);
    return 0;
}
