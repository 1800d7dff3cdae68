/*
 * What:      the life of a block: every transition between empty, mutable, active and cached, composed of the
 *            structures.
 * Cost:      O(1) for each block, amortised; reset and reset_blocks of a block with unnamed descendants are
 *            O(num_blocks). Nothing is allocated after init.
 * Ownership: owns all structures. Leases belong to the caller, who frees one only when it is not live.
 * Locking:   none here; kvp_shared_pool puts one lock around all of it.
 * Errors:    a call that returns anything but KVP_OK has changed nothing.
 *
 * Invariants (kvp_pool_check):
 *   num_blocks = empty.count + num_mutable + num_active + num_cached
 *   num_cached = blocks in lists + parked blocks
 *   refs(b)    = live leases' entries that name b + active children of b, for every block
 *   pins(b)    = entries of live pins that name b + pinned children of b; num_pinned = blocks with pins(b) > 0
 *   has_orders <=> eviction.policy or namespaces
 *   has_extras <=> has_orders or facts or keys.is_kept or protection.count > 0 or foresight.count > 0
 *   with namespaces, a block's parent is of its own
 *   copies of a hash have one check word
 *   a registered hash is in the index once, under its oldest copy
 *   and those of every structure
 */
#ifndef KVP_POOL_H
#define KVP_POOL_H

#include "kvp/block_table.h"
#include "kvp/block_tokens.h"
#include "kvp/candidate.h"
#include "kvp/event_ring.h"
#include "kvp/eviction.h"
#include "kvp/expiry_heap.h"
#include "kvp/foresight.h"
#include "kvp/free_list.h"
#include "kvp/hash_index.h"
#include "kvp/hint_table.h"
#include "kvp/index_columns.h"
#include "kvp/key_checks.h"
#include "kvp/lease.h"
#include "kvp/namespaces.h"
#include "kvp/protection.h"
#include "kvp/reuse_sampler.h"
#include "kvp/stats.h"

typedef struct kvp_pool_config {
    int32_t num_blocks;      /* in [1, KVP_MAX_BLOCKS] */
    bool keeps_duplicates;   /* keep further copies of a hash instead of sharing the first */
    bool keeps_facts;        /* for policies outside the core: 16 bytes a block */
    bool keeps_checks;       /* keys are 128 bits: the n hashes of every call have n check words behind them */
    bool has_outer_lock;     /* whoever calls holds a lock that all callers share: the pool's own need not be one */
    uint64_t event_capacity; /* entries of the event ring; 0 records none */
    uint32_t event_tokens;   /* tokens of a block, kept for events and snapshots; 0: none, as without events */
    uint64_t secret[2];      /* random; where hashes go in the index */
    kvp_policy_kind policy;  /* order of the default level */
    int32_t max_namespaces;  /* beside the default one, less than KVP_MAX_NAMESPACES; 0: blocks are nobody's */
    double reuse_sampling;   /* share of the blocks that is followed to know what becomes of them; 0: none */
    uint32_t ghost_factor;   /* evicted blocks that the policy remembers, if it does, for each block; at least 1 */
} kvp_pool_config;

/* Ring of the copies of one hash, oldest to newest to oldest, for pools that keep duplicates. */
typedef struct kvp_copies {
    int32_t older, newer; /* itself when it is the only one; meaningful while registered */
} kvp_copies;

/* What only policies outside the core want to know of a block; meaningful while it is registered. */
typedef struct kvp_block_facts {
    int64_t last_access; /* nanoseconds */
    uint32_t reuse_count;
    uint32_t position; /* blocks before it in its sequence */
} kvp_block_facts;

