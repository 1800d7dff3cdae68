/* Keys of 128 bits: what has the hash of another key is never taken for it. */
#include "sequence_fixture.h"

static const uint64_t SECRET[2] = {11, 22};

static void begin_checked(int32_t num_blocks, bool keeps_duplicates) {
    kvp_pool_config config = {.num_blocks = num_blocks,
                              .keeps_duplicates = keeps_duplicates,
                              .keeps_checks = true,
                              .event_capacity = 1024,
                              .secret = {1, 2}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    now = 0;
}

/* Hashes, then as many check words. */
static kvp_lease *fill(const uint64_t *keys, uint32_t n) {
    return register_with(allocate(n), of(keys));
}

static kvp_lease *fill_one(uint64_t hash, uint64_t check) {
    return fill(HASHES(hash, check), 1);
}

static uint32_t length_of_match(const uint64_t *keys, uint32_t n) {
    kvp_lease *lease = match_n(keys, n);
    uint32_t length = lease->count;
    release(lease);
    return length;
}

KVP_TEST(a_block_is_found_by_both_halves_of_its_key) {
    begin_checked(8, false);
    kvp_lease *filled = fill(HASHES(1, 2, 3, 10, 20, 30), 3);
    KVP_EXPECT(length_of_match(HASHES(1, 2, 3, 10, 20, 30), 3) == 3);
    KVP_EXPECT(length_of_match(HASHES(1, 2, 3, 10, 20, 31), 3) == 2);
    KVP_EXPECT(length_of_match(HASHES(1, 2, 3, 10, 21, 30), 3) == 1);
    KVP_EXPECT(length_of_match(HASHES(1, 2, 3, 11, 20, 30), 3) == 0);
    release(filled);
    end();
}

KVP_TEST(scattered_lookups_leave_out_what_is_another_keys) {
    begin_checked(8, false);
    kvp_lease *filled = fill(HASHES(1, 2, 3, 10, 20, 30), 3), *found = kvp_lease_new(3, false);
    int32_t ids[3];
    kvp_pool_match_scattered(&pool, HASHES(1, 2, 3, 10, 21, 30), 3, now, found);
    KVP_EXPECT(found->held == 2 && found->ids[1] == KVP_NO_BLOCK && found->ids[2] == filled->ids[2]);
    KVP_EXPECT(kvp_pool_find_each(&pool, HASHES(1, 2, 3, 11, 20, 30), 3, ids) == 2 && ids[0] == KVP_NO_BLOCK);
    KVP_EXPECT(kvp_pool_find_prefix(&pool, HASHES(1, 2, 3), HASHES(10, 20, 31), 3, ids) == 2);
    KVP_EXPECT(kvp_pool_touch(&pool, HASHES(1, 3, 9, 30), 2, ids) == 1 && ids[0] == KVP_NO_BLOCK);
    release(found);
    release(filled);
    end();
}

KVP_TEST(a_hash_that_another_key_has_is_not_shared) {
    begin_checked(8, false);
    kvp_lease *first = fill_one(1, 10), *second = fill_one(1, 11), *third = fill_one(1, 12);
    KVP_EXPECT(second->ids[0] != first->ids[0] && pool.stats.duplicates == 0);
    KVP_EXPECT(pool.table.rows[second->ids[0]].hash == 1 + 11 && pool.table.rows[third->ids[0]].hash == 1 + 13);
    KVP_EXPECT(length_of_match(HASHES(1, 10), 1) == 1);
    KVP_EXPECT(length_of_match(HASHES(1, 11), 1) == 0);
    /* The same key again is the same block, under the hash that it got. */
    kvp_lease *again = fill_one(1, 11);
    KVP_EXPECT(again->ids[0] == second->ids[0] && pool.stats.duplicates == 1);
    release(first);
    release(second);
    release(third);
    release(again);
    end();
}

KVP_TEST(two_keys_of_one_call_can_have_one_hash) {
    begin_checked(8, false);
    kvp_lease *filled = fill(HASHES(1, 1, 1, 10, 11, 10), 3);
    KVP_EXPECT(filled->ids[0] != filled->ids[1] && filled->ids[2] == filled->ids[0]);
    release(filled);
    KVP_EXPECT(length_of_match(HASHES(1, 10), 1) == 1);
    end();
}

KVP_TEST(hashes_are_tried_until_one_is_free) {
    begin_checked(8, false);
    kvp_lease *way[] = {fill_one(5, 1), fill_one(8, 1), fill_one(11, 1)}; /* the step of check word 2 is 3 */
    kvp_lease *last = fill_one(5, 2);
    KVP_EXPECT(pool.table.rows[last->ids[0]].hash == 14);
    for (int i = 0; i < 3; i++)
        release(way[i]);
    release(last);
    end();
}

KVP_TEST(who_names_another_key_neither_keeps_nor_resets_nor_protects_nor_pins) {
    begin_checked(8, false);
    release(fill_one(1, 10));
    uint8_t outcome;
    kvp_identity gone;
    uint32_t count, length = 1;
    int32_t wanted, ids[1];
    kvp_lease *pin = kvp_lease_new(1, false);
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(1, 11), 1, 90, KVP_NO_EXPIRY, now) == 0);
    KVP_EXPECT(kvp_pool_reset_blocks(&pool, HASHES(1, 11), 1, &outcome, &gone, 1, &count) == KVP_OK && count == 0);
    KVP_EXPECT(outcome == KVP_RESET_NOT_FOUND);
    kvp_pool_protect(&pool, HASHES(1, 11), &length, 1, ids);
    KVP_EXPECT(pool.protection.count == 0);
    KVP_EXPECT(kvp_pool_pin(&pool, HASHES(1, 11), 1, 8, now, pin, &wanted) == KVP_OK && wanted == 0 && !pin->is_live);
    kvp_lease_unshare(pin);
    kvp_pool_protect(&pool, HASHES(2, 1, 20, 10), (const uint32_t[]){1, 1}, 2, ids);
    KVP_EXPECT(pool.protection.count == 1); /* check words lie behind the hashes of all prompts */
    KVP_EXPECT(kvp_pool_retain(&pool, HASHES(1, 10), 1, 90, KVP_NO_EXPIRY, now) == 1);
    KVP_EXPECT(kvp_pool_reset_blocks(&pool, HASHES(1, 10), 1, &outcome, &gone, 1, &count) == KVP_OK && count == 1);
    end();
}

