/*
 * What:      what the pool has done since it was made.
 * Cost:      one addition for each call and counter, never one for each block.
 * Ownership: a plain value inside the pool; copied out whole.
 * Locking:   read and written under the pool's lock, so a copy is of one moment.
 * Errors:    none.
 *
 * Invariants:
 *   allocations_from_empty + evictions for capacity = allocations
 *   match_blocks_returned <= match_hashes_requested,   scan_blocks_returned <= scan_hashes_requested
 */
#ifndef KVP_STATS_H
#define KVP_STATS_H

#include "kvp/check.h"
#include "kvp/types.h"

typedef struct kvp_stats {
    uint64_t allocations;            /* blocks handed out */
    uint64_t allocations_from_empty; /* of these, without an eviction */
    uint64_t evictions;              /* blocks evicted to make room */
    uint64_t registrations;          /* blocks given to register */
    uint64_t duplicates;             /* of these, whose hash was registered already */
    uint64_t match_hashes_requested; /* by prefix matches */
    uint64_t match_blocks_returned;
    uint64_t scan_hashes_requested; /* by scattered matches */
    uint64_t scan_blocks_returned;
    uint64_t touches;                /* blocks touched */
    uint64_t resets;                 /* blocks reset on request */
    uint64_t evictions_ahead;        /* blocks evicted before an allocation needed them */
    uint64_t evictions_for_pressure; /* of these, because the pool was too full */
    uint64_t truncations;            /* blocks whose sequence took tokens of them back */
    uint64_t corruptions;            /* contradictions met where no error could be raised */
} kvp_stats;

static inline const char *kvp_stats_check(const kvp_stats *self) {
    KVP_REQUIRE(self->allocations_from_empty + self->evictions == self->allocations,
                "allocations are not those from empty blocks and those by eviction");
    KVP_REQUIRE(self->match_blocks_returned <= self->match_hashes_requested, "more blocks matched than asked for");
    KVP_REQUIRE(self->scan_blocks_returned <= self->scan_hashes_requested, "more blocks scanned than asked for");
    KVP_REQUIRE(self->evictions_for_pressure <= self->evictions_ahead, "more evictions for pressure than ahead");
    KVP_REQUIRE(self->duplicates <= self->registrations, "more duplicates than registrations");
    KVP_REQUIRE(self->corruptions == 0, "a finalizer met a reference count that contradicts it");
    return NULL;
}

#endif
