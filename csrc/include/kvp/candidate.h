/*
 * What:      what an eviction policy outside the core is told of a cached block. Part of the public face: functions in
 *            capsules are compiled against it.
 * Cost:      none.
 * Ownership: none.
 * Locking:   none: a copy, made under the pool's lock.
 * Errors:    none.
 */
#ifndef KVP_CANDIDATE_H
#define KVP_CANDIDATE_H

#include <stddef.h>
#include <stdint.h>

typedef struct kvp_candidate {
    uint64_t hash;         /* sequence hash */
    int64_t last_access;   /* nanoseconds of the pool's clock: when it was last registered, matched or touched */
    int32_t id;            /* block id */
    uint32_t generation;   /* times the block was allocated */
    uint32_t reuse_count;  /* times it was matched or touched since it was registered */
    uint32_t position;     /* blocks before it in its sequence */
    uint32_t priority;     /* 0 to 100 */
    uint32_t is_continued; /* registered blocks continue it: it goes after the last of them */
} kvp_candidate;

#define KVP_RANK_CAPSULE "kvpool.rank.v1"

/* Give each of blocks[0 .. n) a score: the lowest goes first. Called with the GIL, without the pool's lock. */
typedef void (*kvp_rank_function)(const kvp_candidate *blocks, size_t n, double *scores, void *context);

#endif
