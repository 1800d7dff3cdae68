/*
 * What:      what becomes of a sample of the blocks: how long they stay, how often they are asked for, whether they are
 *            missed after their eviction, and, from the distances at which they are asked for again, the hit ratio of
 *            LRU pools of other sizes (SHARDS: Waldspurger, Park, Garthwaite and Ahmad, FAST 2015).
 * Cost:      one product for each hash of a request. For one in the sample, O(log n), amortised over a renumbering each
 *            3 n references, n = 4 blocks of the pool * rate: about 80 n bytes.
 * Ownership: owns its arrays.
 * Locking:   none here; the caller holds the pool's lock. Time is passed in, in nanoseconds.
 * Errors:    only kvp_reuse_sampler_init can fail (KVP_NO_MEMORY).
 *
 * Whether a hash is in the sample follows from the hash alone, so that a block is followed from request to
 * request, and its distance is that of a trace that is `rate` times as long. The n that were asked for last are known,
 * in that order; the first block of a request is the newest of its blocks, as in the pool. With a rate of 1 the curve
 * is that of the replayed requests, block for block, where each request is released before the next.
 *
 * Invariants:
 *   count = entries in use = positions with an owner <= capacity
 *   entries[owners[p] - 1].position = p for each of them; oldest <= p < next
 *   tree is the Fenwick tree of (owners[p] != 0)
 *   each entry in use is in the chain of its hash
 *   requested >= found; requested >= sampled >= the sum of hits; evicted = the sum of lifetimes = that of idle_ages = that of reuse_counts
 */
#ifndef KVP_REUSE_SAMPLER_H
#define KVP_REUSE_SAMPLER_H

#include "kvp/status.h"
#include "kvp/types.h"

#define KVP_REUSE_HORIZON 4   /* sizes of the pool that the curve reaches to */
#define KVP_REUSE_BINS    256 /* of the curve, up to the horizon */
#define KVP_AGE_CLASSES   213 /* four for each doubling, from 1,024 ns on; the first has what is less */
#define KVP_COUNT_CLASSES 33  /* 0, 1, 2 to 3, 4 to 7, ... */

typedef struct kvp_reuse_stats {
    uint64_t requested;                  /* hashes of requests */
    uint64_t found;                      /* those of them that were in the pool */
    uint64_t sampled;                    /* requested ones that are in the sample, as are all counts below */
    uint64_t hits[KVP_REUSE_BINS];       /* by the size of pool, in parts of the horizon, that would have had them */
    uint64_t evicted;                    /* of which it was known since when they were there */
    uint64_t lifetimes[KVP_AGE_CLASSES]; /* of these: from registration to eviction */
    uint64_t idle_ages[KVP_AGE_CLASSES]; /* from the last request for it */
    uint64_t reuse_counts[KVP_COUNT_CLASSES]; /* requests that found it */
    uint64_t absences[KVP_AGE_CLASSES];       /* of those missed: from eviction to the first request */
} kvp_reuse_stats;

typedef struct kvp_reuse_entry {
    uint64_t hash;
    int64_t since; /* in the pool: registered; evicted: when that was */
    int64_t last_access;
    uint32_t next; /* slot + 1 of the next one of its chain, or of the next unused one; 0: none */
    uint32_t position;
    uint32_t reuse_count : 30;
    uint32_t is_in_pool : 1;
    uint32_t is_evicted : 1; /* and nobody has asked for it since */
} kvp_reuse_entry;

typedef struct kvp_reuse_sampler {
    kvp_reuse_entry *entries; /* owned; by slot */
    uint32_t *heads;          /* owned; slot + 1 of each chain's first entry */
    uint32_t *owners;         /* owned; by position: slot + 1, or 0 */
    uint32_t *tree;           /* owned; by position, from 1 */
    uint32_t capacity;        /* entries */
    uint32_t num_positions;
    uint32_t bits; /* 2**bits chains */
    uint32_t count;
    uint32_t unused; /* slot + 1 of the first unused entry that was in use before; 0: none */
    uint32_t fresh;  /* slots that were never in use begin here */
    uint32_t oldest; /* no position before it has an owner */
    uint32_t next;   /* position of what is asked for next */
    uint64_t limit;  /* a hash is in the sample if its product is not above this */
    uint64_t secret[2];
    kvp_reuse_stats stats;
} kvp_reuse_sampler;

/* Follow a share of the hashes, 0 < rate <= 1, of a pool of num_blocks. KVP_OK, or KVP_NO_MEMORY (then nothing needs to
 * be destroyed). */
kvp_status kvp_reuse_sampler_init(kvp_reuse_sampler *self, double rate, int32_t num_blocks, const uint64_t secret[2]);

/* Cannot fail. One of zero bytes is allowed. */
void kvp_reuse_sampler_destroy(kvp_reuse_sampler *self);

/* Whether the hash is in the sample. No secret here: what is reported of a history is always the same. Small numbers in
 * place of hashes are spread as well as others; 0, often a first block's, is nothing special. */
static inline bool kvp_reuse_sampler_follows(const kvp_reuse_sampler *self, uint64_t hash) {
    return (hash ^ 0xD6E8FEB86659FD93) * 0x9E3779B97F4A7C15 <= self->limit;
}

/* A request asks for these; the first `found` are in the pool. */
void kvp_reuse_sampler_request(kvp_reuse_sampler *self, const uint64_t *hashes, uint32_t n, uint32_t found,
                               int64_t now);

/* The hash, which is in the sample, is registered. */
void kvp_reuse_sampler_store(kvp_reuse_sampler *self, uint64_t hash, int64_t now);

/* It is not any more. */
void kvp_reuse_sampler_remove(kvp_reuse_sampler *self, uint64_t hash, bool is_evicted, int64_t now);

/* Forget all blocks; what was counted stays. */
void kvp_reuse_sampler_clear(kvp_reuse_sampler *self);

/* Blocks that were asked for since this entry's. */
uint32_t kvp_reuse_sampler_depth(const kvp_reuse_sampler *self, uint32_t slot);

/* Class of an age in nanoseconds. */
uint32_t kvp_age_class(int64_t age);

/* NULL, or the broken invariant. */
const char *kvp_reuse_sampler_check(const kvp_reuse_sampler *self);

#endif
