/*
 * What:      what an eviction policy is: the order in which the cached blocks of the default level go. Each policy is a
 *            file in src/policies; LRU needs none, it is the list of its level.
 * Cost:      every method is O(1) for each block, amortised: what a call looks at and leaves for later, it looks at
 *            once for each time the block came back.
 * Ownership: a policy owns its state; it borrows the rows, and may link cached blocks through prev and next.
 * Locking:   none here; the caller holds the pool's lock. Time is passed in, and nothing is random.
 * Errors:    only kvp_policy_new can fail (NULL). Methods cannot.
 *
 * A block's life, as a policy sees it:
 *   admit -> { add -> remove, with a hit where it was asked for } ... -> next, or remove, or neither -> leave
 * Blocks that are released together are added last block first. next() may name a block that others continue:
 * kvp_eviction sets it aside, and gives it back with add_next when the last of them has gone. So no policy needs to
 * know lineage.
 *
 * Invariants (kvp_policy_check):
 *   count = blocks that were added, and not removed or named by next since
 *   each of the KVP_POLICY_LISTS ends is that of a list; those not used are empty
 *   and those of each policy
 */
#ifndef KVP_POLICY_H
#define KVP_POLICY_H

#include "kvp/block_table.h"

#define KVP_POLICY_LISTS 64 /* ends of lists that a policy has to itself, behind those of the levels */
#define KVP_NUM_HINTS    4  /* classes of release that a caller can tell apart */

typedef enum kvp_policy_kind {
    KVP_POLICY_LRU = 0,
    KVP_POLICY_FIFO,
    KVP_POLICY_LFU,
    KVP_POLICY_SLRU,
    KVP_POLICY_S3FIFO,
    KVP_POLICY_SIEVE,
    KVP_POLICY_ARC,
    KVP_POLICY_MULTI_LRU,
    KVP_POLICY_ADAPTIVE,
    KVP_NUM_POLICIES
} kvp_policy_kind;

typedef struct kvp_policy kvp_policy;

typedef struct kvp_policy_methods {
    /* The block got an identity, or came to the default level. NULL: of no interest. */
    void (*admit)(kvp_policy *self, int32_t id);
    /* A request asks for the block, cached or active. NULL: of no interest. */
    void (*hit)(kvp_policy *self, int32_t id);
    /* Nobody holds the block any more. */
    void (*add)(kvp_policy *self, int32_t id);
    /* Somebody holds the block again. It may stay linked: next() then passes over it. */
    void (*remove)(kvp_policy *self, int32_t id);
    /* Take out the block that goes next. count > 0. */
    int32_t (*next)(kvp_policy *self);
    /* A block that next() named, and that was set aside: it is the first of its kind to go. */
    void (*add_next)(kvp_policy *self, int32_t id);
    /* All that one release gave back has been added. NULL: of no interest. */
    void (*released)(kvp_policy *self);
    /* The block, which is in no list that count counts, loses its identity or the default level. */
    void (*leave)(kvp_policy *self, int32_t id, bool is_evicted);
    /* Forget every block, and all that was learned of them. */
    void (*clear)(kvp_policy *self);
    void (*destroy)(kvp_policy *self);
    /* NULL, or the broken invariant; stores what count should be. */
    const char *(*check)(const kvp_policy *self, int32_t *count);
} kvp_policy_methods;

struct kvp_policy {
    kvp_policy_methods methods;
    kvp_block *rows;    /* borrowed; the block table's */
    int32_t num_blocks; /* of the pool */
    int32_t first_end;  /* row of the first of its KVP_POLICY_LISTS ends */
    int32_t count;      /* blocks that next() can name; kept by kvp_eviction */
    uint32_t hint;      /* class of the release that is going on, in [0, KVP_NUM_HINTS) */
    int64_t now;        /* nanoseconds */
};

typedef struct kvp_policy_config {
    kvp_policy_kind kind;
    uint32_t ghost_factor; /* entries that remember evicted blocks, for each block; of policies that do */
    uint64_t secret[2];    /* random; where hashes of evicted blocks go */
} kvp_policy_config;

/* A policy over the rows; NULL when there is no memory. The kind is not KVP_POLICY_LRU. */
kvp_policy *kvp_policy_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end);

/* NULL, or the broken invariant. */
const char *kvp_policy_check(const kvp_policy *self);

/* Cannot fail. NULL is allowed. */
void kvp_policy_destroy(kvp_policy *self);

#endif
