#include "kvp/sequence_batch.h"
#include "sequence_fixture.h"

#define ROWS   4
#define BLOCKS 8 /* of a row */

static kvp_sequence_batch batch;
static kvp_sequence sequences[ROWS];
static int32_t refused[ROWS];
static uint32_t num_refused;

static void expect_batch(void) {
    KVP_EXPECT_SOUND(kvp_sequence_batch_check(&batch));
    for (uint32_t row = 0; row < batch.num_rows; row++)
        expect_whole(batch.rows[row]);
}

static void begin_batch(int32_t num_blocks) {
    begin(num_blocks);
    KVP_EXPECT(kvp_sequence_batch_init(&batch, ROWS, BLOCKS, 64) == KVP_OK);
    expect_batch();
}

static void add(kvp_sequence *sequence, const uint32_t *tokens, uint64_t n) {
    start(sequence, tokens, n);
    kvp_sequence_commit(sequence, &pool, n);
    kvp_sequence_batch_add(&batch, sequence);
    expect_batch();
}

#define ADD(into, ...) add(into, TOKENS(__VA_ARGS__), NUM_TOKENS(__VA_ARGS__))

/* A step, and the engine that computes what was there before it. */
static kvp_status append(kvp_step step, bool is_partial) {
    uint64_t before[ROWS];
    for (uint32_t row = 0; row < batch.num_rows; row++) {
        before[row] = batch.rows[row]->num_tokens;
        compute(batch.rows[row], batch.rows[row]->num_computed, before[row]);
    }
    KVP_EXPECT(kvp_sequence_batch_write(&batch, &step) == KVP_OK);
    kvp_status status = kvp_sequence_batch_append(&batch, &pool, &step, is_partial, now, refused, &num_refused);
    expect_batch();
    uint32_t next = 0;
    for (uint32_t row = 0; status == KVP_OK && row < batch.num_rows; row++) {
        const kvp_sequence *sequence = batch.rows[row];
        uint64_t n = kvp_step_count(&step, row);
        bool is_refused = next < num_refused && refused[next] == (int32_t)row;
        next += is_refused;
        KVP_EXPECT(sequence->num_tokens == before[row] + (is_refused ? 0 : n));
        for (uint64_t i = 0; i < n; i++) {
            uint64_t position = before[row] + i;
            int64_t slot =
                is_refused ? -1 : (int64_t)sequence->lease->ids[position / SIZE] * SIZE + (int64_t)(position % SIZE);
            KVP_EXPECT(batch.slots[kvp_step_start(&step, row) + i] == slot);
        }
    }
    return status;
}

#define ONE_EACH(...) append((kvp_step){TOKENS(__VA_ARGS__), NULL, 1}, false)

static void end_batch(void) {
    while (batch.num_rows) {
        kvp_sequence *sequence = batch.rows[0];
        kvp_sequence_batch_remove(&batch, 0);
        expect_batch();
        finish(sequence);
    }
    kvp_sequence_batch_destroy(&batch);
    end();
}

KVP_TEST(a_step_appends_to_every_row) {
    begin_batch(24);
    ADD(&sequences[0], 1, 2, 3);
    ADD(&sequences[1], 1, 2, 3, 4);
    ADD(&sequences[2], 9);
    KVP_EXPECT(ONE_EACH(5, 6, 7) == KVP_OK && batch.num_slots == 3);
    KVP_EXPECT(batch.lengths[0] == 4 && batch.lengths[1] == 5 && batch.lengths[2] == 2 && batch.lengths[3] == 0);
    for (int i = 0; i < 20; i++)
        KVP_EXPECT(ONE_EACH(i, i, i) == KVP_OK);
    end_batch();
}

KVP_TEST(rows_may_get_different_numbers_of_tokens) {
    begin_batch(16);
    ADD(&sequences[0], 1, 2, 3);
    ADD(&sequences[1], 4);
    ADD(&sequences[2], 5);
    kvp_step step = {TOKENS(1, 2, 3, 4, 5, 6, 7), (const int64_t[]){0, 2, 2, 7}, 0};
    KVP_EXPECT(append(step, false) == KVP_OK);
    KVP_EXPECT(batch.lengths[0] == 5 && batch.lengths[1] == 1 && batch.lengths[2] == 6);
    KVP_EXPECT(append((kvp_step){TOKENS(1, 2, 3, 4, 5, 6), NULL, 2}, false) == KVP_OK);
    end_batch();
}

