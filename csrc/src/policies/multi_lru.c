/*
 * Four lists by how often a block is asked for, each by recency; the coldest goes first. How often is estimated as
 * TinyLFU does (Einziger, Friedman and Manes, ACM Transactions on Storage 2017): by a count-min sketch of four rows
 * of 4-bit counters, which goes on after eviction, and in which all counters are halved over every ten additions for
 * each counter of a row. The limits of the lists are those of Dynamo's multi-LRU backend. Halving goes on bit by bit,
 * so that no single call pays for it.
 */
#include "block_lists.h"
#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

#define ROWS         4u
#define PER_WORD     16u /* counters of 4 bits */
#define AGE_AFTER    10u /* additions for each counter of a row */
#define HALVED(word) ((word) >> 1 & UINT64_C(0x7777777777777777))

typedef struct multi_lru {
    kvp_block_lists lists;
    uint64_t *words; /* owned; ROWS rows of 2**bits counters */
    uint32_t bits;
    uint64_t secret[2];
    uint64_t additions;
    uint64_t halved; /* words that were halved, of all passes together */
} multi_lru;

static size_t words_of_row(const multi_lru *self) {
    return (size_t)1 << (self->bits - 4);
}

static uint64_t mix(const multi_lru *self, uint64_t hash) {
    unsigned __int128 product = (unsigned __int128)(hash ^ self->secret[0]) * (self->secret[1] | 1);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Word and shift of the hash's counter in a row: each row takes other bits of the mixed hash. */
static uint64_t *counter_of(const multi_lru *self, uint64_t mixed, uint32_t row, uint32_t *shift) {
    uint64_t turned = (mixed << 16 * row | mixed >> (64 - 16 * row) % 64) * UINT64_C(0x9E3779B97F4A7C15);
    uint64_t at = turned >> (64 - self->bits);
    *shift = (uint32_t)(at % PER_WORD) * 4;
    return &self->words[row * words_of_row(self) + at / PER_WORD];
}

static uint32_t estimate(const multi_lru *self, uint64_t hash) {
    uint32_t least = 15, shift;
    uint64_t mixed = mix(self, hash);
    for (uint32_t row = 0; row < ROWS; row++) {
        const uint64_t *word = counter_of(self, mixed, row, &shift);
        uint32_t count = (uint32_t)(*word >> shift) & 15;
        least = count < least ? count : least;
    }
    return least;
}

/* So many words as additions are behind: after AGE_AFTER additions for each counter of a row, every word was halved
 * once. */
static void age(multi_lru *self) {
    uint64_t words = ROWS * words_of_row(self), due = ++self->additions * ROWS / (PER_WORD * AGE_AFTER);
    for (; self->halved < due; self->halved++)
        self->words[self->halved % words] = HALVED(self->words[self->halved % words]);
}

static void count(kvp_policy *base, int32_t id) {
    multi_lru *self = (multi_lru *)base;
    uint64_t mixed = mix(self, base->rows[id].hash);
    for (uint32_t row = 0; row < ROWS; row++) {
        uint32_t shift;
        uint64_t *word = counter_of(self, mixed, row, &shift);
        if ((*word >> shift & 15) < 15)
            *word += UINT64_C(1) << shift;
    }
    age(self);
}

static uint32_t list_for(const multi_lru *self, int32_t id) {
    uint32_t often = estimate(self, self->lists.base.rows[id].hash);
    return often < 3 ? 0 : often < 8 ? 1 : often < 15 ? 2 : 3;
}

static void add(kvp_policy *base, int32_t id) {
    multi_lru *self = (multi_lru *)base;
    kvp_block_lists_push_newest(&self->lists, list_for(self, id), id);
}

static void add_next(kvp_policy *base, int32_t id) {
    multi_lru *self = (multi_lru *)base;
    kvp_block_lists_push_oldest(&self->lists, list_for(self, id), id);
}

static int32_t next(kvp_policy *base) {
    multi_lru *self = (multi_lru *)base;
    uint32_t coldest = 0;
    while (self->lists.lengths[coldest] == 0)
        coldest++;
    int32_t id = kvp_block_lists_oldest(&self->lists, coldest);
    (void)kvp_block_lists_take(&self->lists, id);
    return id;
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    (void)base;
    (void)id;
    (void)is_evicted;
}

static void clear(kvp_policy *base) {
    multi_lru *self = (multi_lru *)base;
    kvp_block_lists_clear(&self->lists);
    memset(self->words, 0, ROWS * words_of_row(self) * sizeof *self->words);
    self->additions = self->halved = 0;
}

static void destroy(kvp_policy *base) {
    multi_lru *self = (multi_lru *)base;
    kvp_memory_free(self->words, ROWS * words_of_row(self), sizeof *self->words);
    kvp_block_lists_delete(&self->lists, sizeof(multi_lru));
}

static const char *check(const kvp_policy *base, int32_t *blocks) {
    const multi_lru *self = (const multi_lru *)base;
    KVP_REQUIRE(self->halved == self->additions * ROWS / (PER_WORD * AGE_AFTER), "the sketch has not aged");
    return kvp_block_lists_check(&self->lists, blocks);
}

kvp_policy *kvp_multi_lru_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.admit = count,
                                  .hit = count,
                                  .add = add,
                                  .remove = kvp_block_lists_remove,
                                  .next = next,
                                  .add_next = add_next,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    multi_lru *self = kvp_block_lists_new(sizeof(multi_lru), &methods, table, first_end);
    if (!self)
        return NULL;
    memcpy(self->secret, config->secret, sizeof self->secret);
    for (self->bits = 4; self->bits < 31 && (int64_t)1 << self->bits < table->num_blocks;)
        self->bits++;
    self->words = kvp_memory_new(ROWS * words_of_row(self), sizeof *self->words);
    if (!self->words) {
        destroy(&self->lists.base);
        return NULL;
    }
    return &self->lists.base;
}
