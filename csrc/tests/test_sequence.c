#include "kvp/seq_hash.h"
#include "sequence_fixture.h"

static kvp_sequence one, two;
static int32_t copies[2 * MAX_BLOCKS];
static uint32_t num_copies;

static void commit(kvp_sequence *sequence, uint64_t num_computed) {
    compute(sequence, sequence->num_computed, num_computed);
    kvp_sequence_commit(sequence, &pool, num_computed);
    expect_whole(sequence);
}

static kvp_status truncate_to(kvp_sequence *sequence, uint64_t num_tokens) {
    kvp_status status = kvp_sequence_truncate(sequence, &pool, num_tokens, now, copies, &num_copies);
    for (uint32_t i = 0; status == KVP_OK && i < num_copies; i++)
        copy_block(copies[2 * i], copies[2 * i + 1]);
    expect_whole(sequence);
    return status;
}

static kvp_status fork_into(kvp_sequence *child, const kvp_sequence *sequence) {
    KVP_EXPECT(kvp_sequence_init(child, sequence->block_size, sequence->salt, true) == KVP_OK);
    KVP_EXPECT(kvp_sequence_copy_tokens(child, sequence) == KVP_OK);
    kvp_status status = kvp_sequence_fork(child, sequence, &pool, now, copies, &num_copies);
    for (uint32_t i = 0; status == KVP_OK && i < num_copies; i++)
        copy_block(copies[2 * i], copies[2 * i + 1]);
    expect_whole(child);
    return status;
}

KVP_TEST(an_opened_sequence_has_blocks_for_its_tokens_and_slots) {
    begin(8);
    begin_sequence(&one, SIZE, TOKENS(1, 2, 3, 4, 5), 5);
    KVP_EXPECT(kvp_sequence_make_room(&one, 9) == KVP_OK);
    KVP_EXPECT(kvp_sequence_open(&one, &pool, 4, now) == KVP_OK);
    KVP_EXPECT(one.lease->count == 3 && one.num_cached == 0 && one.num_computed == 0);
    expect_counts(5, 3, 0, 0);
    finish(&one);
    expect_counts(8, 0, 0, 0);
    end();
}

KVP_TEST(what_is_computed_can_be_matched_and_one_token_is_left) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8);
    commit(&one, 7);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8);
    KVP_EXPECT(two.num_cached == 4 && two.lease->ids[0] == one.lease->ids[0]);
    KVP_EXPECT(two.lease->ids[1] != one.lease->ids[1]);
    finish(&two);
    commit(&one, 8);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8);
    KVP_EXPECT(two.num_cached == 4);
    finish(&two);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(two.num_cached == 8);
    finish(&two);
    finish(&one);
    expect_counts(6, 0, 0, 2);
    end();
}

KVP_TEST(a_sequence_that_does_not_fit_changes_nothing) {
    begin(3);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8);
    commit(&one, 8);
    finish(&one);
    begin_sequence(&two, SIZE, TOKENS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), 13);
    kvp_stats before = pool.stats;
    KVP_EXPECT(kvp_sequence_open(&two, &pool, 0, now) == KVP_NOT_ENOUGH);
    KVP_EXPECT(memcmp(&before, &pool.stats, sizeof before) == 0 && !two.lease->is_live);
    finish(&two);
    EXPECT_ORDER(pool.table.rows[1].hash, pool.table.rows[0].hash);
    end();
}

KVP_TEST(a_prefix_that_it_matches_is_not_room_for_the_rest) {
    begin(4);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8);
    commit(&one, 8);
    finish(&one);
    begin_sequence(&two, SIZE, TOKENS(1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9), 17);
    KVP_EXPECT(kvp_sequence_open(&two, &pool, 0, now) == KVP_NOT_ENOUGH); /* 3 more, and 2 are left */
    finish(&two);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9);
    KVP_EXPECT(two.num_cached == 8);
    expect_counts(0, 2, 2, 0);
    finish(&two);
    end();
}

KVP_TEST(what_a_matched_block_hangs_on_is_no_room_either) {
    begin(6);
    uint64_t hash;
    kvp_seq_hash_chain(TOKENS(1, 2, 3, 4), 1, SIZE, 0, KVP_SEQ_HASH_V2, NULL, &hash);
    release(FILL(71, 72, 73));
    release(register_with(allocate(1), below(&hash, 73))); /* not the parent that its tokens have */
    expect_counts(2, 0, 0, 4);
    begin_sequence(&one, SIZE, TOKENS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17), 17);
    KVP_EXPECT(kvp_sequence_open(&one, &pool, 0, now) == KVP_NOT_ENOUGH); /* 4 more, and 2 would be left */
    expect_counts(2, 0, 0, 4);
    finish(&one);
    EXPECT_ORDER(hash, 73, 72, 71);
    end();
}

