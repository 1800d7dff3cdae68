/*
 * What:      checksums of blocks: XXH3-64 of the bytes of a block's regions in the order of (layer, outer), so the same
 *            for the same content under any layout.
 * Cost:      some 20 GB/s; no memory.
 * Ownership: none; borrows the memory.
 * Locking:   none; the caller holds the blocks, or they are immutable.
 * Errors:    none can fail.
 */
#ifndef KVP_BLOCK_CHECKSUM_H
#define KVP_BLOCK_CHECKSUM_H

#include "kvp/block_memory.h"

/* Of one block. The id is in range. */
uint64_t kvp_block_checksum(const kvp_block_memory *memory, int32_t id);

/* Of each of n blocks. */
void kvp_block_checksums(const kvp_block_memory *memory, const int32_t *ids, uint64_t n, uint64_t *sums);

/* NULL if the block still has this checksum, made of a copy of all its bytes in `scratch` (kvp_layout_block_bytes of
 * them); otherwise the sentence that says so. */
const char *kvp_block_checksum_check(const kvp_block_memory *memory, int32_t id, uint64_t sum, char *scratch);

#endif
