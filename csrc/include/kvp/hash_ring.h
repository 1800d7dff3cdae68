/*
 * What:      the most recent of many hashes, each with a number, found by hash: what policies remember of blocks that
 *            are gone. A ring, so that the oldest is forgotten for the newest, with an index of chains.
 * Cost:      O(1); 16 bytes an entry and 4 to 8 for the index. Fixed at construction. Adding touches one bucket and
 *            the next entry: what falls out of the ring is not looked for, its chains just end there.
 * Ownership: owns its arrays.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_hash_ring_init can fail (KVP_NO_MEMORY).
 *
 * Buckets come from a multiply fold with a secret, as the places of the hash index do: chosen hashes make no long
 * chain.
 *
 * Invariants:
 *   entries in use lie in positions [oldest, newest) of the ring; newest - oldest <= capacity
 *   count = entries in use; the entry at oldest is in use, unless count == 0
 *   a hash may be in use more than once: the newest is found
 */
#ifndef KVP_HASH_RING_H
#define KVP_HASH_RING_H

#include "kvp/status.h"
#include "kvp/types.h"

#define KVP_NO_SLOT        UINT32_MAX
#define KVP_MAX_RING_VALUE 0x7FFFFFFFu

typedef struct kvp_hash_ring_entry {
    uint64_t hash;
    uint32_t before;     /* position of the entry that was the bucket's newest before, modulo 2**32 */
    uint32_t value : 31; /* the caller's */
    uint32_t is_used : 1;
} kvp_hash_ring_entry;

typedef struct kvp_hash_ring {
    kvp_hash_ring_entry *entries; /* owned; by slot = position % capacity */
    uint32_t *heads;              /* owned; position of each bucket's newest entry, modulo 2**32 */
    uint32_t capacity;            /* in [1, 2**31] */
    uint32_t bits;                /* 2**bits buckets */
    uint32_t count;
    uint64_t oldest; /* position */
    uint64_t newest; /* position of the next entry; the first one is 1 */
    uint64_t secret[2];
} kvp_hash_ring;

/* KVP_OK, or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_hash_ring_init(kvp_hash_ring *self, uint32_t capacity, const uint64_t secret[2]);

/* Cannot fail. A ring of zero bytes is allowed. */
void kvp_hash_ring_destroy(kvp_hash_ring *self);

/* Forget all. Cannot fail. */
void kvp_hash_ring_clear(kvp_hash_ring *self);

/* The hash's slot, or KVP_NO_SLOT. */
uint32_t kvp_hash_ring_find(const kvp_hash_ring *self, uint64_t hash);

/* Whether the oldest must be removed before another is added. */
static inline bool kvp_hash_ring_is_full(const kvp_hash_ring *self) {
    return self->newest - self->oldest == self->capacity;
}

/* Slot of the oldest entry; count > 0. */
static inline uint32_t kvp_hash_ring_oldest(const kvp_hash_ring *self) {
    return (uint32_t)(self->oldest % self->capacity);
}

/* Add a hash to a ring that is not full; returns its slot. */
uint32_t kvp_hash_ring_put(kvp_hash_ring *self, uint64_t hash, uint32_t value);

/* Forget one that is in use. Amortised O(1): entries that are passed are passed once. */
void kvp_hash_ring_remove(kvp_hash_ring *self, uint32_t slot);

/* Forget the oldest; count > 0. Nothing is looked for: the chains end behind it. */
void kvp_hash_ring_drop_oldest(kvp_hash_ring *self);

/* NULL, or the broken invariant. */
const char *kvp_hash_ring_check(const kvp_hash_ring *self);

#endif