KVP_TEST(a_block_that_somebody_else_registered_first_is_shared) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    commit(&one, 9);
    two.changed = 3;
    commit(&two, 9);
    KVP_EXPECT(two.lease->ids[0] == one.lease->ids[0] && two.lease->ids[1] == one.lease->ids[1] && two.changed == 0);
    expect_counts(4, 2, 2, 0);
    finish(&one);
    expect_whole(&two);
    finish(&two);
    expect_counts(6, 0, 0, 2);
    end();
}

KVP_TEST(a_pool_that_keeps_duplicates_keeps_both) {
    begin_with(8, true);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    commit(&one, 9);
    commit(&two, 9);
    KVP_EXPECT(two.lease->ids[0] != one.lease->ids[0]);
    expect_counts(2, 2, 4, 0);
    finish(&one);
    expect_whole(&two);
    finish(&two);
    expect_counts(4, 0, 0, 4);
    end();
}

KVP_TEST(truncating_gives_back_what_is_behind) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(truncate_to(&one, 8) == KVP_OK && one.lease->count == 2 && num_copies == 0);
    KVP_EXPECT(truncate_to(&one, 5) == KVP_OK && one.lease->count == 2 && num_copies == 0);
    commit(&one, 5);
    KVP_EXPECT(truncate_to(&one, 4) == KVP_OK && one.lease->count == 1 && one.lease->registered == 1);
    KVP_EXPECT(one.num_computed == 4);
    expect_counts(7, 0, 1, 0);
    finish(&one);
    end();
}

KVP_TEST(truncating_into_a_block_of_ones_own_takes_its_identity) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8);
    commit(&one, 8);
    int32_t block = one.lease->ids[1];
    uint32_t generation = pool.table.rows[block].generation;
    num_copies = 77;
    KVP_EXPECT(truncate_to(&one, 6) == KVP_OK && num_copies == 0);
    KVP_EXPECT(one.lease->ids[1] == block && one.lease->registered == 1);
    expect_counts(6, 1, 1, 0);
    KVP_EXPECT(pool.stats.truncations == 1 && pool.table.rows[block].generation == generation + 1);
    write_tokens(&one, TOKENS(70, 80), 2);
    commit(&one, 8);
    KVP_EXPECT(one.lease->registered == 2);
    finish(&one);
    START(&two, 1, 2, 3, 4, 5, 6, 70, 80, 9);
    KVP_EXPECT(two.num_cached == 8);
    finish(&two);
    end();
}

KVP_TEST(truncating_into_a_shared_block_goes_on_in_a_copy) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    commit(&one, 9);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(truncate_to(&two, 7) == KVP_OK && num_copies == 1 && copies[0] == one.lease->ids[1]);
    KVP_EXPECT(two.lease->ids[1] == copies[1] && two.num_computed == 7);
    write_tokens(&two, TOKENS(88), 1);
    commit(&two, 8);
    expect_whole(&one);
    finish(&one);
    finish(&two);
    end();
}

KVP_TEST(truncating_into_a_block_that_is_continued_goes_on_in_a_copy) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8);
    commit(&one, 8);
    KVP_EXPECT(truncate_to(&one, 2) == KVP_OK && num_copies == 1 && one.lease->registered == 0);
    expect_counts(5, 1, 0, 2);
    finish(&one);
    START(&two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(two.num_cached == 8);
    finish(&two);
    end();
}

KVP_TEST(what_is_registered_is_told_with_its_tokens) {
    kvp_pool_config config = {.num_blocks = 8, .event_capacity = 8, .event_tokens = SIZE, .secret = {1, 2}};
    kvp_event events[8];
    uint32_t tokens[8 * SIZE];
    uint64_t first;
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    commit(&one, 9);
    KVP_EXPECT(kvp_event_ring_read(&pool.events, 0, events, tokens, 8, &first) == 2 && first == 0);
    KVP_EXPECT(events[0].hash == one.hashes[0] && events[1].hash == one.hashes[1] && events[1].parent == one.hashes[0]);
    for (uint32_t i = 0; i < 2 * SIZE; i++)
        KVP_EXPECT(tokens[i] == i + 1);
    finish(&one);
    end();
}

