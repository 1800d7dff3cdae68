/*
 * What:      the blocks whose retention ends at some time, soonest first, ties by id.
 * Cost:      O(log k) for k such blocks, only for blocks that were given a time-to-live; one comparison for pools that
 *            use none. 16 bytes a block of address space, resident only where used.
 * Ownership: owns its arrays.
 * Locking:   none here; the caller holds the pool's lock. Time is passed in, in nanoseconds.
 * Errors:    only kvp_expiry_heap_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   slots[id] = position of id in heap + 1, or 0 when it is not in the heap
 *   (times[heap[(p - 1) / 2]], heap[(p - 1) / 2]) < (times[heap[p]], heap[p])   for 0 < p < count
 */
#ifndef KVP_EXPIRY_HEAP_H
#define KVP_EXPIRY_HEAP_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_expiry_heap {
    int32_t *heap;    /* owned; ids */
    int32_t *slots;   /* owned; by id */
    int64_t *times;   /* owned; by id; meaningful while in the heap */
    int32_t count;    /* blocks in the heap */
    int32_t capacity; /* blocks in all */
} kvp_expiry_heap;

/* KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_expiry_heap_init(kvp_expiry_heap *self, int32_t capacity);

/* Cannot fail. */
void kvp_expiry_heap_destroy(kvp_expiry_heap *self);

/* Add the block, or move it, to this time; KVP_NO_EXPIRY takes it out. Cannot fail. */
void kvp_expiry_heap_set(kvp_expiry_heap *self, int32_t id, int64_t time);

/* Take the first block out if its time is <= now; KVP_NO_BLOCK if there is none. */
int32_t kvp_expiry_heap_pop_until(kvp_expiry_heap *self, int64_t now);

/* Empty the heap. Cannot fail. */
void kvp_expiry_heap_clear(kvp_expiry_heap *self);

/* NULL, or the broken invariant. */
const char *kvp_expiry_heap_check(const kvp_expiry_heap *self);

/* When the block's retention ends, or KVP_NO_EXPIRY. */
static inline int64_t kvp_expiry_heap_time(const kvp_expiry_heap *self, int32_t id) {
    return self->count > 0 && self->slots[id] ? self->times[id] : KVP_NO_EXPIRY;
}

#endif
