/*
 * What:      whose the blocks are, in pools that tenants share: for each namespace its floor and its cap, the blocks that
 *            it holds and has cached, and an order of eviction of its own.
 * Cost:      O(1) for each block that changes hands; O(namespaces) for each that is evicted. A byte a block, 3 to 5 KB a
 *            namespace, and what a policy takes, for each of them again.
 * Ownership: owns its arrays and the orders, but for the default namespace's, which is the pool's.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    kvp_namespaces_init: KVP_NO_MEMORY. kvp_namespaces_set: KVP_FULL, KVP_NOT_ENOUGH.
 *
 * A floor is kept in two ways. What a namespace has up to its floor, others do not evict. And nobody comes to hold so
 * much that the floors of the others could not be held as well: `promised` never grows beyond the pool. From the second
 * follows that whoever may hold another block finds one to evict: if all others were within their floors, so many blocks
 * would be the caller's own that one of them is cached.
 *
 * Invariants:
 *   promised = sum of max(floor, held) over the namespaces <= num_blocks
 *   held(ns)   = mutable and active blocks b with of(b) = ns <= cap(ns), unless the cap was lowered since
 *   cached(ns) = cached blocks b with of(b) = ns
 *   0 <= floor <= cap <= num_blocks
 */
#ifndef KVP_NAMESPACES_H
#define KVP_NAMESPACES_H

#include "kvp/eviction.h"

#define KVP_MAX_NAMESPACES 256 /* the default one is number 0 */

typedef struct kvp_quota {
    int32_t floor, cap;
    int32_t held, cached;
} kvp_quota;

/* Some of the namespaces. */
typedef struct kvp_space_set {
    uint64_t words[KVP_MAX_NAMESPACES / 64];
} kvp_space_set;

typedef struct kvp_namespaces {
    kvp_eviction *orders; /* owned; of namespaces 1, 2, ... */
    kvp_quota *quotas;    /* owned; by namespace */
    uint8_t *of;          /* owned; by id: whose it is; meaningful unless it is empty */
    int32_t count;        /* namespaces in use, the default one among them */
    int32_t capacity;
    int32_t num_blocks;
    int64_t promised;
} kvp_namespaces;

/* The default namespace, and room for `capacity` - 1 others, whose ends of lists begin at first_end. KVP_OK, or
 * KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_namespaces_init(kvp_namespaces *self, int32_t capacity, kvp_block_table *table, int32_t first_end,
                               const kvp_policy_config *policy);

/* Cannot fail. One of zero bytes is allowed. */
void kvp_namespaces_destroy(kvp_namespaces *self);

/* Every block is empty now. Cannot fail. */
void kvp_namespaces_clear(kvp_namespaces *self);

/* Give namespace `space` these quotas; `space` = count makes a new one. KVP_NOT_ENOUGH when the floor is more than the
 * others leave; KVP_FULL when there is no room for another. 0 <= floor <= cap <= num_blocks. */
kvp_status kvp_namespaces_set(kvp_namespaces *self, int32_t space, int32_t floor, int32_t cap);

/* Whose cached block is to go for one that this namespace counts as held already: its own when it is beyond its cap; else
 * that of the one that is furthest beyond its floor; its own when nobody is. */
int32_t kvp_namespaces_victim(const kvp_namespaces *self, int32_t space);

/* The one with cached blocks that is furthest beyond its floor, of all but those in the set; -1 when none is. */
int32_t kvp_namespaces_wealthiest(const kvp_namespaces *self, const kvp_space_set *without);

/* NULL, or the broken invariant, but for the counts, which kvp_pool_check makes. */
const char *kvp_namespaces_check(const kvp_namespaces *self);

static inline bool kvp_space_set_has(const kvp_space_set *self, int32_t space) {
    return self->words[space / 64] >> (space % 64) & 1;
}

static inline void kvp_space_set_add(kvp_space_set *self, int32_t space) {
    self->words[space / 64] |= UINT64_C(1) << (space % 64);
}

static inline int64_t kvp_namespaces_promise(const kvp_quota *quota) {
    return quota->floor > quota->held ? quota->floor : quota->held;
}

/* Blocks that the namespace may come to hold beside those that it holds. */
static inline int64_t kvp_namespaces_room(const kvp_namespaces *self, int32_t space) {
    const kvp_quota *quota = &self->quotas[space];
    int64_t all = self->num_blocks - self->promised + kvp_namespaces_promise(quota) - quota->held;
    int64_t own = (int64_t)quota->cap - quota->held;
    int64_t room = own < all ? own : all;
    return room > 0 ? room : 0;
}

/* It holds so many more blocks, or fewer. */
static inline void kvp_namespaces_hold(kvp_namespaces *self, int32_t space, int32_t difference) {
    kvp_quota *quota = &self->quotas[space];
    self->promised -= kvp_namespaces_promise(quota);
    quota->held += difference;
    self->promised += kvp_namespaces_promise(quota);
}

#endif