KVP_TEST(without_a_block_for_the_copy_nothing_is_truncated) {
    begin(2);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8);
    commit(&one, 8);
    KVP_EXPECT(truncate_to(&one, 2) == KVP_NOT_ENOUGH);
    KVP_EXPECT(one.num_tokens == 8 && one.lease->registered == 2);
    expect_counts(0, 0, 2, 0);
    finish(&one);
    end();
}

KVP_TEST(a_fork_shares_what_is_registered_and_copies_the_rest) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    commit(&one, 7);
    KVP_EXPECT(fork_into(&two, &one) == KVP_OK && num_copies == 2);
    KVP_EXPECT(two.lease->ids[0] == one.lease->ids[0] && two.lease->ids[1] != one.lease->ids[1]);
    KVP_EXPECT(two.num_computed == 7 && two.num_tokens == 9);
    finish(&one);
    expect_whole(&two);
    finish(&two);
    end();
}

KVP_TEST(a_fork_without_room_changes_nothing) {
    begin(3);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8);
    commit(&one, 4);
    KVP_EXPECT(truncate_to(&one, 8) == KVP_OK);
    KVP_EXPECT(fork_into(&two, &one) == KVP_OK);
    finish(&two);
    write_tokens(&one, TOKENS(9), 1);
    kvp_sequence_take(&one, &pool, 1);
    KVP_EXPECT(fork_into(&two, &one) == KVP_NOT_ENOUGH && !two.lease->is_live);
    finish(&two);
    finish(&one);
    end();
}

KVP_TEST(what_is_preempted_is_found_again) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    commit(&one, 9);
    KVP_EXPECT(kvp_sequence_give_back(&one, &pool, 0) == KVP_OK && one.num_computed == 0);
    expect_counts(6, 0, 0, 2);
    KVP_EXPECT(kvp_sequence_open(&one, &pool, 0, now) == KVP_OK && one.num_cached == 8);
    expect_whole(&one);
    finish(&one);
    end();
}

KVP_TEST(a_table_that_moves_is_kept_for_who_shows_it) {
    begin(64);
    START(&one, 1, 2, 3, 4, 5);
    kvp_id_table *shown = one.lease->table;
    kvp_id_table_share(shown);
    KVP_EXPECT(kvp_sequence_make_room(&one, 200) == KVP_OK && one.lease->table != shown);
    KVP_EXPECT(shown->ids[0] == one.lease->ids[0] && shown->ids[1] == one.lease->ids[1]);
    kvp_id_table_unshare(shown);
    expect_whole(&one);
    finish(&one);
    end();
}

static void begin_spaces(int32_t num_blocks) {
    kvp_pool_config config = {
        .num_blocks = num_blocks, .max_namespaces = 2, .event_capacity = 64, .secret = {0x0123456789ABCDEF, 3}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    for (int32_t space = 1; space <= 2; space++)
        KVP_EXPECT(kvp_pool_set_quota(&pool, space, 0, num_blocks, now) == KVP_OK);
}

/* Of the same tokens, without a salt of its own: what must not happen, but must do no harm when it does. */
static kvp_status start_in(kvp_sequence *sequence, int32_t space, uint64_t n) {
    begin_sequence(sequence, SIZE, TOKENS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), n);
    sequence->lease->space = (uint8_t)space;
    kvp_status status = kvp_sequence_open(sequence, &pool, 0, now);
    if (status == KVP_OK)
        compute(sequence, sequence->num_cached, n);
    expect_whole(sequence);
    return status;
}

KVP_TEST(blocks_of_another_namespace_are_neither_found_nor_shared) {
    kvp_sequence three;
    begin_spaces(12);
    KVP_EXPECT(start_in(&one, 1, 9) == KVP_OK);
    commit(&one, 9);
    KVP_EXPECT(start_in(&two, 2, 9) == KVP_OK && two.num_cached == 0);
    commit(&two, 9);
    KVP_EXPECT(two.lease->registered == 0 && pool.stats.registrations == 2);
    KVP_EXPECT(fork_into(&three, &one) == KVP_OK && three.lease->space == 1 && num_copies == 1);
    KVP_EXPECT(pool.namespaces->quotas[1].held == 4 && pool.namespaces->quotas[2].held == 3);
    finish(&three);
    finish(&one);
    KVP_EXPECT(start_in(&one, 1, 9) == KVP_OK && one.num_cached == 8);
    finish(&one);
    finish(&two);
    end();
}

