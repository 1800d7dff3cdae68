/*
 * What:      the registered blocks of a pool as columns, for an index that outlives the pool: entry i of each column is
 *            about one block. The order of the entries is that in which they became cached: of two blocks of one level
 *            the earlier one is evicted first.
 * Cost:      19 bytes an entry, 4 more where duplicates are kept and 1 + 4 for each token where tokens are; the check is
 *            O(num_blocks), whatever the columns say.
 * Ownership: borrows the columns.
 * Locking:   none; columns are the caller's own.
 * Errors:    the check returns what does not hold. Columns may come from anywhere: nothing in them is believed.
 *
 * Invariants, for every entry b, with 0 <= count <= num_blocks:
 *   ids(b) differ, and are in [0, num_blocks)
 *   parents(b) = KVP_NO_BLOCK, or another entry's id, of the same namespace; who goes up from b comes to an end
 *   children(b) <= KVP_MAX_CHILDREN;   is_parked(b) => children(b) > 0
 *   elders(b) = KVP_NO_BLOCK, or the id of an entry with the same hash and namespace; no two have the same elder
 *   of all entries with one hash, exactly one has no elder, and from elder to elder all others come to that
 *   levels(b) <= KVP_MAX_PRIORITY;   spaces(b) < num_spaces;   is_parked(b) and has_tokens(b) are 0 or 1
 */
#ifndef KVP_INDEX_COLUMNS_H
#define KVP_INDEX_COLUMNS_H

#include "kvp/block_table.h"

typedef struct kvp_index_columns {
    uint32_t count;      /* entries */
    uint32_t block_size; /* tokens of an entry; 0: none are told */
    uint64_t *hashes;    /* borrowed */
    int64_t *lifetimes;  /* borrowed; nanoseconds until the retention ends, perhaps over; KVP_NO_EXPIRY for none */
    int32_t *ids;        /* borrowed */
    int32_t *parents;    /* borrowed; ids, or KVP_NO_BLOCK */
    int32_t *elders;     /* borrowed; ids of the next older copy of the hash, or KVP_NO_BLOCK; NULL: there are none */
    uint32_t *tokens;    /* borrowed; block_size for each; NULL without */
    uint8_t *levels;     /* borrowed */
    uint8_t *spaces;     /* borrowed; namespaces */
    uint8_t *is_parked;  /* borrowed; its turn to go came, but others continue it: it is in no list */
    uint8_t *has_tokens; /* borrowed; NULL without */
} kvp_index_columns;

/* Bytes that kvp_index_columns_check needs. */
size_t kvp_index_columns_scratch(uint32_t count, int32_t num_blocks);

/* NULL, or what does not hold, and of which entry. scratch is zeroed. */
const char *kvp_index_columns_check(const kvp_index_columns *self, int32_t num_blocks, uint32_t num_spaces,
                                    void *scratch, uint32_t *at);

#endif
