/*
 * What:      a request: its tokens, their hashes, and the blocks that hold their KV, in one piece.
 * Cost:      12 bytes a block and 4 a token, in three arrays that grow by half; a lease. open, append and commit are
 *            O(1) a block, beyond the hashing of what becomes full.
 * Ownership: owns its arrays and its lease. When it goes, the lease may stay behind on the deferred stack.
 * Locking:   the functions that take a pool: with its lock held. The others touch only what is the sequence's own;
 *            those that allocate memory or hash are to be called before the lock is taken.
 * Errors:    KVP_NO_MEMORY, KVP_NOT_ENOUGH; nothing changed then.
 *
 * Invariants:
 *   lease->ids[0 .. lease->registered) are registered under hashes[0 .. lease->registered)
 *   lease->registered <= num_computed / block_size, once committed; num_cached, num_computed <= num_tokens
 *   hashes[0 .. num_tokens / block_size) are those of the tokens
 *   lease->count * block_size >= num_tokens, unless the sequence holds nothing
 */
#ifndef KVP_SEQUENCE_H
#define KVP_SEQUENCE_H

#include "kvp/pool.h"

typedef struct kvp_sequence {
    kvp_lease *lease;        /* owned */
    uint32_t *tokens;        /* owned */
    uint64_t *hashes;        /* owned; sequence hashes of the full blocks */
    uint64_t *checks;        /* owned; their check words; NULL where keys have none */
    uint64_t token_capacity; /* tokens that there is room for, in all arrays */
    uint64_t num_tokens;
    uint64_t num_cached;   /* tokens found in the cache when it was opened or resumed */
    uint64_t num_computed; /* tokens whose KV is written */
    uint64_t salt;         /* seed of the block hashes */
    uint64_t secret[2];    /* of the check words */
    bool has_checks;       /* keys are 128 bits */
    uint32_t block_size;
    int32_t shift;          /* block_size == 1 << shift; -1: it is no power of two */
    uint32_t changed;       /* up to this block, the table is as somebody last looked */
    bool commits_on_append; /* tokens before the appended ones count as computed */
} kvp_sequence;

/* KVP_OK or KVP_NO_MEMORY. No tokens, no blocks. */
kvp_status kvp_sequence_init(kvp_sequence *self, uint32_t block_size, uint64_t salt, bool commits_on_append);

/* Keys of this sequence, which has no tokens yet, are 128 bits: its check words are made with the secret. */
void kvp_sequence_keep_checks(kvp_sequence *self, const uint64_t secret[2]);

/* Free what it owns but the lease. Cannot fail. */
void kvp_sequence_destroy(kvp_sequence *self);

/* Have room for this many tokens. KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_sequence_make_room(kvp_sequence *self, uint64_t num_tokens);

/* Write n tokens behind those that are there, and hash the blocks that they fill; they count when kvp_sequence_count_in
 * says so, and are gone with the next call if not. There is room for them. */
void kvp_sequence_write(kvp_sequence *self, const uint32_t *tokens, uint64_t n);

/* Blocks that this many tokens fill; a division would be most of what a decode step costs. */
static inline uint32_t kvp_sequence_full_blocks(const kvp_sequence *self, uint64_t num_tokens) {
    return (uint32_t)(KVP_LIKELY(self->shift >= 0) ? num_tokens >> self->shift : num_tokens / self->block_size);
}

/* Blocks that are needed for this many tokens. */
static inline uint32_t kvp_sequence_blocks_for(const kvp_sequence *self, uint64_t num_tokens) {
    return kvp_sequence_full_blocks(self, num_tokens + self->block_size - 1);
}

/* Hold the cached prefix of the tokens but the last, and take blocks for the others and for `slots` more. There is room
 * for these. KVP_OK or KVP_NOT_ENOUGH. */
kvp_status kvp_sequence_open(kvp_sequence *self, kvp_pool *pool, uint64_t slots, int64_t now);

/* Hold nothing any more; the tokens stay. KVP_OK, or KVP_CORRUPT as kvp_pool_release. */
kvp_status kvp_sequence_give_back(kvp_sequence *self, kvp_pool *pool, uint32_t hint);

/* Blocks to be taken before the sequence can have this many tokens. */
static inline uint32_t kvp_sequence_missing(const kvp_sequence *self, uint64_t num_tokens) {
    uint32_t needed = kvp_sequence_blocks_for(self, num_tokens);
    return needed > self->lease->count ? needed - self->lease->count : 0;
}

/* Take n more blocks. There is room for them in the table, and as many are available. */
void kvp_sequence_take(kvp_sequence *self, kvp_pool *pool, uint32_t n);

/* n tokens that were written count from now on. */
static inline void kvp_sequence_count_in(kvp_sequence *self, uint64_t n) {
    self->num_tokens += n;
}

/* Register the blocks up to `until`, whose KV is written. */
void kvp_sequence_register(kvp_sequence *self, kvp_pool *pool, uint32_t until);

/* The KV of the first num_computed tokens is written: full blocks among them are registered. Cannot fail. */
static inline void kvp_sequence_commit(kvp_sequence *self, kvp_pool *pool, uint64_t num_computed) {
    uint32_t until = kvp_sequence_full_blocks(self, num_computed);
    self->num_computed = num_computed;
    if (KVP_UNLIKELY(until > self->lease->registered))
        kvp_sequence_register(self, pool, until);
}

/*
 * Keep the first num_tokens tokens, and the blocks that these need. A registered block that becomes partial loses its
 * identity if nobody else holds or continues it; otherwise a block is taken in its place: copy[0] is to be copied to
 * copy[1], *num_copies says whether. KVP_OK or KVP_NOT_ENOUGH.
 */
kvp_status kvp_sequence_truncate(kvp_sequence *self, kvp_pool *pool, uint64_t num_tokens, int64_t now, int32_t copy[2],
                                 uint32_t *num_copies);

/* A sequence without tokens gets those of another. KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_sequence_copy_tokens(kvp_sequence *self, const kvp_sequence *other);

/* `self`, which has the tokens of `other` already, shares its registered blocks, and takes a block for each of the
 * others; these are to be copied: copies[2 * i] to copies[2 * i + 1]. KVP_OK or KVP_NOT_ENOUGH. */
kvp_status kvp_sequence_fork(kvp_sequence *self, const kvp_sequence *other, kvp_pool *pool, int64_t now,
                             int32_t *copies, uint32_t *num_copies);

/* NULL, or the broken invariant. */
const char *kvp_sequence_check(const kvp_sequence *self, const kvp_pool *pool);

#endif