typedef struct kvp_pool {
    kvp_block_table table;
    kvp_free_list empty;
    kvp_hash_index index;
    kvp_eviction eviction;
    kvp_expiry_heap expiries;
    kvp_hint_table hints;
    kvp_event_ring events;
    kvp_block_tokens tokens;
    kvp_key_checks keys;
    kvp_stats stats;
    kvp_copies *copies;         /* owned; NULL unless duplicates are kept */
    bool has_extras;            /* a policy, facts, check words, blocks protected or held ahead: what few pools have */
    kvp_block_facts *facts;     /* owned; by id; NULL unless they are kept */
    bool has_orders;            /* a policy or namespaces */
    kvp_namespaces *namespaces; /* owned; NULL unless there may be any */
    kvp_reuse_sampler *sampler; /* owned; NULL unless blocks are followed */
    kvp_protection protection;
    kvp_foresight foresight;
    uint32_t *pins;    /* owned; by id: pins that name it, and pinned blocks that continue it */
    kvp_lease *leases; /* borrowed; the live ones, newest first */
    uint64_t num_leases;
    int32_t num_mutable; /* blocks */
    int32_t num_active;
    int32_t num_cached;
    int32_t num_pinned;
    int64_t now; /* the latest time passed in, nanoseconds */
} kvp_pool;

/* What one evicted or reset block was. */
typedef struct kvp_identity {
    uint64_t hash;
    int32_t id;
} kvp_identity;

/* Part of a mutable lease: entries offset, offset + stride, ... */
typedef struct kvp_segment {
    kvp_lease *lease; /* borrowed; may be NULL when count is 0 */
    int64_t offset;
    int64_t stride;
    uint32_t count;
} kvp_segment;

typedef struct kvp_registration {
    const kvp_segment *segments; /* borrowed; the blocks, in order */
    uint32_t num_segments;
    const uint64_t *hashes; /* borrowed; one for each block */
    /* Parent of each block: without `parents` it is the block before it, and for the first one as the next two say. */
    const uint64_t *parents;       /* borrowed; NULL, or one for each block; the block itself where it has none */
    bool has_parent;               /* the first block's parent is given */
    uint64_t parent;               /* its sequence hash */
    int level;                     /* 0..100, or -1: not given */
    int64_t expiry;                /* nanoseconds, or KVP_NO_EXPIRY: not given */
    const uint32_t *const *tokens; /* borrowed; NULL, or for each block its tokens, NULL where they are not known */
} kvp_registration;

/* KVP_OK or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_pool_init(kvp_pool *self, const kvp_pool_config *config);

/* Cannot fail. No lease is live. */
void kvp_pool_destroy(kvp_pool *self);

/* The latest time that anybody passed in is the pool's. */
static inline void kvp_pool_see_time(kvp_pool *self, int64_t now) {
    if (now > self->now)
        self->now = now;
}

static inline int32_t kvp_pool_available(const kvp_pool *self) {
    return self->empty.count + self->num_cached;
}

/* Blocks that this namespace can take. */
static inline int64_t kvp_pool_room(const kvp_pool *self, int32_t space) {
    return KVP_LIKELY(!self->namespaces) ? kvp_pool_available(self) : kvp_namespaces_room(self->namespaces, space);
}

/*
 * lease->count empty blocks into a mutable lease. Hashes of the blocks evicted for them go to evicted; these are the
 * last *num_evicted of the lease's ids, in the same order. KVP_NOT_ENOUGH, or KVP_RETRY when there would be more than
 * max_evicted.
 */
kvp_status kvp_pool_allocate(kvp_pool *self, kvp_lease *lease, int64_t now, uint64_t *evicted, uint32_t max_evicted,
                             uint32_t *num_evicted);

/* Give back all that the lease holds; `hint` in [0, KVP_NUM_HINTS) is for the eviction policy. No effect on one that is
 * not live. KVP_OK; KVP_CORRUPT, counted in the stats,
 * when a block had no reference to give back: that block is left as it is. */
kvp_status kvp_pool_release_hinted(kvp_pool *self, kvp_lease *lease, uint32_t hint);

static inline kvp_status kvp_pool_release(kvp_pool *self, kvp_lease *lease) {
    return kvp_pool_release_hinted(self, lease, 0);
}

/* Give back part of a mutable lease; entries already gone are skipped. KVP_OK. */
kvp_status kvp_pool_release_segment(kvp_pool *self, const kvp_segment *segment);

