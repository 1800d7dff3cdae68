/*
 * What:      the inactive pool's cached blocks in the order in which they go: level by level, and within the default
 *            level as the policy says. Where blocks enter and leave that order, they do it here.
 * Cost:      O(1) for each block, amortised. Without a policy (LRU) one test more than the lists of the levels.
 * Ownership: owns the policy; borrows the rows.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_eviction_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   a cached block is parked, or in the list of its level, or, if there is a policy and its level is the default, the
 *   policy's with a policy, the list of the default level is empty
 *   policy->count = cached blocks of the default level that are not parked
 */
#ifndef KVP_EVICTION_H
#define KVP_EVICTION_H

#include "kvp/policy.h"
#include "kvp/priority_buckets.h"

typedef struct kvp_eviction {
    kvp_priority_buckets buckets;
    kvp_policy *policy; /* owned; NULL for LRU */
} kvp_eviction;

/* Rows that the ends of lists need behind those of the blocks. */
int32_t kvp_eviction_num_ends(kvp_policy_kind kind);

/* KVP_OK or KVP_NO_MEMORY. The ends are rows first_end, first_end + 1, ... */
kvp_status kvp_eviction_init(kvp_eviction *self, kvp_block_table *table, int32_t first_end,
                             const kvp_policy_config *config);

/* Cannot fail. */
void kvp_eviction_destroy(kvp_eviction *self);

/* Forget every block. Cannot fail. */
void kvp_eviction_clear(kvp_eviction *self);

/* Level of the block that goes next; KVP_NUM_LEVELS when there is none. */
uint32_t kvp_eviction_lowest_level(const kvp_eviction *self);

/* Take out the block that goes next; KVP_NO_BLOCK when there is none. */
int32_t kvp_eviction_take_next(kvp_eviction *self);

/* Change the level of a registered block; it keeps its place, or becomes the newest of its new level. */
void kvp_eviction_set_level(kvp_eviction *self, int32_t id, uint32_t level);

/* NULL, or the broken invariant; stores how many blocks can be taken. */
const char *kvp_eviction_check(const kvp_eviction *self, int32_t *count);

/* Whether the policy orders the block. */
static inline bool kvp_eviction_is_ranked(const kvp_eviction *self, int32_t id) {
    return KVP_UNLIKELY(self->policy != NULL) && self->buckets.rows[id].level == KVP_DEFAULT_LEVEL;
}

/* Nobody holds the block any more. */
static inline void kvp_eviction_add(kvp_eviction *self, int32_t id) {
    if (kvp_eviction_is_ranked(self, id)) {
        self->policy->count++;
        self->policy->methods.add(self->policy, id);
    } else {
        kvp_priority_buckets_add_newest(&self->buckets, id);
    }
}

/* The last block that continued this one, which was set aside, is gone: it goes next. */
static inline void kvp_eviction_add_next(kvp_eviction *self, int32_t id) {
    if (kvp_eviction_is_ranked(self, id)) {
        self->policy->count++;
        self->policy->methods.add_next(self->policy, id);
    } else {
        kvp_priority_buckets_add_oldest(&self->buckets, id);
    }
}

/* Somebody holds the block again, or it is to lose its identity. It is not set aside. */
static inline void kvp_eviction_remove(kvp_eviction *self, int32_t id) {
    if (kvp_eviction_is_ranked(self, id)) {
        self->policy->count--;
        self->policy->methods.remove(self->policy, id);
    } else {
        kvp_priority_buckets_remove(&self->buckets, id);
    }
}

/* The block got its identity and its level. */
static inline void kvp_eviction_admit(kvp_eviction *self, int32_t id) {
    if (kvp_eviction_is_ranked(self, id) && self->policy->methods.admit)
        self->policy->methods.admit(self->policy, id);
}

/* The block, which is in no list, loses its identity. */
static inline void kvp_eviction_leave(kvp_eviction *self, int32_t id, bool is_evicted) {
    if (kvp_eviction_is_ranked(self, id))
        self->policy->methods.leave(self->policy, id, is_evicted);
}

/* A request asks for these blocks; KVP_NO_BLOCK is passed over. */
static inline void kvp_eviction_hit(kvp_eviction *self, const int32_t *ids, uint32_t n, int64_t now) {
    if (KVP_LIKELY(!self->policy))
        return;
    self->policy->now = now;
    for (uint32_t i = 0; self->policy->methods.hit && i < n; i++)
        if (ids[i] != KVP_NO_BLOCK && kvp_eviction_is_ranked(self, ids[i]))
            self->policy->methods.hit(self->policy, ids[i]);
}

/* Time has passed. */
static inline void kvp_eviction_see_time(kvp_eviction *self, int64_t now) {
    if (KVP_UNLIKELY(self->policy != NULL))
        self->policy->now = now;
}

/* A release begins, which the caller gave this hint. */
static inline void kvp_eviction_begin_release(kvp_eviction *self, uint32_t hint, int64_t now) {
    kvp_eviction_see_time(self, now);
    if (KVP_UNLIKELY(self->policy != NULL))
        self->policy->hint = hint;
}

/* It ends: all that it gave back has been added. */
static inline void kvp_eviction_end_release(kvp_eviction *self) {
    if (KVP_LIKELY(!self->policy))
        return;
    if (self->policy->methods.released)
        self->policy->methods.released(self->policy);
    self->policy->hint = 0;
}

#endif
