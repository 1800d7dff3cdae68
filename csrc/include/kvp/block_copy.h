/*
 * What:      copies blocks from one memory to another, whatever the layouts of the two: what lies one behind the other in
 *            both is copied as one run, and large batches by several threads.
 * Cost:      that of the bytes, and a few nanoseconds a run. No memory but for kvp_block_copy_check: a bit for each block
 *            from the lowest id to the highest. Each thread beyond the caller's costs some 30 microseconds.
 * Ownership: borrows all that it is told of.
 * Locking:   none; the caller holds the blocks, so nobody else writes them meanwhile.
 * Errors:    kvp_block_copy_prepare: KVP_NO_SUCH, KVP_OVERLAP, KVP_NO_MEMORY. Nothing else can fail: where the system has
 *            no thread, the caller's does its share.
 *
 * Invariants of a copy that was prepared:
 *   both layouts have the same num_layers, outer_dim and region_bytes
 *   0 <= id < num_blocks of its memory, for every id
 *   no byte is written twice, and none is written that is read: the ids of the destination differ from each other, and
 *   either the memories share no byte, or they are the same and no id is in both lists
 */
#ifndef KVP_BLOCK_COPY_H
#define KVP_BLOCK_COPY_H

#include "kvp/block_memory.h"

/* One side: the blocks of these ids. */
typedef struct kvp_block_list {
    const kvp_block_memory *memory; /* borrowed */
    const int32_t *ids;             /* borrowed; NULL: 0, 1, 2, ... */
} kvp_block_list;

typedef struct kvp_block_copy {
    kvp_block_list from, to;
    uint64_t count; /* blocks */
} kvp_block_copy;

/* What is copied at once. */
typedef struct kvp_run {
    const char *from; /* borrowed */
    char *to;         /* borrowed */
    uint64_t bytes;
} kvp_run;

/* KVP_OK when the copy may be made. KVP_NO_SUCH or KVP_OVERLAP with the number of the id in its list in *at, and whether
 * it is one of `to`. The layouts fit each other. */
kvp_status kvp_block_copy_prepare(const kvp_block_copy *self, uint64_t *at, bool *is_to);

/* Copy, by up to num_threads threads, the caller's among them. */
void kvp_block_copy_run(const kvp_block_copy *self, unsigned num_threads);

/* The runs that it consists of: stores up to capacity, and returns how many there are. */
uint64_t kvp_block_copy_runs(const kvp_block_copy *self, kvp_run *runs, uint64_t capacity);

/* NULL, or what the two sides do not have in common, or which id is out of range. */
const char *kvp_block_copy_check(const kvp_block_copy *self);

static inline int32_t kvp_block_list_id(const kvp_block_list *self, uint64_t i) {
    return self->ids ? self->ids[i] : (int32_t)i;
}

#endif