KVP_TEST(a_prefix_that_goes_on_in_another_namespace_is_found_up_to_there) {
    uint64_t hashes[3];
    begin_spaces(12);
    kvp_seq_hash_chain(TOKENS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), 3, SIZE, 0, KVP_SEQ_HASH_V2, NULL, hashes);
    for (uint32_t i = 0; i < 3; i++) {
        kvp_lease *fresh = kvp_lease_new(1, true);
        fresh->space = i == 1 ? 2 : 1;
        KVP_EXPECT(kvp_pool_allocate(&pool, fresh, now, evicted, MAX_BLOCKS, &num_evicted) == KVP_OK);
        memset(written[fresh->ids[0]], 0, sizeof written[0]);
        release(register_with(fresh, of(hashes + i)));
    }
    begin_sequence(&one, SIZE, TOKENS(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13), 13);
    one.lease->space = 1;
    KVP_EXPECT(kvp_sequence_open(&one, &pool, 0, now) == KVP_OK && one.num_cached == 4 && one.lease->registered == 1);
    KVP_EXPECT(pool.namespaces->quotas[1].held == 4 && pool.namespaces->quotas[2].held == 0);
    expect_sound();
    finish(&one);
    end();
}

KVP_TEST(a_sequence_stays_within_its_cap) {
    begin_spaces(12);
    KVP_EXPECT(kvp_pool_set_quota(&pool, 1, 0, 3, now) == KVP_OK);
    KVP_EXPECT(start_in(&one, 1, 13) == KVP_NOT_ENOUGH);
    finish(&one);
    KVP_EXPECT(start_in(&one, 1, 12) == KVP_OK);
    commit(&one, 12);
    KVP_EXPECT(fork_into(&two, &one) == KVP_OK && num_copies == 0);
    KVP_EXPECT(truncate_to(&two, 6) == KVP_NOT_ENOUGH); /* a copy would be a fourth */
    finish(&two);
    KVP_EXPECT(truncate_to(&one, 10) == KVP_OK && num_copies == 0);
    KVP_EXPECT(pool.namespaces->quotas[1].held == 3);
    finish(&one);
    end();
}

