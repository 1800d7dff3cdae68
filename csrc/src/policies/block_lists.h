/*
 * What:      what policies of a few lists share: the lists, which list each block is in, and a byte of the policy's
 *            own for each block.
 * Cost:      O(1); two bytes a block.
 * Ownership: owns its arrays; borrows the rows.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_block_lists_new can fail (NULL).
 *
 * A policy either takes a block out of its list when it is held again, or leaves it in its place and passes over it
 * when its turn comes: "stays".
 *
 * Invariants (kvp_block_lists_check):
 *   list_of[id] = l  <=>  block id is linked into list l
 *   lengths[l] = blocks in list l
 */
#ifndef KVP_BLOCK_LISTS_H
#define KVP_BLOCK_LISTS_H

#include "kvp/lru_list.h"
#include "policies.h"

#define KVP_NO_LIST 255u

typedef struct kvp_block_lists {
    kvp_policy base;
    uint8_t *list_of; /* owned; by id; KVP_NO_LIST for none */
    uint8_t *marks;   /* owned; by id; the policy's */
    int32_t lengths[KVP_POLICY_LISTS];
} kvp_block_lists;

/* A policy of `size` bytes that begins with a kvp_block_lists; NULL when there is no memory. */
void *kvp_block_lists_new(size_t size, const kvp_policy_methods *methods, kvp_block_table *table, int32_t first_end);

/* Free what kvp_block_lists_new gave. */
void kvp_block_lists_delete(kvp_block_lists *self, size_t size);

/* Empty lists, marks of 0. */
void kvp_block_lists_clear(kvp_block_lists *self);

/* NULL, or the broken invariant; stores how many linked blocks nobody holds. */
const char *kvp_block_lists_check(const kvp_block_lists *self, int32_t *count);

static inline bool kvp_block_lists_has(const kvp_block_lists *self, int32_t id) {
    return self->list_of[id] != KVP_NO_LIST;
}

/* The oldest block of a list that is not empty. */
static inline int32_t kvp_block_lists_oldest(const kvp_block_lists *self, uint32_t list) {
    return self->base.rows[self->base.first_end + (int32_t)list].next;
}

static inline void kvp_block_lists_push_newest(kvp_block_lists *self, uint32_t list, int32_t id) {
    kvp_lru_list_push_newest(self->base.rows, self->base.first_end + (int32_t)list, id);
    self->list_of[id] = (uint8_t)list;
    self->lengths[list]++;
}

static inline void kvp_block_lists_push_oldest(kvp_block_lists *self, uint32_t list, int32_t id) {
    kvp_lru_list_push_oldest(self->base.rows, self->base.first_end + (int32_t)list, id);
    self->list_of[id] = (uint8_t)list;
    self->lengths[list]++;
}

/* Take a block out of its list; returns which that was. */
static inline uint32_t kvp_block_lists_take(kvp_block_lists *self, int32_t id) {
    uint32_t list = self->list_of[id];
    kvp_lru_list_close(self->base.rows, self->base.rows[id].prev, self->base.rows[id].next);
    self->list_of[id] = KVP_NO_LIST;
    self->lengths[list]--;
    return list;
}

/* Methods of policies that take a held block out of its list. */
static inline void kvp_block_lists_remove(kvp_policy *base, int32_t id) {
    (void)kvp_block_lists_take((kvp_block_lists *)base, id);
}

/* Methods of policies whose blocks stay while they are held. */
static inline void kvp_block_lists_stay(kvp_policy *base, int32_t id) {
    (void)base;
    (void)id;
}

#endif