/* Consume the mutable blocks of the segments and give them their hashes; `lease` (immutable, as many entries) gets the
 * registered blocks. Where a hash is registered for a key with another check word, the block gets a hash of its own,
 * made of both halves of its key. KVP_CONSUMED when a block is gone or named twice: *at is its position. KVP_FOREIGN when
 * a hash is registered in another namespace, or the blocks are of several: *at is where. */
kvp_status kvp_pool_register(kvp_pool *self, const kvp_registration *registration, int64_t now, kvp_lease *lease,
                             uint32_t *at);

/* Hold the longest registered prefix of hashes[0 .. n); lease->count becomes its length. Cannot fail. */
void kvp_pool_match(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease);

/* Blocks of the longest registered prefix of hashes[0 .. n), whose check words, where keys have them, are `checks`; returns
 * its length. Nothing is held. */
uint32_t kvp_pool_find_prefix(const kvp_pool *self, const uint64_t *hashes, const uint64_t *checks, uint32_t n,
                              int32_t *ids);

/* Block of each of hashes[0 .. n), KVP_NO_BLOCK where there is none; returns how many were found. Nothing is held. */
uint32_t kvp_pool_find_each(const kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t *ids);

/* As kvp_pool_match, but nobody has asked for the blocks yet: nothing is counted, and no policy is told. */
void kvp_pool_hold_ahead(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease);

/* Hold every registered one of hashes[0 .. n); ids stay aligned, KVP_NO_BLOCK for a miss. Cannot fail. */
void kvp_pool_match_scattered(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease);

/* A further hold on these parts of live immutable leases, in order. KVP_STALE when one is not live. */
kvp_status kvp_pool_share(kvp_pool *self, const kvp_segment *parts, uint32_t num_parts, int64_t now, kvp_lease *lease);

/* Hold these blocks of a live lease, of whatever kind, for a view of their memory: they are not handed out to others
 * before `lease` is released, whatever becomes of the lease they were lent from. KVP_STALE when that is not live or an
 * entry is gone or names no block. */
kvp_status kvp_pool_lend(kvp_pool *self, const kvp_segment *part, int64_t now, kvp_lease *lease);

/* Move these parts of mutable leases into one. KVP_CONSUMED when an entry is gone or named twice: *at is its position.
 */
kvp_status kvp_pool_join(kvp_pool *self, const kvp_segment *parts, uint32_t num_parts, int64_t now, kvp_lease *lease,
                         uint32_t *at);

/* Hold block id if it is still the one that had this generation and hash. KVP_STALE if not. */
kvp_status kvp_pool_upgrade(kvp_pool *self, int32_t id, uint32_t generation, uint64_t hash, int64_t now,
                            kvp_lease *lease);

/* As if the registered ones among hashes[0 .. n) were matched and dropped; returns how many. ids is scratch for n. */
uint32_t kvp_pool_touch(kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t *ids);

/* Give the registered ones among hashes[0 .. n) this level and expiry; returns how many they are. */
uint32_t kvp_pool_retain(kvp_pool *self, const uint64_t *hashes, uint32_t n, int level, int64_t expiry, int64_t now);

/* As kvp_pool_match_scattered, and count the blocks held by it as pinned, with those that they continue.
 * KVP_NOT_ENOUGH, with nothing changed, when more than `limit` would be pinned: *wanted is how many. */
kvp_status kvp_pool_pin(kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t limit, int64_t now,
                        kvp_lease *lease, int32_t *wanted);

/* Spare the blocks of these prompts' prefixes from eviction, in place of those that were named before: they go when
 * there are no others. hashes are those of all prompts, one after the other; ids is scratch for the longest. */
void kvp_pool_protect(kvp_pool *self, const uint64_t *hashes, const uint32_t *lengths, uint32_t num_prompts,
                      int32_t *ids);

/* Evict up to n cached blocks whose level is at most `highest`, in order; they are empty then. Returns how many, and
 * writes what they were. */
uint32_t kvp_pool_evict(kvp_pool *self, uint32_t n, uint32_t highest, kvp_reason reason, int64_t now,
                        kvp_identity *evicted);

