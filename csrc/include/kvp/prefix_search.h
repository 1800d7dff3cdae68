/*
 * What:      the longest registered prefix of a prompt. A sequence hash stands for its whole prefix and a parent is
 *            registered whenever its child is: so a few look-ups find where the prefix ends, and its blocks are read
 *            off the lineage, several stretches at a time. Every hash is compared on the way; where the lineage does
 *            not prove the prefix, every hash is looked up.
 * Cost:      about 16 * log16(n) look-ups and one row a block; one look-up a block for short prompts, or without
 *            lineage.
 * Ownership: none; borrows the index and its rows.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    cannot fail.
 *
 * The answer is that of kvp_hash_index_find_prefix, whatever was registered in whatever order.
 */
#ifndef KVP_PREFIX_SEARCH_H
#define KVP_PREFIX_SEARCH_H

#include "kvp/hash_index.h"

/* Blocks of hashes[0 .. n) until the first that is not registered; returns how many. *is_chain: each of them but the
 * first is a child of the one before. */
uint32_t kvp_prefix_search(const kvp_hash_index *index, const uint64_t *hashes, uint32_t n, int32_t *ids,
                           bool *is_chain);

/* Whether each of the blocks but the first is a child of the one before; not so when one is KVP_NO_BLOCK. */
static inline bool kvp_is_chain(const kvp_block *rows, const int32_t *ids, uint32_t n) {
    for (uint32_t i = 1; i < n; i++)
        if (ids[i] < 0 || ids[i - 1] < 0 || rows[ids[i]].lineage != ids[i - 1] + KVP_PARENT_BASE)
            return false;
    return n > 0 && ids[0] >= 0;
}

#endif
