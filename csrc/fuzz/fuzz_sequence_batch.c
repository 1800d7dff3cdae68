/* Rows that come, go and grow in steps, with blocks that run short: tables and slots are those of the sequences. */
#include "script.h"

#include "../tests/sequence_fixture.h"
#include "kvp/sequence_batch.h"

#define ROWS   5
#define BLOCKS 12
#define SLOTS  64

static kvp_sequence_batch batch;
static kvp_sequence sequences[ROWS];
static bool is_used[ROWS];

static void remove_sequence(int which) {
    uint32_t row = 0;
    while (batch.rows[row] != &sequences[which])
        row++;
    kvp_sequence_batch_remove(&batch, row);
    finish(&sequences[which]);
    is_used[which] = false;
}

static void add_sequence(int which) {
    uint32_t tokens[12], n = 1 + take_below(12);
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = take_below(4);
    begin_sequence(&sequences[which], SIZE, tokens, n);
    is_used[which] = kvp_sequence_open(&sequences[which], &pool, 0, now) == KVP_OK;
    if (is_used[which])
        kvp_sequence_batch_add(&batch, &sequences[which]);
    else
        finish(&sequences[which]);
}

static void append(void) {
    uint32_t tokens[SLOTS], num_refused, kind = take_byte(), each = kind % 4;
    uint64_t before = 0, after = 0;
    int64_t offsets[ROWS + 1] = {0};
    int32_t refused[ROWS];
    for (uint32_t i = 0; i < SLOTS; i++)
        tokens[i] = kind & 16 ? take_below(2) : 0;
    for (uint32_t row = 0; row < batch.num_rows; row++)
        offsets[row + 1] = offsets[row] + (kind & 32 ? (int64_t)take_below(4) : each);
    kvp_step step = {tokens, kind & 32 ? offsets : NULL, each};
    for (uint32_t row = 0; row < batch.num_rows; row++) {
        if (batch.rows[row]->num_tokens + 3 > BLOCKS * SIZE)
            return;
        before += batch.rows[row]->num_tokens;
    }
    KVP_EXPECT(kvp_sequence_batch_write(&batch, &step) == KVP_OK);
    kvp_status status = kvp_sequence_batch_append(&batch, &pool, &step, kind & 64, now, refused, &num_refused);
    KVP_EXPECT(status == KVP_OK || (status == KVP_NOT_ENOUGH && num_refused > 0));
    for (uint32_t row = 0; row < batch.num_rows; row++)
        after += batch.rows[row]->num_tokens;
    uint64_t told = (uint64_t)offsets[batch.num_rows];
    for (uint32_t i = 0; i < num_refused; i++)
        told -= (uint64_t)(offsets[refused[i] + 1] - offsets[refused[i]]);
    KVP_EXPECT(after == (status == KVP_OK ? before + told : before));
}

static void run(void) {
    begin_with(1 + (int32_t)take_below(30), take_below(2));
    KVP_EXPECT(kvp_sequence_batch_init(&batch, ROWS, BLOCKS, SLOTS) == KVP_OK);
    memset(is_used, 0, sizeof is_used);
    while (has_more()) {
        uint32_t what = take_byte();
        int which = (int)(what / 4 % ROWS);
        if (!is_used[which])
            add_sequence(which);
        else if (what % 4 == 0)
            remove_sequence(which);
        else
            append();
        expect_sound();
        KVP_EXPECT_SOUND(kvp_sequence_batch_check(&batch));
    }
    for (int i = 0; i < ROWS; i++)
        if (is_used[i])
            remove_sequence(i);
    kvp_sequence_batch_destroy(&batch);
    end();
}
