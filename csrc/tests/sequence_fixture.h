/* What the tests of sequences share: a pool, sequences of it, and a memory of what was written into which block. */
#ifndef KVP_SEQUENCE_FIXTURE_H
#define KVP_SEQUENCE_FIXTURE_H

#include "kvp/sequence.h"
#include "pool_fixture.h"

#define SIZE     4
#define MAX_SIZE 8 /* tokens of a block, at most */

static uint64_t written[MAX_BLOCKS]
                       [MAX_SIZE]; /* per slot: a digest of the tokens up to and with the one whose KV it is */

/* A digest of the first n tokens. */
static uint64_t digest(const kvp_sequence *sequence, uint64_t n) {
    uint64_t state = 0;
    for (uint64_t i = 0; i < n; i++)
        state = (state ^ sequence->tokens[i]) * 0x9E3779B97F4A7C15u + (state >> 29);
    return state;
}

/* Compute the KV of tokens [from, to), as an engine does through the block table. */
static void compute(const kvp_sequence *sequence, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++)
        written[sequence->lease->ids[i / sequence->block_size]][i % sequence->block_size] = digest(sequence, i + 1);
}

static void copy_block(int32_t from, int32_t to) {
    memcpy(written[to], written[from], sizeof written[to]);
}

/* The sequence and its pool are sound, and what it computed is where its table says. */
static void expect_whole(const kvp_sequence *sequence) {
    expect_sound();
    KVP_EXPECT_SOUND(kvp_sequence_check(sequence, &pool));
    for (uint64_t i = 0; sequence->lease->is_live && i < sequence->num_computed; i++)
        KVP_EXPECT(written[sequence->lease->ids[i / sequence->block_size]][i % sequence->block_size] ==
                   digest(sequence, i + 1));
}

static void write_tokens(kvp_sequence *sequence, const uint32_t *tokens, uint64_t n) {
    KVP_EXPECT(kvp_sequence_make_room(sequence, sequence->num_tokens + n) == KVP_OK);
    kvp_sequence_write(sequence, tokens, n);
    kvp_sequence_count_in(sequence, n);
}

static void begin_sequence(kvp_sequence *sequence, uint32_t block_size, const uint32_t *tokens, uint64_t n) {
    KVP_EXPECT(kvp_sequence_init(sequence, block_size, 0, true) == KVP_OK);
    write_tokens(sequence, tokens, n);
}

/* Open a sequence of these tokens, and compute what was not found. */
static void start(kvp_sequence *sequence, const uint32_t *tokens, uint64_t n) {
    begin_sequence(sequence, SIZE, tokens, n);
    KVP_EXPECT(kvp_sequence_open(sequence, &pool, 0, now) == KVP_OK);
    compute(sequence, sequence->num_cached, n);
    expect_whole(sequence);
}

static void finish(kvp_sequence *sequence) {
    KVP_EXPECT(kvp_sequence_give_back(sequence, &pool, 0) == KVP_OK);
    kvp_lease_unshare(sequence->lease);
    kvp_sequence_destroy(sequence);
    expect_sound();
}

#define TOKENS(...)      ((const uint32_t[]){__VA_ARGS__})
#define NUM_TOKENS(...)  (sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))
#define START(into, ...) start(into, TOKENS(__VA_ARGS__), NUM_TOKENS(__VA_ARGS__))

#endif
