/*
 * What:      blocks that are held because somebody will ask for them, and whether somebody has.
 * Cost:      O(1) for each block; 8 bytes a block of address space, resident only where used.
 * Ownership: owns its arrays.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_foresight_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   count = number of ids with marks[id] > 0
 */
#ifndef KVP_FORESIGHT_H
#define KVP_FORESIGHT_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_foresight {
    uint32_t *marks;    /* owned; by id: holds ahead that name it and began after it was asked for last */
    uint32_t *asked;    /* owned; by id: number of the newest hold when it was asked for last */
    uint32_t number;    /* of the newest hold; the first is 1 */
    int32_t num_blocks; /* blocks in all */
    int32_t count;      /* blocks that are held ahead, and that nobody has asked for */
    uint64_t useful;    /* blocks that were asked for while they were held ahead */
    uint64_t wasted;    /* blocks that were not */
} kvp_foresight;

/* KVP_OK, or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_foresight_init(kvp_foresight *self, int32_t num_blocks);

/* Cannot fail. */
void kvp_foresight_destroy(kvp_foresight *self);

/* Each of these blocks is held ahead once more; returns the number of the hold, which is not 0. */
uint32_t kvp_foresight_add(kvp_foresight *self, const int32_t *ids, uint32_t n);

/* Somebody asks for these blocks; KVP_NO_BLOCK is passed over. */
void kvp_foresight_hit(kvp_foresight *self, const int32_t *ids, uint32_t n);

/* The hold of this number on these blocks ends. */
void kvp_foresight_end(kvp_foresight *self, const int32_t *ids, uint32_t n, uint32_t number);

/* NULL, or the broken invariant. */
const char *kvp_foresight_check(const kvp_foresight *self);

#endif