KVP_TEST(what_is_held_ahead_is_held_by_its_key) {
    begin_checked(8, false);
    release(fill(HASHES(1, 2, 10, 20), 2));
    kvp_lease *ahead = kvp_lease_new(2, false);
    kvp_pool_hold_ahead(&pool, HASHES(1, 2, 10, 21), 2, now, ahead);
    KVP_EXPECT(ahead->count == 1 && ahead->held == 1);
    release(ahead);
    end();
}

static void begin_checked_sequence(kvp_sequence *sequence, const uint32_t *tokens, uint64_t n) {
    KVP_EXPECT(kvp_sequence_init(sequence, SIZE, 0, true) == KVP_OK);
    kvp_sequence_keep_checks(sequence, SECRET);
    write_tokens(sequence, tokens, n);
}

static void start_checked(kvp_sequence *sequence, const uint32_t *tokens, uint64_t n) {
    begin_checked_sequence(sequence, tokens, n);
    KVP_EXPECT(kvp_sequence_open(sequence, &pool, 0, now) == KVP_OK);
    compute(sequence, sequence->num_cached, n);
    kvp_sequence_commit(sequence, &pool, n);
    expect_whole(sequence);
}

KVP_TEST(sequences_find_their_own_blocks) {
    static const uint32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    begin_checked(16, false);
    kvp_sequence one, two, fork;
    int32_t copies[8];
    uint32_t num_copies;
    start_checked(&one, tokens, 9);
    start_checked(&two, tokens, 9);
    KVP_EXPECT(two.num_cached == 8 && two.lease->registered == 2);
    KVP_EXPECT(kvp_sequence_init(&fork, SIZE, 0, true) == KVP_OK);
    kvp_sequence_keep_checks(&fork, SECRET);
    KVP_EXPECT(kvp_sequence_copy_tokens(&fork, &two) == KVP_OK);
    KVP_EXPECT(kvp_sequence_fork(&fork, &two, &pool, now, copies, &num_copies) == KVP_OK && num_copies == 1);
    copy_block(copies[0], copies[1]);
    expect_whole(&fork);
    KVP_EXPECT(memcmp(fork.checks, one.checks, 2 * sizeof *one.checks) == 0);
    finish(&fork);
    finish(&two);
    finish(&one);
    end();
}

KVP_TEST(a_sequence_neither_finds_nor_shares_a_block_that_has_its_hash_by_collision) {
    static const uint32_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    begin_checked(16, false);
    kvp_sequence sequence;
    begin_checked_sequence(&sequence, tokens, 9);
    /* Somebody else's two blocks: the first is that of the same key, the second of one that only has the same hash. */
    kvp_lease *others =
        fill(HASHES(sequence.hashes[0], sequence.hashes[1], sequence.checks[0], sequence.checks[1] + 1), 2);
    for (int i = 0; i < 4; i++)
        written[others->ids[0]][i] = digest(&sequence, (uint64_t)i + 1);
    KVP_EXPECT(kvp_sequence_open(&sequence, &pool, 0, now) == KVP_OK && sequence.num_cached == 4);
    compute(&sequence, 4, 9);
    kvp_sequence_commit(&sequence, &pool, 9);
    expect_whole(&sequence);
    KVP_EXPECT(sequence.lease->registered == 1 && sequence.lease->ids[1] != others->ids[1]);
    release(others);
    release(allocate((uint32_t)kvp_pool_available(&pool))); /* the other one is evicted */
    kvp_sequence_commit(&sequence, &pool, 9);
    KVP_EXPECT(sequence.lease->registered == 2);
    expect_whole(&sequence);
    finish(&sequence);
    end();
}

