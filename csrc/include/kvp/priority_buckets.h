/*
 * What:      the cached blocks, one list for each level, with a bitmap of the levels that have any.
 * Cost:      O(1) for every operation, whatever the number of blocks; the lists live in the block table.
 * Ownership: borrows the rows.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    none; kvp_priority_buckets_check returns the broken invariant.
 *
 * Invariants:
 *   bit l of occupied  <=>  the list of level l is not empty
 *   every block in the list of level l is registered, has refs == 0 and level == l
 *   the end of level l is row first_end + l
 */
#ifndef KVP_PRIORITY_BUCKETS_H
#define KVP_PRIORITY_BUCKETS_H

#include "kvp/lru_list.h"

typedef struct kvp_priority_buckets {
    kvp_block *rows;      /* borrowed; the block table's */
    int32_t first_end;    /* row of level 0's end */
    uint64_t occupied[2]; /* bit l & 63 of word l >> 6 */
} kvp_priority_buckets;

/* The ends of the lists are the KVP_NUM_LEVELS rows from first_end, behind those of the blocks. Cannot fail. */
void kvp_priority_buckets_init(kvp_priority_buckets *self, kvp_block *rows, int32_t first_end);

/* NULL, or the broken invariant; stores how many blocks are in lists. */
const char *kvp_priority_buckets_check(const kvp_priority_buckets *self, int32_t *linked);

/* The list of the level has a block now. */
static inline void kvp_priority_buckets_mark(kvp_priority_buckets *self, uint32_t level) {
    self->occupied[level >> 6] |= UINT64_C(1) << (level & 63);
}

/* Append at the newest end of the block's own level. */
static inline void kvp_priority_buckets_add_newest(kvp_priority_buckets *self, int32_t id) {
    uint32_t level = self->rows[id].level;
    kvp_lru_list_push_newest(self->rows, self->first_end + (int32_t)level, id);
    kvp_priority_buckets_mark(self, level);
}

/* Put at the oldest end of the block's own level: it goes next. */
static inline void kvp_priority_buckets_add_oldest(kvp_priority_buckets *self, int32_t id) {
    uint32_t level = self->rows[id].level;
    kvp_lru_list_push_oldest(self->rows, self->first_end + (int32_t)level, id);
    kvp_priority_buckets_mark(self, level);
}

/* Take all between two rows of a list out of it. */
static inline void kvp_priority_buckets_close(kvp_priority_buckets *self, int32_t before, int32_t after) {
    kvp_lru_list_close(self->rows, before, after);
    if (before == after) { /* the end: nothing is left */
        uint32_t level = (uint32_t)(after - self->first_end);
        self->occupied[level >> 6] &= ~(UINT64_C(1) << (level & 63));
    }
}

/* The block is in a list. */
static inline void kvp_priority_buckets_remove(kvp_priority_buckets *self, int32_t id) {
    kvp_priority_buckets_close(self, self->rows[id].prev, self->rows[id].next);
}

/* The oldest block of the lowest level, or KVP_NO_BLOCK. */
static inline int32_t kvp_priority_buckets_first(const kvp_priority_buckets *self) {
    int32_t level;
    if (self->occupied[0])
        level = __builtin_ctzll(self->occupied[0]);
    else if (self->occupied[1])
        level = 64 + __builtin_ctzll(self->occupied[1]);
    else
        return KVP_NO_BLOCK;
    return self->rows[self->first_end + level].next;
}

#endif