KVP_TEST(rows_that_complete_one_block_share_it) {
    begin_batch(16);
    ADD(&sequences[0], 1, 2, 3);
    ADD(&sequences[1], 1, 2, 3);
    KVP_EXPECT(ONE_EACH(4, 4) == KVP_OK && ONE_EACH(5, 6) == KVP_OK);
    KVP_EXPECT(batch.tables[0] == batch.tables[BLOCKS] && batch.tables[1] != batch.tables[BLOCKS + 1]);
    end_batch();
}

KVP_TEST(without_enough_blocks_nothing_is_appended) {
    begin_batch(4);
    ADD(&sequences[0], 1, 2, 3, 4);
    ADD(&sequences[1], 5, 6, 7, 8);
    ADD(&sequences[2], 9);
    KVP_EXPECT(ONE_EACH(1, 1, 1) == KVP_NOT_ENOUGH && num_refused == 1 && refused[0] == 1);
    KVP_EXPECT(batch.lengths[0] == 4 && batch.lengths[2] == 1);
    end_batch();
}

KVP_TEST(when_it_may_be_partial_the_others_are_served) {
    begin_batch(4);
    ADD(&sequences[0], 1, 2, 3, 4);
    ADD(&sequences[1], 5, 6, 7, 8);
    ADD(&sequences[2], 9);
    KVP_EXPECT(append((kvp_step){TOKENS(1, 1, 1), NULL, 1}, true) == KVP_OK && num_refused == 1 && refused[0] == 1);
    KVP_EXPECT(batch.lengths[0] == 5 && batch.lengths[1] == 4 && batch.lengths[2] == 2);
    kvp_sequence_batch_remove(&batch, 0);
    finish(&sequences[0]);
    KVP_EXPECT(append((kvp_step){TOKENS(1, 1), NULL, 1}, true) == KVP_OK && num_refused == 0);
    end_batch();
}

/* What one row of a namespace takes is not there for the next of the same, but for those of others. */
KVP_TEST(rows_get_what_their_namespaces_have_room_for) {
    kvp_pool_config config = {.num_blocks = 16, .max_namespaces = 2, .event_capacity = 64, .secret = {3, 4}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    KVP_EXPECT(kvp_sequence_batch_init(&batch, ROWS, BLOCKS, 64) == KVP_OK);
    KVP_EXPECT(kvp_pool_set_quota(&pool, 1, 0, 3, now) == KVP_OK && kvp_pool_set_quota(&pool, 2, 0, 3, now) == KVP_OK);
    static const uint8_t spaces[ROWS] = {1, 1, 2, 2};
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t tokens[] = {10 * i, 2, 3, 4};
        begin_sequence(&sequences[i], SIZE, tokens, 4);
        sequences[i].lease->space = spaces[i];
        KVP_EXPECT(kvp_sequence_open(&sequences[i], &pool, 0, now) == KVP_OK);
        kvp_sequence_batch_add(&batch, &sequences[i]);
    }
    const kvp_quota *held = pool.namespaces->quotas;
    KVP_EXPECT(ONE_EACH(5, 5, 5, 5) == KVP_NOT_ENOUGH && num_refused == 2 && refused[0] == 1 && refused[1] == 3);
    KVP_EXPECT(held[1].held == 2 && held[2].held == 2);
    int64_t offsets[] = {0, 1, 2, 2, 4}; /* the third gets none, so that the fourth fits */
    KVP_EXPECT(append((kvp_step){TOKENS(5, 5, 5, 5), offsets, 0}, true) == KVP_OK && num_refused == 1);
    KVP_EXPECT(refused[0] == 1 && held[1].held == 3 && held[2].held == 3 && batch.num_slots == 4);
    offsets[2] = offsets[3] = offsets[4] = 1;
    KVP_EXPECT(append((kvp_step){TOKENS(6), offsets, 0}, false) == KVP_OK && num_refused == 0);
    KVP_EXPECT(kvp_pool_set_quota(&pool, 1, 0, 4, now) == KVP_OK);
    offsets[2] = offsets[3] = offsets[4] = 2;
    KVP_EXPECT(append((kvp_step){TOKENS(7, 7), offsets, 0}, false) == KVP_OK && held[1].held == 4); /* exactly enough */
    end_batch();
}

