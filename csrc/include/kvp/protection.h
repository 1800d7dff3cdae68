/*
 * What:      blocks that the waiting queue will match next, as the caller said last: a set of ids that is replaced as a
 *            whole, and for those of them that were set aside when their turn to be evicted came, the level they had.
 * Cost:      O(1) for each id named; 9 bytes a block of address space, resident only where used.
 * Ownership: owns its arrays.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_protection_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   ids[0 .. count) differ; epochs[id] is 0 or `epoch` for each, and 0 for every other id
 */
#ifndef KVP_PROTECTION_H
#define KVP_PROTECTION_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_protection {
    uint32_t *epochs; /* owned; by id: `epoch` when it is protected */
    uint8_t *levels;  /* owned; by id; meaningful while the block's level is KVP_PROTECTED_LEVEL */
    int32_t *ids;     /* owned; those that are protected, and some that were */
    int32_t count;    /* of ids */
    int32_t capacity; /* blocks in all */
    uint32_t epoch;   /* times the set was replaced, + 1 */
} kvp_protection;

/* KVP_OK, or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_protection_init(kvp_protection *self, int32_t capacity);

/* Cannot fail. */
void kvp_protection_destroy(kvp_protection *self);

/* Protect nothing. Cannot fail. */
void kvp_protection_clear(kvp_protection *self);

/* A new set begins: name its ids with kvp_protection_add. Those of the old one that are not named again are what
 * kvp_protection_end leaves. */
void kvp_protection_begin(kvp_protection *self);

/* The id is in the new set. */
void kvp_protection_add(kvp_protection *self, int32_t id);

/* The new set is complete: ids that are not protected any more are moved to the end of ids; returns where they begin.
 * Their number is *dropped. */
int32_t kvp_protection_end(kvp_protection *self, int32_t *dropped);

/* NULL, or the broken invariant. */
const char *kvp_protection_check(const kvp_protection *self);

static inline bool kvp_protection_has(const kvp_protection *self, int32_t id) {
    return KVP_UNLIKELY(self->count > 0) && self->epochs[id] == self->epoch;
}

/* The block is not what it was: it is protected no more. */
static inline void kvp_protection_drop(kvp_protection *self, int32_t id) {
    if (KVP_UNLIKELY(self->count > 0))
        self->epochs[id] = 0;
}

#endif