/* Keys of few hashes with few check words each, so that most have the hash of another. No two hashes share a check word:
 * chances of 2^-64 do not come up here either. */
static uint64_t key_of[MAX_BLOCKS][2];

static void expect_own(const kvp_lease *lease, const uint64_t *keys, uint32_t n) {
    for (uint32_t i = 0; i < lease->count; i++)
        if (lease->ids[i] != KVP_NO_BLOCK)
            KVP_EXPECT(key_of[lease->ids[i]][0] == keys[i] && key_of[lease->ids[i]][1] == keys[n + i]);
}

static void history(unsigned long long *state, bool keeps_duplicates) {
    enum { HOLDS = 6, STEPS = 400 };
    kvp_lease *held[HOLDS] = {0};
    begin_checked(24, keeps_duplicates);
    for (int step = 0; step < STEPS; step++) {
        uint64_t keys[8];
        uint32_t n = 1 + (uint32_t)kvp_random_below(state, 4);
        int hold = kvp_random_below(state, HOLDS);
        if (held[hold])
            release(held[hold]);
        held[hold] = NULL;
        for (uint32_t i = 0; i < n; i++) {
            keys[i] = 100 + (uint64_t)kvp_random_below(state, 6);
            keys[n + i] = (4 * keys[i] + (uint64_t)kvp_random_below(state, 3)) << 40;
        }
        switch (kvp_random_below(state, 4)) {
        case 0:
            held[hold] = match_n(keys, n);
            expect_own(held[hold], keys, n);
            break;
        case 1:
            held[hold] = kvp_lease_new(n, false);
            kvp_pool_match_scattered(&pool, keys, n, now, held[hold]);
            expect_own(held[hold], keys, n);
            break;
        default:
            if ((uint32_t)kvp_pool_available(&pool) < n)
                break;
            kvp_lease *blocks = allocate(n);
            int32_t ids[4];
            memcpy(ids, blocks->ids, n * sizeof *ids);
            held[hold] = register_with(blocks, of(keys));
            for (uint32_t i = 0; i < n; i++) {
                if (held[hold]->ids[i] != ids[i])
                    continue; /* shared */
                key_of[ids[i]][0] = keys[i];
                key_of[ids[i]][1] = keys[n + i];
            }
            expect_own(held[hold], keys, n);
            break;
        }
    }
    for (int i = 0; i < HOLDS; i++)
        if (held[i])
            release(held[i]);
    KVP_EXPECT(pool.stats.match_blocks_returned > 0 && pool.stats.scan_blocks_returned > 0 &&
               pool.stats.duplicates > 0);
    end();
}

static void sharing_history(unsigned long long *state) {
    history(state, false);
}

static void keeping_history(unsigned long long *state) {
    history(state, true);
}

KVP_TEST(no_history_hands_out_a_block_of_another_key) {
    kvp_for_seeds(100, sharing_history);
    kvp_for_seeds(100, keeping_history);
}

KVP_TEST(what_is_broken_is_named) {
    begin_checked(8, true);
    kvp_lease *one = fill_one(1, 10), *two = fill_one(1, 10);
    KVP_EXPECT_BROKEN_BY(pool.keys.is_kept, false, kvp_key_checks_check(&pool.keys),
                         "check words are kept without room for them");
    KVP_EXPECT_BROKEN_BY(pool.keys.of[two->ids[0]], 11, kvp_pool_check(&pool, scratch),
                         "copies of a hash are of different keys");
    release(one);
    release(two);
    end();
}

int main(void) {
    KVP_RUN(a_block_is_found_by_both_halves_of_its_key);
    KVP_RUN(scattered_lookups_leave_out_what_is_another_keys);
    KVP_RUN(a_hash_that_another_key_has_is_not_shared);
    KVP_RUN(two_keys_of_one_call_can_have_one_hash);
    KVP_RUN(hashes_are_tried_until_one_is_free);
    KVP_RUN(who_names_another_key_neither_keeps_nor_resets_nor_protects_nor_pins);
    KVP_RUN(what_is_held_ahead_is_held_by_its_key);
    KVP_RUN(sequences_find_their_own_blocks);
    KVP_RUN(a_sequence_neither_finds_nor_shares_a_block_that_has_its_hash_by_collision);
    KVP_RUN(no_history_hands_out_a_block_of_another_key);
    KVP_RUN(what_is_broken_is_named);
    return 0;
}