KVP_TEST(the_last_row_moves_into_the_place_of_a_removed_one) {
    begin_batch(16);
    ADD(&sequences[0], 1, 2, 3, 4, 5, 6, 7, 8, 9);
    ADD(&sequences[1], 4);
    ADD(&sequences[2], 5, 6, 7, 8, 9);
    kvp_sequence_batch_remove(&batch, 0);
    expect_batch();
    KVP_EXPECT(batch.rows[0] == &sequences[2] && batch.rows[1] == &sequences[1] && batch.num_rows == 2);
    kvp_sequence_batch_remove(&batch, 1);
    expect_batch();
    KVP_EXPECT(batch.rows[0] == &sequences[2] && batch.num_rows == 1);
    finish(&sequences[0]);
    finish(&sequences[1]);
    end_batch();
}

KVP_TEST(what_changed_outside_is_shown_when_asked) {
    begin_batch(16);
    ADD(&sequences[0], 1, 2, 3, 4, 5, 6, 7, 8, 9);
    ADD(&sequences[1], 1, 2, 3, 4, 5, 6, 7, 8, 10);
    int32_t copy[2];
    uint32_t num_copies;
    KVP_EXPECT(kvp_sequence_truncate(&sequences[1], &pool, 6, now, copy, &num_copies) == KVP_OK && num_copies == 1);
    copy_block(copy[0], copy[1]);
    KVP_EXPECT_BROKEN(kvp_sequence_batch_check(&batch), "a row has another length");
    kvp_sequence_batch_show(&batch, 1);
    expect_batch();
    end_batch();
}

KVP_TEST(a_row_that_shrank_and_grew_outside_is_shown_anew) {
    begin_batch(16);
    ADD(&sequences[0], 1, 2, 3, 4, 5, 6, 7, 8, 9);
    int32_t copy[2], last = sequences[0].lease->ids[2];
    uint32_t num_copies;
    KVP_EXPECT(kvp_sequence_truncate(&sequences[0], &pool, 8, now, copy, &num_copies) == KVP_OK && num_copies == 0);
    kvp_lease *other = allocate(1); /* takes the block that came back */
    kvp_sequence_take(&sequences[0], &pool, 1);
    write_tokens(&sequences[0], TOKENS(10), 1);
    KVP_EXPECT(sequences[0].lease->ids[2] != last && sequences[0].lease->count == 3);
    KVP_EXPECT(ONE_EACH(11) == KVP_OK); /* no refresh in between */
    release(other);
    end_batch();
}

KVP_TEST(the_check_names_what_is_broken) {
    begin_batch(16);
    ADD(&sequences[0], 1, 2, 3, 4, 5);
#define BROKEN(place, value, sentence) KVP_EXPECT_BROKEN_BY(place, value, kvp_sequence_batch_check(&batch), sentence)
    BROKEN(batch.lengths[0], 4, "a row has another length");
    BROKEN(batch.lengths[1], 1, "a row has another length");
    BROKEN(batch.tables[1], 7, "a row shows other blocks");
    BROKEN(batch.tables[2], 7, "a row shows other blocks");
    BROKEN(batch.tables[BLOCKS], 7, "a row shows other blocks");
    end_batch();
}

