/*
 * What:      the empty blocks: a stack of ids, so that the block used last, whose row is still in the cache, is used
 *            next, and so that the rows of the next n are known before they are needed.
 * Cost:      4 bytes a block; push and pop O(1).
 * Ownership: owns its array.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_free_list_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   0 <= count <= capacity
 *   ids[0 .. count) are distinct and in [0, capacity)
 */
#ifndef KVP_FREE_LIST_H
#define KVP_FREE_LIST_H

#include "kvp/check.h"
#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_free_list {
    int32_t *ids;     /* owned; ids[count - 1] goes out next */
    int32_t count;    /* empty blocks */
    int32_t capacity; /* all blocks */
} kvp_free_list;

/* All ids, 0 on top. KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_free_list_init(kvp_free_list *self, int32_t capacity);

/* Cannot fail. */
void kvp_free_list_destroy(kvp_free_list *self);

/* As after init: all ids, 0 on top. Cannot fail. */
void kvp_free_list_refill(kvp_free_list *self);

/* NULL, or the sentence that names the broken invariant. seen is scratch: capacity bytes, all zero; cleared again. */
const char *kvp_free_list_check(const kvp_free_list *self, uint8_t *seen);

static inline void kvp_free_list_push(kvp_free_list *self, int32_t id) {
    KVP_ASSERT(self->count < self->capacity);
    self->ids[self->count++] = id;
}

static inline int32_t kvp_free_list_pop(kvp_free_list *self) {
    KVP_ASSERT(self->count > 0);
    return self->ids[--self->count];
}

#endif
