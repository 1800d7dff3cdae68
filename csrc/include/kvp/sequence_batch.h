/*
 * What:      the running requests as the rows of one table, and one call that appends to all of them.
 * Cost:      8 bytes a row, and 4 for each block that a row may have; a step is O(1) a row, and O(1) a new block.
 * Ownership: owns its arrays; borrows the sequences.
 * Locking:   kvp_sequence_batch_append: with the pool's lock held. The others touch only what is the batch's and its
 *            sequences' own.
 * Errors:    KVP_NO_MEMORY, KVP_NOT_ENOUGH; no row changed then.
 *
 * Invariants, after each call:
 *   tables[r][0 .. blocks(r)) = block ids of rows[r], -1 behind;   lengths[r] = its tokens
 *   behind the last row, all of tables is -1 and all of lengths 0
 */
#ifndef KVP_SEQUENCE_BATCH_H
#define KVP_SEQUENCE_BATCH_H

#include "kvp/sequence.h"

typedef struct kvp_sequence_batch {
    kvp_sequence **rows; /* owned; the sequences are borrowed */
    int32_t *tables;     /* owned; max_rows * max_blocks */
    int32_t *lengths;    /* owned; max_rows */
    int64_t *slots;      /* owned; max_slots */
    uint32_t num_rows;
    uint32_t max_rows;
    uint32_t max_blocks; /* of a row */
    uint32_t *shown;     /* owned; for each row, how many blocks its table shows */
    uint64_t max_slots;  /* new tokens of a step, at most */
    uint64_t num_slots;  /* of the last step */
} kvp_sequence_batch;

/* What a step appends: row r gets tokens[offsets[r] .. offsets[r + 1]), or tokens[r * each .. (r + 1) * each). */
typedef struct kvp_step {
    const uint32_t *tokens;
    const int64_t *offsets; /* NULL: the same number for each row */
    uint64_t each;
} kvp_step;

static inline uint64_t kvp_step_start(const kvp_step *self, uint32_t row) {
    return self->offsets ? (uint64_t)self->offsets[row] : row * self->each;
}

static inline uint64_t kvp_step_count(const kvp_step *self, uint32_t row) {
    return self->offsets ? (uint64_t)(self->offsets[row + 1] - self->offsets[row]) : self->each;
}

/* KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_sequence_batch_init(kvp_sequence_batch *self, uint32_t max_rows, uint32_t max_blocks,
                                   uint64_t max_slots);

/* Cannot fail. */
void kvp_sequence_batch_destroy(kvp_sequence_batch *self);

/* The sequence becomes the last row. There is room for the row, and in it for the sequence's blocks. */
void kvp_sequence_batch_add(kvp_sequence_batch *self, kvp_sequence *sequence);

/* The last row moves into this one's place. */
void kvp_sequence_batch_remove(kvp_sequence_batch *self, uint32_t row);

/* Show what changed in a row since it was last shown. */
void kvp_sequence_batch_show(kvp_sequence_batch *self, uint32_t row);

/* Make room for the tokens of the step in every sequence, and write them there. KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_sequence_batch_write(kvp_sequence_batch *self, const kvp_step *step);

/* Append what was written. Rows that blocks are too few for go to `refused`, in order: with is_partial, the others are
 * served; without it, KVP_NOT_ENOUGH. */
kvp_status kvp_sequence_batch_append(kvp_sequence_batch *self, kvp_pool *pool, const kvp_step *step, bool is_partial,
                                     int64_t now, int32_t *refused, uint32_t *num_refused);

/* NULL, or the broken invariant. */
const char *kvp_sequence_batch_check(const kvp_sequence_batch *self);

#endif
