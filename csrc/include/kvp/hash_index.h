/*
 * What:      sequence hash -> block, for every registered hash. Chunks of one cache line hold twelve 8-bit tags and
 *            twelve ids; the full hash is compared in the block's row, which a hit touches anyway. A chunk counts the
 *            entries that found it full and went on, so a miss mostly ends in the first chunk and a deletion leaves no
 *            tombstone (the layout of F14, Bronson and Shi 2019).
 * Cost:      11 bytes a block (mean load 6 of 12: few chunks are ever full); one line and one row for a hit, one line
 *            for most misses. Never grows.
 * Ownership: owns the chunks; borrows the rows.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    init: KVP_NO_MEMORY. insert: KVP_FULL when no chunk within the probe bound has room; kvp_hash_index_rekey
 *            mends that.
 *
 * Positions come from a 64x64 -> 128 bit multiply fold with a secret, so chosen hashes cannot pile up in a chunk; and from
 * a further product, without which one secret in sixty lets some arithmetic progression pile up to seven times the cost.
 *
 * Invariants:
 *   count = number of tags != 0 = number of rows with is_indexed
 *   for the entry of block b in chunk c:   rows[b].is_indexed,   tag = tag(hash(b)),  
 *                                          c is within max_probes of home(hash(b))
 *   spilled(c) = number of entries whose way from home to their chunk passes c before it ends
 *   every hash is in the index once
 */
#ifndef KVP_HASH_INDEX_H
#define KVP_HASH_INDEX_H

#include "kvp/block_table.h"

#define KVP_INDEX_CHUNK_SLOTS 12
#define KVP_INDEX_CHUNK_LOAD  6
#define KVP_INDEX_MAX_PROBES  32u

typedef struct kvp_hash_chunk {
    uint8_t tags[KVP_INDEX_CHUNK_SLOTS]; /* 0: slot is free */
    uint16_t spilled;                    /* entries that passed this chunk because it was full */
    uint16_t unused;                     /* fills the line */
    int32_t ids[KVP_INDEX_CHUNK_SLOTS];  /* block of each tag */
} kvp_hash_chunk;

_Static_assert(sizeof(kvp_hash_chunk) == 64, "a chunk is one cache line");

typedef struct kvp_hash_index {
    kvp_hash_chunk *chunks; /* owned */
    const kvp_block *rows;  /* borrowed; the block table's */
    uint32_t num_chunks;    /* chosen for the mean load when every block is registered */
    uint32_t max_probes;    /* min(num_chunks, KVP_INDEX_MAX_PROBES), or num_chunks as a last resort */
    uint64_t secret[2];     /* where hashes go; never shown, never changes an answer */
    int32_t count;          /* entries */
    uint32_t rekeys;        /* times the probe bound was met */
} kvp_hash_index;

/* Where a hash belongs. */
typedef struct kvp_hash_place {
    uint32_t home; /* first chunk */
    uint8_t tag;   /* 1..255 */
} kvp_hash_place;

/* KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_hash_index_init(kvp_hash_index *self, const kvp_block_table *table, const uint64_t secret[2]);

/* Cannot fail. */
void kvp_hash_index_destroy(kvp_hash_index *self);

/* Forget all entries (the rows' is_indexed is the caller's). Cannot fail. */
void kvp_hash_index_clear(kvp_hash_index *self);

/* The hash of block id is in the index and maps to it. Cannot fail. */
void kvp_hash_index_remove(kvp_hash_index *self, int32_t id);

/* Let the entry of block old name block id, which has the same hash. Cannot fail. */
void kvp_hash_index_replace(kvp_hash_index *self, int32_t old, int32_t id);

/* Draw further secrets until all rows of [0, num_blocks) with is_indexed fit; should 64 not do, which takes a broken
 * secret, probe without bound from then on. Cannot fail. */
void kvp_hash_index_rekey(kvp_hash_index *self, int32_t num_blocks);

/* Blocks of hashes[0 .. n) until the first that is not registered; returns how many were found. */
uint32_t kvp_hash_index_find_prefix(const kvp_hash_index *self, const uint64_t *hashes, uint32_t n, int32_t *ids);

/* Block of each of hashes[0 .. n), KVP_NO_BLOCK where there is none; returns how many were found. */
uint32_t kvp_hash_index_find_each(const kvp_hash_index *self, const uint64_t *hashes, uint32_t n, int32_t *ids);

/* NULL, or the broken invariant. */
const char *kvp_hash_index_check(const kvp_hash_index *self, int32_t num_blocks);

static inline kvp_hash_place kvp_hash_index_place(const kvp_hash_index *self, uint64_t hash) {
    unsigned __int128 product = (unsigned __int128)(hash ^ self->secret[0]) * self->secret[1];
    uint64_t mixed = ((uint64_t)product ^ (uint64_t)(product >> 64)) * UINT64_C(0x9E3779B97F4A7C15);
    kvp_hash_place place = {
        .home = (uint32_t)(((mixed >> 32) * self->num_chunks) >> 32),
        .tag = (uint8_t)((((mixed & 0xFFFF) * 255) >> 16) + 1),
    };
    return place;
}

/* Block of one hash, or KVP_NO_BLOCK. */
int32_t kvp_hash_index_find_placed(const kvp_hash_index *self, uint64_t hash, kvp_hash_place place);

/* KVP_OK, or KVP_FULL with nothing changed. The hash is not in the index; rows[id].hash is set, and place is its place.
 */
kvp_status kvp_hash_index_insert_placed(kvp_hash_index *self, int32_t id, kvp_hash_place place);

/* Insert what one look at its home shows not to be there, as most new hashes: true if so. False, with nothing changed,
 * when it takes a search to know. */
bool kvp_hash_index_insert_if_new(kvp_hash_index *self, int32_t id, kvp_hash_place place);

static inline kvp_status kvp_hash_index_insert(kvp_hash_index *self, int32_t id) {
    return kvp_hash_index_insert_placed(self, id, kvp_hash_index_place(self, self->rows[id].hash));
}

static inline int32_t kvp_hash_index_find(const kvp_hash_index *self, uint64_t hash) {
    return kvp_hash_index_find_placed(self, hash, kvp_hash_index_place(self, hash));
}

#endif
