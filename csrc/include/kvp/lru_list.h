/*
 * What:      circular doubly linked lists through the rows of the block table, from oldest to newest. The end of a list
 *            is a row of its own, so that unlinking needs to know neither the list nor whether the block is its first
 *            or last.
 * Cost:      no memory beyond the rows; every operation O(1) and at most three rows.
 * Ownership: borrows the rows.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    none; kvp_lru_list_check returns the broken invariant.
 *
 * Invariants, for every row r of a list, the end included:
 *   rows[rows[r].next].prev == r   and   rows[rows[r].prev].next == r
 *   end.next = oldest, end.prev = newest; both are the end itself when the list is empty
 */
#ifndef KVP_LRU_LIST_H
#define KVP_LRU_LIST_H

#include "kvp/block_table.h"

static inline void kvp_lru_list_init(kvp_block *rows, int32_t end) {
    rows[end].prev = rows[end].next = end;
}

static inline bool kvp_lru_list_is_empty(const kvp_block *rows, int32_t end) {
    return rows[end].next == end;
}

static inline void kvp_lru_list_insert(kvp_block *rows, int32_t before, int32_t id, int32_t after) {
    rows[id].prev = before;
    rows[id].next = after;
    rows[before].next = id;
    rows[after].prev = id;
}

static inline void kvp_lru_list_push_newest(kvp_block *rows, int32_t end, int32_t id) {
    kvp_lru_list_insert(rows, rows[end].prev, id, end);
}

static inline void kvp_lru_list_push_oldest(kvp_block *rows, int32_t end, int32_t id) {
    kvp_lru_list_insert(rows, end, id, rows[end].next);
}

/* Unlink what is between two rows of a list. It keeps its own links. */
static inline void kvp_lru_list_close(kvp_block *rows, int32_t before, int32_t after) {
    rows[before].next = after;
    rows[after].prev = before;
}

/* NULL, or the broken invariant; stores the list's length. Rows are [0, num_rows). */
const char *kvp_lru_list_check(const kvp_block *rows, int32_t num_rows, int32_t end, int32_t *length);

#endif