/* As kvp_namespaces_set; cached blocks that the namespace has beyond its cap go. */
kvp_status kvp_pool_set_quota(kvp_pool *self, int32_t space, int32_t floor, int32_t cap, int64_t now);

/* Tell of up to max cached blocks, in the order in which they would go but for the policy; returns how many. Those that
 * are protected, or set aside because others continue them, are left out. */
uint32_t kvp_pool_candidates(const kvp_pool *self, kvp_candidate *candidates, uint32_t max);

/* Let these blocks go before all others, the first one first. Those that are not what they were when the candidates were
 * told, or are held, are passed over; returns how many were taken. */
uint32_t kvp_pool_prefer(kvp_pool *self, const kvp_candidate *victims, uint32_t n);

/* Take kvp_pool_prefer back for those that did not go. */
void kvp_pool_end_preference(kvp_pool *self, const kvp_candidate *victims, uint32_t n);

/* Reset every cached block. evicted has room for num_cached entries. KVP_OK, KVP_IN_USE, or KVP_RETRY when max_evicted
 * is too short. */
kvp_status kvp_pool_reset(kvp_pool *self, kvp_identity *evicted, uint32_t max_evicted, uint32_t *num_evicted);

typedef enum kvp_reset_outcome { KVP_RESET_DONE = 0, KVP_RESET_NOT_FOUND = 1, KVP_RESET_HELD = 2 } kvp_reset_outcome;

/* Reset the blocks of these hashes and what continues them; outcomes[i] tells what became of hashes[i]. As
 * kvp_pool_reset. */
kvp_status kvp_pool_reset_blocks(kvp_pool *self, const uint64_t *hashes, uint32_t n, uint8_t *outcomes,
                                 kvp_identity *evicted, uint32_t max_evicted, uint32_t *num_evicted);

/* Tell of all registered hashes, as if they were stored one after the other, each after its parent. Returns how many they
 * are; nothing is written when that is more than max. `tokens` as in kvp_event_ring_read; scratch has num_blocks ids and
 * as many zeroed bytes behind them. The next event is *next. */
uint32_t kvp_pool_snapshot(const kvp_pool *self, kvp_event *events, uint32_t *tokens, uint32_t max, int32_t *scratch,
                           uint64_t *next);

/* Write what is registered into the columns, which have room for max entries, as if every handle were dropped now, the
 * oldest first, and nothing were protected: so the blocks that are held come last. Returns how many they are; nothing is
 * written when that is more than max. scratch has num_blocks uint32 and as many zeroed bytes behind them. */
uint32_t kvp_pool_save(const kvp_pool *self, kvp_index_columns *columns, uint32_t max, int64_t now, void *scratch);

/* What kvp_pool_restore is told beside the columns. */
typedef struct kvp_restoration {
    const kvp_index_columns *columns; /* borrowed; kvp_index_columns_check is content with them */
    int64_t elapsed;                  /* nanoseconds since they were saved, at least 0 */
    int32_t num_known;       /* namespaces that the caller knows the pool to have, the default one among them */
    int32_t num_spaces;      /* and that it shall have */
    const kvp_quota *quotas; /* borrowed; floor and cap of each; those it has keep theirs, the default one if it
                                         has any; NULL in a pool without namespaces */
} kvp_restoration;

/* Make an empty pool, one whose keys have no check words, what the columns say; its event stream begins anew, and tells of every hash after its parent. What a
 * namespace has beyond its cap is evicted then.
 * KVP_IN_USE when a block is held or registered, KVP_RETRY when there are other namespaces than num_known; KVP_FULL and
 * KVP_NOT_ENOUGH as kvp_namespaces_set. scratch has twice num_blocks int32 and num_blocks zeroed bytes behind them. */
kvp_status kvp_pool_restore(kvp_pool *self, const kvp_restoration *restoration, int64_t now, void *scratch);

/* NULL, or the broken invariant. scratch has 5 bytes a block, all zero; cleared again when all holds. */
const char *kvp_pool_check(const kvp_pool *self, void *scratch);

#endif