KVP_TEST(the_check_names_what_is_broken) {
    begin(8);
    START(&one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    commit(&one, 9);
#define BROKEN(place, value, sentence) KVP_EXPECT_BROKEN_BY(place, value, kvp_sequence_check(&one, &pool), sentence)
    BROKEN(one.token_capacity, 8, "a sequence has more tokens than room");
    BROKEN(one.num_computed, 10, "a sequence computed more tokens than it has");
    BROKEN(one.num_cached, 10, "a sequence found more tokens than it computed");
    BROKEN(one.lease->held, 2, "a sequence miscounts its blocks");
    BROKEN(one.num_computed, 7, "a block of a sequence is registered before its KV is written");
    BROKEN(one.lease->ids[0], one.lease->ids[1], "a block of a sequence is registered under another hash");
    BROKEN(one.lease->ids[1], one.lease->ids[0], "a block of a sequence is registered under another hash");
    BROKEN(one.lease->is_sequence, false, "a sequence miscounts its blocks");
    finish(&one);
    end();
}

/* Requests over a small vocabulary in a small pool: whatever happens, what was computed stays where the table says. */
static void history(unsigned long long *state) {
    enum { SEQUENCES = 5, LONGEST = 40 };
    kvp_sequence sequences[SEQUENCES];
    bool is_open[SEQUENCES] = {false};
    uint32_t block_size = 1 + (uint32_t)kvp_random_below(state, MAX_SIZE), tokens[LONGEST];
    begin_with(8 + kvp_random_below(state, MAX_BLOCKS - 8), kvp_random_below(state, 2));
    for (int step = 0; step < 150; step++) {
        int which = kvp_random_below(state, SEQUENCES), other = kvp_random_below(state, SEQUENCES);
        kvp_sequence *self = &sequences[which];
        uint64_t n = 1 + (uint64_t)kvp_random_below(state, 6), more;
        for (int i = 0; i < LONGEST; i++)
            tokens[i] = (uint32_t)(i < 12 ? 7 : kvp_random_below(state, 2));
        if (!is_open[which]) {
            begin_sequence(self, block_size, tokens, 1 + (uint64_t)kvp_random_below(state, LONGEST));
            KVP_EXPECT(kvp_sequence_make_room(self, self->num_tokens + n) == KVP_OK);
            is_open[which] = kvp_sequence_open(self, &pool, n, now) == KVP_OK;
            if (!is_open[which])
                finish(self);
            continue;
        }
        switch (kvp_random_below(state, 8)) {
        case 0:
            finish(self);
            is_open[which] = false;
            continue;
        case 1:
            KVP_EXPECT(kvp_sequence_give_back(self, &pool, 0) == KVP_OK);
            if (kvp_sequence_open(self, &pool, 0, now) != KVP_OK) {
                finish(self);
                is_open[which] = false;
                continue;
            }
            break;
        case 2:
            (void)truncate_to(self, 1 + (uint64_t)kvp_random_below(state, (int32_t)self->num_tokens));
            break;
        case 3:
            if (is_open[other])
                break;
            is_open[other] = fork_into(&sequences[other], self) == KVP_OK;
            if (!is_open[other])
                finish(&sequences[other]);
            break;
        case 4:
        case 5:
            KVP_EXPECT(kvp_sequence_make_room(self, self->num_tokens + n) == KVP_OK);
            more = kvp_sequence_missing(self, self->num_tokens + n);
            if (self->num_tokens + n > 200 || (int64_t)more > kvp_pool_available(&pool))
                break;
            kvp_sequence_write(self, tokens + 12, n);
            kvp_sequence_take(self, &pool, (uint32_t)more);
            commit(self, self->num_tokens);
            kvp_sequence_count_in(self, n);
            break;
        default:
            more = self->num_tokens - self->num_computed;
            commit(self, self->num_computed + (more ? (uint64_t)kvp_random_below(state, (int32_t)more + 1) : 0));
        }
        for (int i = 0; i < SEQUENCES; i++)
            if (is_open[i])
                expect_whole(&sequences[i]);
    }
    for (int i = 0; i < SEQUENCES; i++)
        if (is_open[i])
            finish(&sequences[i]);
    KVP_EXPECT(pool.num_active == 0 && pool.num_mutable == 0);
    end();
}

KVP_TEST(no_history_moves_what_was_computed) {
    kvp_for_seeds(400, history);
}

KVP_TEST(tokens_without_a_block_are_named) {
    kvp_sequence sequence;
    begin(8);
    START(&sequence, 1, 2, 3, 4, 5);
    uint64_t computed = sequence.num_computed;
    KVP_EXPECT(kvp_sequence_make_room(&sequence, 100) == KVP_OK);
    KVP_EXPECT_BROKEN_BY(sequence.num_tokens, 9, kvp_sequence_check(&sequence, &pool),
                         "a sequence has tokens without a block");
    KVP_EXPECT(sequence.num_computed == computed);
    finish(&sequence);
    end();
}

int main(void) {
    KVP_RUN(an_opened_sequence_has_blocks_for_its_tokens_and_slots);
    KVP_RUN(what_is_computed_can_be_matched_and_one_token_is_left);
    KVP_RUN(a_sequence_that_does_not_fit_changes_nothing);
    KVP_RUN(a_prefix_that_it_matches_is_not_room_for_the_rest);
    KVP_RUN(what_a_matched_block_hangs_on_is_no_room_either);
    KVP_RUN(a_block_that_somebody_else_registered_first_is_shared);
    KVP_RUN(a_pool_that_keeps_duplicates_keeps_both);
    KVP_RUN(truncating_gives_back_what_is_behind);
    KVP_RUN(truncating_into_a_block_of_ones_own_takes_its_identity);
    KVP_RUN(truncating_into_a_shared_block_goes_on_in_a_copy);
    KVP_RUN(truncating_into_a_block_that_is_continued_goes_on_in_a_copy);
    KVP_RUN(what_is_registered_is_told_with_its_tokens);
    KVP_RUN(without_a_block_for_the_copy_nothing_is_truncated);
    KVP_RUN(a_fork_shares_what_is_registered_and_copies_the_rest);
    KVP_RUN(a_fork_without_room_changes_nothing);
    KVP_RUN(what_is_preempted_is_found_again);
    KVP_RUN(a_table_that_moves_is_kept_for_who_shows_it);
    KVP_RUN(blocks_of_another_namespace_are_neither_found_nor_shared);
    KVP_RUN(a_prefix_that_goes_on_in_another_namespace_is_found_up_to_there);
    KVP_RUN(a_sequence_stays_within_its_cap);
    KVP_RUN(the_check_names_what_is_broken);
    KVP_RUN(no_history_moves_what_was_computed);
    KVP_RUN(tokens_without_a_block_are_named);
    return 0;
}
