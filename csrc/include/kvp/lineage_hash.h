/*
 * What:      positional lineage hashes: 128 bits that hold a block's position, its sequence hash and the low bits of
 *            its parent's, bit for bit those of Dynamo's token hashing. A router finds a block's parent from the hash
 *            alone.
 * Cost:      a few shifts each; 16 bytes.
 * Ownership: a plain value.
 * Locking:   none; pure functions without state.
 * Errors:    none can fail; a position must be below KVP_LINEAGE_HASH_MAX_POSITION, which the caller checks.
 *
 * Layout, most significant bit first: mode (2 bits), position (P), sequence hash (64), low bits of the parent's (Q).
 *   mode 0: P =  8, Q = 54, positions in [0, 2^8)
 *   mode 1: P = 16, Q = 46, positions in [2^8, 2^16)
 *   mode 2: P = 24, Q = 38, positions in [2^16, 2^24)
 *   2 + P + 64 + Q = 128; a block without parent has position 0 and parent bits 0
 */
#ifndef KVP_LINEAGE_HASH_H
#define KVP_LINEAGE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define KVP_LINEAGE_HASH_MAX_POSITION (1u << 24) /* positions are below this */

typedef struct kvp_lineage_hash {
    uint64_t hi; /* bits 127..64 */
    uint64_t lo; /* bits 63..0 */
} kvp_lineage_hash;

/* The hash of one block; parent is 0 at position 0. Cannot fail. */
kvp_lineage_hash kvp_lineage_hash_make(uint64_t sequence_hash, uint64_t parent, uint32_t position);

/* The hashes of consecutive blocks, the first of which is at `position` after `parent` (0 at position 0);
   position + num_blocks <= KVP_LINEAGE_HASH_MAX_POSITION. Cannot fail. */
void kvp_lineage_hash_chain(const uint64_t *sequence_hashes, size_t num_blocks, uint64_t parent, uint32_t position,
                            kvp_lineage_hash *hashes);

/* Readers of the fields. Cannot fail. */
unsigned kvp_lineage_hash_mode(kvp_lineage_hash self);
uint32_t kvp_lineage_hash_position(kvp_lineage_hash self);
uint64_t kvp_lineage_hash_sequence_hash(kvp_lineage_hash self);
uint64_t kvp_lineage_hash_parent_bits(kvp_lineage_hash self);

/* NULL, or the sentence that names the broken invariant (of bits that came from elsewhere). Cannot fail. */
const char *kvp_lineage_hash_check(kvp_lineage_hash self);

#endif
