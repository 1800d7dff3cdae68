/*
 * What:      how likely blocks of a class are to be asked for again, by the time since they were released; learned
 *            from a sample of them. From it the worth of keeping a block: the largest ratio, over all horizons, of
 *            the probability of a reuse until then to the expected time that it takes up room until then (Gittins'
 *            index; the hit density of Beckmann, Chen and Cidon, NSDI 2018, over classes instead of single features).
 * Cost:      O(1) for each observation; a refresh is O(classes * ages^2) for classes that are in use, and O(cohorts)
 *            for each of them. Some 1.2 MB.
 * Ownership: owns its arrays.
 * Locking:   none here; the caller holds the pool's lock. Time is passed in, in nanoseconds.
 * Errors:    only kvp_reuse_hazard_init can fail (KVP_NO_MEMORY).
 *
 * Observations that began one after another form a cohort. What they add to the exposure of their classes while they
 * last is counted for a cohort as a whole, at each refresh; what was left over is counted when one ends.
 *
 * Invariants (kvp_reuse_hazard_check):
 *   live[cohort][class] = observations in use of the cohort and class
 *   hits >= 0 and exposure >= 0, for every class and age
 *   and those of the ring
 */
#ifndef KVP_REUSE_HAZARD_H
#define KVP_REUSE_HAZARD_H

#include "kvp/hash_ring.h"

#define KVP_HAZARD_CLASSES 128u
#define KVP_HAZARD_AGES    48u /* two to an octave, from 1 ms to 2.4 hours */
#define KVP_OBSERVATIONS   32768u

#define KVP_COHORT  256u /* observations */
#define KVP_COHORTS (KVP_OBSERVATIONS / KVP_COHORT + 1)

typedef struct kvp_hazard_class {
    float hits[KVP_HAZARD_AGES];
    float exposure[KVP_HAZARD_AGES]; /* seconds */
    float worth[KVP_HAZARD_AGES];    /* hits to expect for each second of room */
    bool is_used;                    /* something of it was ever observed */
} kvp_hazard_class;

/* Observations that began one after another. */
typedef struct kvp_cohort {
    int64_t since;                     /* mean time at which they began */
    uint32_t num_live;                 /* in use */
    uint16_t live[KVP_HAZARD_CLASSES]; /* of each class */
} kvp_cohort;

typedef struct kvp_reuse_hazard {
    kvp_hash_ring ring;        /* value: class */
    int64_t *since;            /* owned; by slot of the ring: when the observation began */
    kvp_cohort *cohorts;       /* owned; of the ring's positions, by position / KVP_COHORT % KVP_COHORTS */
    kvp_hazard_class *classes; /* owned */
    kvp_hazard_class all;      /* their sum; its worth is that of classes that were not seen */
    int64_t counted;           /* exposure up to here is in the sums */
    float seen_all;            /* observations behind `all` */
} kvp_reuse_hazard;

/* KVP_OK, or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_reuse_hazard_init(kvp_reuse_hazard *self, const uint64_t secret[2]);

/* Cannot fail. */
void kvp_reuse_hazard_destroy(kvp_reuse_hazard *self);

/* Forget all. Cannot fail. */
void kvp_reuse_hazard_clear(kvp_reuse_hazard *self);

/* Watch a block from now on; no effect if it is watched already. */
void kvp_reuse_hazard_watch(kvp_reuse_hazard *self, uint64_t hash, uint32_t class, int64_t now);

/* The block was asked for. */
void kvp_reuse_hazard_reuse(kvp_reuse_hazard *self, uint64_t hash, int64_t now);

/* Work the worths out again, for horizons of at least so many nanoseconds: what is hit sooner can be no reason to
 * keep a block, as nothing would be evicted meanwhile. What was learned before counts for a little less. */
void kvp_reuse_hazard_refresh(kvp_reuse_hazard *self, int64_t shortest, int64_t now);

/* NULL, or the broken invariant. */
const char *kvp_reuse_hazard_check(const kvp_reuse_hazard *self);

/* Number of the half octave that n >= 2 is in: [2, 3), [3, 4), [4, 6), [6, 8), ... are 2, 3, 4, 5, ...; 0 and 1 for 0
 * and 1. */
static inline uint32_t kvp_half_octave(uint64_t n) {
    if (n < 2)
        return (uint32_t)n;
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(n);
    return 2 * octave + (uint32_t)(n >> (octave - 1) & 1);
}

/* Two ages to an octave: [2^k, 1.5 * 2^k) and [1.5 * 2^k, 2^(k+1)) times 2^20 ns; 0 is below. */
static inline uint32_t kvp_hazard_age(int64_t nanoseconds) {
    uint64_t units = nanoseconds > 0 ? (uint64_t)nanoseconds >> 19 : 0;
    uint32_t age = units < 2 ? 0 : kvp_half_octave(units) - 1;
    return age < KVP_HAZARD_AGES ? age : KVP_HAZARD_AGES - 1;
}

/* Hits to expect for each second that a block of this class and age takes up room. */
static inline float kvp_reuse_hazard_worth(const kvp_reuse_hazard *self, uint32_t class, int64_t age) {
    const kvp_hazard_class *of = self->classes[class].is_used ? &self->classes[class] : &self->all;
    return of->worth[kvp_hazard_age(age)];
}

#endif