/* Rows come and go, blocks run short, hashes collide: tables and slots stay those of the sequences. */
static void history(unsigned long long *state) {
    bool is_used[ROWS] = {false};
    uint32_t tokens[64];
    begin_batch(ROWS + kvp_random_below(state, 20));
    for (int step = 0; step < 120; step++) {
        for (int i = 0; i < 64; i++)
            tokens[i] = (uint32_t)kvp_random_below(state, 2);
        int which = kvp_random_below(state, ROWS);
        uint32_t row = 0;
        if (!is_used[which]) {
            begin_sequence(&sequences[which], SIZE, tokens, 1 + (uint64_t)kvp_random_below(state, 12));
            is_used[which] = kvp_sequence_open(&sequences[which], &pool, 0, now) == KVP_OK;
            if (!is_used[which]) {
                finish(&sequences[which]);
                continue;
            }
            kvp_sequence_batch_add(&batch, &sequences[which]);
            expect_batch();
        }
        while (batch.rows[row] != &sequences[which])
            row++;
        bool is_long = false;
        int64_t offsets[ROWS + 1] = {0};
        for (uint32_t r = 0; r < batch.num_rows; r++) {
            offsets[r + 1] = offsets[r] + kvp_random_below(state, 4);
            is_long = is_long || batch.rows[r]->num_tokens + 3 > BLOCKS * SIZE;
        }
        if (is_long || kvp_random_below(state, 6) == 0) {
            kvp_sequence_batch_remove(&batch, row);
            expect_batch();
            finish(&sequences[which]);
            is_used[which] = false;
        } else {
            (void)append((kvp_step){tokens, offsets, 0}, kvp_random_below(state, 3) > 0);
        }
    }
    end_batch();
    KVP_EXPECT(batch.rows == NULL);
}

KVP_TEST(no_history_shows_what_is_not) {
    kvp_for_seeds(300, history);
}

KVP_TEST(a_batch_of_many_rows_is_written_and_served_whole) {
    enum { MANY = 20 };
    static kvp_sequence many[MANY];
    uint32_t step_tokens[MANY];
    int32_t none[MANY];
    begin(64);
    KVP_EXPECT(kvp_sequence_batch_init(&batch, MANY, BLOCKS, 64) == KVP_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t tokens[SIZE] = {i + 1, 2, 3, i};
        start(&many[i], tokens, 1 + i % SIZE);
        kvp_sequence_batch_add(&batch, &many[i]);
        step_tokens[i] = 50 + i;
    }
    kvp_step step = {step_tokens, NULL, 1};
    KVP_EXPECT(kvp_sequence_batch_write(&batch, &step) == KVP_OK);
    KVP_EXPECT(kvp_sequence_batch_append(&batch, &pool, &step, false, now, none, &num_refused) == KVP_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        uint64_t position = 1 + i % SIZE;
        KVP_EXPECT(many[i].num_tokens == position + 1 && many[i].tokens[position] == 50 + i);
        KVP_EXPECT(batch.slots[i] == many[i].lease->ids[position / SIZE] * SIZE + (int64_t)(position % SIZE));
    }
    expect_batch();
    for (uint32_t i = MANY; i-- > 0;) {
        kvp_sequence_batch_remove(&batch, i);
        finish(&many[i]);
    }
    kvp_sequence_batch_destroy(&batch);
    end();
}

KVP_TEST(a_sequence_that_does_not_commit_on_append_registers_nothing) {
    begin_batch(16);
    start(&sequences[0], TOKENS(1, 2, 3, 4), 4);
    sequences[0].commits_on_append = false;
    kvp_sequence_batch_add(&batch, &sequences[0]);
    KVP_EXPECT(ONE_EACH(5) == KVP_OK && sequences[0].lease->registered == 0 && !is_known(sequences[0].hashes[0]));
    end_batch();
}

int main(void) {
    KVP_RUN(a_step_appends_to_every_row);
    KVP_RUN(rows_may_get_different_numbers_of_tokens);
    KVP_RUN(rows_that_complete_one_block_share_it);
    KVP_RUN(without_enough_blocks_nothing_is_appended);
    KVP_RUN(when_it_may_be_partial_the_others_are_served);
    KVP_RUN(rows_get_what_their_namespaces_have_room_for);
    KVP_RUN(the_last_row_moves_into_the_place_of_a_removed_one);
    KVP_RUN(what_changed_outside_is_shown_when_asked);
    KVP_RUN(a_row_that_shrank_and_grew_outside_is_shown_anew);
    KVP_RUN(the_check_names_what_is_broken);
    KVP_RUN(no_history_shows_what_is_not);
    KVP_RUN(a_batch_of_many_rows_is_written_and_served_whole);
    KVP_RUN(a_sequence_that_does_not_commit_on_append_registers_nothing);
    return 0;
}
