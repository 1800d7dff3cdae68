/*
 * What:      block hashes and sequence hashes of tokens: XXH3-64, bit for bit those of Dynamo's token hashing.
 * Cost:      about 6 ns a block of 16 tokens, chained; O(tokens). Block hashes are independent of each other, so the
 *            processor works on the next ones while the short serial chain (16 bytes a block) goes on.
 * Ownership: none; arguments are read and results are written during the call only. Results must not overlap arguments,
 *            but for sequence hashes, which may be written over the block hashes they are made of.
 * Locking:   none; pure functions without state.
 * Errors:    none can fail; all sizes, zero included, are in order.
 *
 * Definitions (LE32, LE64: little-endian bytes; ++: concatenation; xxh3: XXH3-64 with the default secret):
 *   block[i]    = xxh3(LE32(tokens[i * block_size]) ++ ... ++ LE32(tokens[(i + 1) * block_size - 1]), seed = salt_hash)
 *   link(p, b)  = xxh3(LE64(p) ++ LE64(b), seed = link_seed)
 *   sequence[0] = block[0] without a parent, else link(parent, block[0])
 *   sequence[i] = link(sequence[i - 1], block[i])
 *   link_seed   = salt_hash in version 1, KVP_SEQ_HASH_LINK_SEED in version 2
 */
#ifndef KVP_SEQ_HASH_H
#define KVP_SEQ_HASH_H

#include <stddef.h>
#include <stdint.h>

#define KVP_SEQ_HASH_LINK_SEED 1337u      /* seed of the chain in version 2, and the router's salt hash */
#define KVP_SEQ_HASH_MAX_BLOCK (1u << 20) /* tokens in a block, at most: what callers check their arguments against */

typedef enum kvp_seq_hash_version {
    KVP_SEQ_HASH_V1 = 1, /* the chain is seeded with the salt hash */
    KVP_SEQ_HASH_V2 = 2  /* the chain is seeded with KVP_SEQ_HASH_LINK_SEED */
} kvp_seq_hash_version;

/* xxh3 of any bytes; data may be NULL if length is 0. Cannot fail. */
uint64_t kvp_seq_hash_bytes(const void *data, size_t length, uint64_t seed);

/* link_seed of a version. Cannot fail. */
uint64_t kvp_seq_hash_link_seed(kvp_seq_hash_version version, uint64_t salt_hash);

/* link(parent, block_hash). Cannot fail. */
uint64_t kvp_seq_hash_link(uint64_t parent, uint64_t block_hash, uint64_t link_seed);

/* block[0 .. num_blocks) of num_blocks * block_size tokens. Cannot fail. */
void kvp_seq_hash_blocks(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                         uint64_t *block_hashes);

/* sequence[0 .. num_blocks) of block hashes that are known; parent is NULL for none. Cannot fail. */
void kvp_seq_hash_links(const uint64_t *block_hashes, size_t num_blocks, const uint64_t *parent, uint64_t link_seed,
                        uint64_t *sequence_hashes);

/* sequence[0 .. num_blocks) of num_blocks * block_size tokens in one pass; parent is NULL for none. Cannot fail. */
void kvp_seq_hash_chain(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                        kvp_seq_hash_version version, const uint64_t *parent, uint64_t *sequence_hashes);

/* NULL if the sequence hashes are those of the tokens by the definitions above, one block at a time; otherwise the
   sentence that names what is not. Cannot fail. */
const char *kvp_seq_hash_check(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                               kvp_seq_hash_version version, const uint64_t *parent, const uint64_t *sequence_hashes);

#endif
