/* What the targets of whole pools share: a pool of a configuration that the script chooses, its leases, hashes whose
 * lineage is a tree, and what was written into which block. */
#ifndef KVP_POOL_SCRIPT_H
#define KVP_POOL_SCRIPT_H

#include "kvp/pool.h"
#include "script.h"

#define MOST_BLOCKS 24
#define MOST_LEASES 12
#define MOST_HASHES 12 /* of a prompt */
#define NUM_HASHES  48
#define SPACES      3
#define TOKENS      2 /* of a block */

static kvp_pool pool;
static kvp_pool_config config;
static kvp_lease *leases[MOST_LEASES]; /* NULL: a free slot */
static uint64_t written[MOST_BLOCKS];  /* the hash whose KV a block has */
static uint8_t room_for_check[5 * MOST_BLOCKS];
static int64_t now;

static void take_config(void) {
    uint32_t flags = take_byte(), kind = take_below(KVP_NUM_POLICIES);
    config = (kvp_pool_config){.num_blocks = 1 + (int32_t)take_below(MOST_BLOCKS),
                               .keeps_duplicates = flags & 1,
                               .event_capacity = flags & 2 ? 16 : 0,
                               .event_tokens = flags & 2 && flags & 4 ? TOKENS : 0,
                               .secret = {hash_of(1), flags & 8 ? 0 : hash_of(2)},
                               .policy = flags & 16 ? (kvp_policy_kind)kind : KVP_POLICY_LRU,
                               .max_namespaces = flags & 32 ? SPACES - 1 : 0,
                               .reuse_sampling = flags & 64 ? 0.5 : 0,
                               .ghost_factor = 1 + kind % 2};
    config.keeps_facts = flags & 128 && !config.max_namespaces && config.policy == KVP_POLICY_LRU;
}

static void begin(void) {
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    memset(leases, 0, sizeof leases);
    memset(written, 0, sizeof written);
    now = 0;
}

static void expect_sound(void) {
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, room_for_check));
}

/* Mostly the way from a root of the tree in which hash i continues (i - 1) / 3; sometimes any hashes, named twice too. */
static uint32_t take_hashes(uint64_t *hashes) {
    uint32_t kind = take_byte(), path[MOST_HASHES], n = 0, count = 0;
    if (kind < 32) {
        for (n = kind % MOST_HASHES; count < n; count++)
            hashes[count] = hash_of(take_below(NUM_HASHES));
        return n;
    }
    for (uint32_t at = kind % NUM_HASHES; at > 0; at = (at - 1) / 3)
        path[n++] = at;
    while (n > 0)
        hashes[count++] = hash_of(path[--n]);
    return count;
}

static kvp_lease **free_slot(void) {
    for (int i = 0; i < MOST_LEASES; i++)
        if (!leases[i])
            return &leases[i];
    return NULL;
}

/* A lease of this kind, that is not a view; NULL when there is none. */
static kvp_lease *take_lease(bool is_mutable) {
    uint32_t start = take_below(MOST_LEASES);
    for (uint32_t i = 0; i < MOST_LEASES; i++) {
        kvp_lease *lease = leases[(start + i) % MOST_LEASES];
        if (lease && lease->is_mutable == is_mutable && !lease->is_view && !lease->is_pin && !lease->ahead)
            return lease;
    }
    return NULL;
}

static kvp_lease *new_lease(uint32_t n, bool is_mutable) {
    kvp_lease *lease = kvp_lease_new(n, is_mutable);
    KVP_EXPECT(lease != NULL);
    lease->space = pool.namespaces ? (uint8_t)take_below((uint32_t)pool.namespaces->count) : 0;
    return lease;
}

/* Leases that hold nothing any more are freed. */
static void forget_dead(void) {
    for (int i = 0; i < MOST_LEASES; i++)
        if (leases[i] && !leases[i]->is_live) {
            kvp_lease_unshare(leases[i]);
            leases[i] = NULL;
        }
}

static void release(kvp_lease **slot) {
    KVP_EXPECT(kvp_pool_release_hinted(&pool, *slot, take_below(KVP_NUM_HINTS)) == KVP_OK);
    KVP_EXPECT(!(*slot)->is_live);
    forget_dead();
}

/* Nobody holds anything any more: all blocks are there. */
static void end(void) {
    for (int i = 0; i < MOST_LEASES; i++)
        if (leases[i])
            release(&leases[i]);
    expect_sound();
    KVP_EXPECT(pool.num_leases == 0 && kvp_pool_available(&pool) == config.num_blocks && pool.num_pinned == 0);
    kvp_pool_destroy(&pool);
}

#endif
