/* Requests that are opened, appended to, truncated, forked, preempted: what was computed stays where the table says. */
#include "script.h"

#include "../tests/sequence_fixture.h"

#define SEQUENCES 4
#define LONGEST   48

static kvp_sequence sequences[SEQUENCES];
static bool is_open[SEQUENCES];

static uint64_t take_tokens(uint32_t *tokens, uint32_t most) { /* of a small vocabulary, so that they meet */
    uint32_t kind = take_byte(), n = 1 + kind % most;
    for (uint32_t i = 0; i < n; i++)
        tokens[i] = kind & 128 ? take_byte() : 7;
    return n;
}

static void close_sequence(int which) {
    finish(&sequences[which]);
    is_open[which] = false;
}

static void open_sequence(int which, uint32_t block_size) {
    uint32_t tokens[LONGEST], slots = take_below(6);
    kvp_sequence *self = &sequences[which];
    begin_sequence(self, block_size, tokens, take_tokens(tokens, LONGEST));
    KVP_EXPECT(kvp_sequence_make_room(self, self->num_tokens + slots) == KVP_OK);
    is_open[which] = kvp_sequence_open(self, &pool, slots, now) == KVP_OK;
    if (!is_open[which])
        close_sequence(which);
}

static void append(kvp_sequence *self) {
    uint32_t tokens[8];
    uint64_t n = take_tokens(tokens, 8), missing;
    KVP_EXPECT(kvp_sequence_make_room(self, self->num_tokens + n) == KVP_OK);
    missing = kvp_sequence_missing(self, self->num_tokens + n);
    if ((int64_t)missing > kvp_pool_available(&pool) || self->num_tokens + n > 200)
        return;
    kvp_sequence_write(self, tokens, n);
    kvp_sequence_take(self, &pool, (uint32_t)missing);
    compute(self, self->num_computed, self->num_tokens);
    kvp_sequence_commit(self, &pool, self->num_tokens);
    kvp_sequence_count_in(self, n);
}

static void copy_all(kvp_status status, const int32_t *copies, uint32_t num_copies) {
    for (uint32_t i = 0; status == KVP_OK && i < num_copies; i++)
        copy_block(copies[2 * i], copies[2 * i + 1]);
}

static void fork_into(int child, const kvp_sequence *self) {
    int32_t copies[2 * MAX_BLOCKS];
    uint32_t num_copies;
    kvp_sequence *other = &sequences[child];
    KVP_EXPECT(kvp_sequence_init(other, self->block_size, self->salt, true) == KVP_OK);
    KVP_EXPECT(kvp_sequence_copy_tokens(other, self) == KVP_OK);
    kvp_status status = kvp_sequence_fork(other, self, &pool, now, copies, &num_copies);
    copy_all(status, copies, num_copies);
    is_open[child] = status == KVP_OK;
    if (!is_open[child])
        close_sequence(child);
}

static void step(uint32_t block_size) {
    uint32_t what = take_byte(), num_copies;
    int32_t copy[2];
    int which = (int)(what / 8 % SEQUENCES), other = (int)take_below(SEQUENCES);
    kvp_sequence *self = &sequences[which];
    if (!is_open[which]) {
        open_sequence(which, block_size);
        return;
    }
    switch (what % 8) {
    case 0:
        close_sequence(which);
        return;
    case 1:
        KVP_EXPECT(kvp_sequence_give_back(self, &pool, take_below(KVP_NUM_HINTS)) == KVP_OK);
        if (kvp_sequence_open(self, &pool, 0, now) != KVP_OK)
            close_sequence(which);
        return;
    case 2: {
        kvp_status status =
            kvp_sequence_truncate(self, &pool, 1 + take_byte() % self->num_tokens, now, copy, &num_copies);
        copy_all(status, copy, num_copies);
        return;
    }
    case 3:
        if (!is_open[other])
            fork_into(other, self);
        return;
    case 4: {
        uint64_t until = self->num_computed + take_byte() % (self->num_tokens - self->num_computed + 1);
        compute(self, self->num_computed, until);
        kvp_sequence_commit(self, &pool, until);
        return;
    }
    default:
        append(self);
    }
}

static void run(void) {
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 8};
    uint32_t block_size = sizes[take_below(6)];
    begin_as(1 + (int32_t)take_below(40), take_below(2), (kvp_policy_kind)take_below(KVP_NUM_POLICIES));
    memset(is_open, 0, sizeof is_open);
    while (has_more()) {
        step(block_size);
        for (int i = 0; i < SEQUENCES; i++)
            if (is_open[i])
                expect_whole(&sequences[i]);
    }
    for (int i = 0; i < SEQUENCES; i++)
        if (is_open[i])
            close_sequence(i);
    KVP_EXPECT(pool.num_active == 0 && pool.num_mutable == 0);
    end();
}
