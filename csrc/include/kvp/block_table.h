/*
 * What:      one row for each block, and behind them the fixed ends of lists, each a row of its own.
 * Cost:      32 bytes a block; two rows share a cache line. All zero is the row of an empty block that was never used.
 * Ownership: the table owns the rows; everything else refers to them by index.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_block_table_init can fail (KVP_NO_MEMORY).
 *
 * Invariants, for every block b:
 *   state(b) = empty    <=>  refs == 0 and not registered
 *              mutable  <=>  refs >= 1 and not registered
 *              active   <=>  refs >= 1 and registered
 *              cached   <=>  refs == 0 and registered
 *   children(b) = number of registered blocks whose parent is b
 *   refs(b)     = leases that hold b + active children of b             (a chain is held by its last)
 *   of the leases that hold a mutable b, at most one is not that of a view
 *   parent(b) is registered whenever b is                               (a prefix is never broken)
 *   cached b    =>  b is linked into the list of its level, or parked with children(b) > 0
 */
#ifndef KVP_BLOCK_TABLE_H
#define KVP_BLOCK_TABLE_H

#include "kvp/status.h"
#include "kvp/types.h"

#define KVP_MAX_CHILDREN 0xFFFFFFu

typedef struct kvp_block {
    uint64_t hash;           /* sequence hash; meaningful while registered */
    int32_t prev;            /* towards the oldest of the list; KVP_PARKED when set aside */
    int32_t next;            /* towards the newest of the list */
    uint32_t refs;           /* leases that hold it, and active children */
    uint32_t generation;     /* times it was allocated; wraps */
    int32_t lineage;         /* KVP_UNREGISTERED, KVP_ROOT, or id of the parent + KVP_PARENT_BASE */
    uint32_t children : 24;  /* registered blocks that continue this one */
    uint32_t level : 7;      /* retention level, 0 goes first */
    uint32_t is_indexed : 1; /* the index maps its hash to this very block (not so for a further copy) */
} kvp_block;

enum { KVP_UNREGISTERED = 0, KVP_ROOT = 1, KVP_PARENT_BASE = 2 };
enum { KVP_PARKED = -2 };

typedef struct kvp_block_table {
    kvp_block *rows;    /* owned; num_blocks + num_ends of them */
    int32_t num_blocks; /* ids are [0, num_blocks) */
    int32_t num_ends;   /* rows behind them */
} kvp_block_table;

/* KVP_OK, or KVP_NO_MEMORY, which is also what more than INT32_MAX rows are. num_blocks is in [1, KVP_MAX_BLOCKS]. */
kvp_status kvp_block_table_init(kvp_block_table *self, int32_t num_blocks, int32_t num_ends);

/* Cannot fail. */
void kvp_block_table_destroy(kvp_block_table *self);

/* NULL when the invariants that rows alone can show hold, else the sentence that names the broken one. */
const char *kvp_block_table_check(const kvp_block_table *self);

static inline bool kvp_block_is_registered(const kvp_block *self) {
    return self->lineage != KVP_UNREGISTERED;
}

/* Parent's id, or KVP_NO_BLOCK. The block is registered. */
static inline int32_t kvp_block_parent(const kvp_block *self) {
    return self->lineage >= KVP_PARENT_BASE ? self->lineage - KVP_PARENT_BASE : KVP_NO_BLOCK;
}

static inline bool kvp_block_is_parked(const kvp_block *self) {
    return self->prev == KVP_PARKED;
}

#endif
