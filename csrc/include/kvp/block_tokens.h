/*
 * What:      the tokens of registered blocks, for those who are told of all blocks at once and must hash them for
 *            themselves.
 * Cost:      4 bytes a token, 1 a block, resident only where used; O(block_size) to set. None when none are kept.
 * Ownership: owns its arrays.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_block_tokens_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   is_known[id] is 0 or 1; all are 0, and there is no array, when block_size is 0
 */
#ifndef KVP_BLOCK_TOKENS_H
#define KVP_BLOCK_TOKENS_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_block_tokens {
    uint32_t *tokens;    /* owned; those of block id begin at id * block_size */
    uint8_t *is_known;   /* owned; by id */
    int32_t num_blocks;  /* blocks in all */
    uint32_t block_size; /* tokens of a block; 0: none are kept */
} kvp_block_tokens;

/* KVP_OK or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_block_tokens_init(kvp_block_tokens *self, int32_t num_blocks, uint32_t block_size);

/* Cannot fail. */
void kvp_block_tokens_destroy(kvp_block_tokens *self);

/* What the block has in it from now on; NULL: not known. Only where tokens are kept. */
void kvp_block_tokens_set(kvp_block_tokens *self, int32_t id, const uint32_t *tokens);

/* NULL, or the broken invariant. */
const char *kvp_block_tokens_check(const kvp_block_tokens *self);

/* Tokens of the block; NULL when they are not known. */
static inline const uint32_t *kvp_block_tokens_get(const kvp_block_tokens *self, int32_t id) {
    return self->is_known && self->is_known[id] ? self->tokens + (size_t)id * self->block_size : NULL;
}

#endif
