#include "kvp/seq_hash.h"

#include "kvp/check.h"
#include "kvp/types.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

/* Tokens are hashed where they lie, so their bytes must already be in the order that the format asks for. */
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "kvpool hashes tokens in place and needs a little-endian machine"
#endif

static inline uint64_t hash_block(const uint32_t *tokens, size_t block_size, uint64_t salt_hash) {
    return XXH3_64bits_withSeed(tokens, block_size * sizeof *tokens, salt_hash);
}

static inline uint64_t link_hashes(uint64_t parent, uint64_t block_hash, uint64_t link_seed) {
    const uint64_t pair[2] = {parent, block_hash};
    return XXH3_64bits_withSeed(pair, sizeof pair, link_seed);
}

/* The two loops are inlined once for each common block size: XXH3 chooses its algorithm by length, and with the length
   known at compile time nothing of that choice, nor of its loops, is left. */
static inline void hash_blocks(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                               uint64_t *block_hashes) {
    for (size_t i = 0; i < num_blocks; i++)
        block_hashes[i] = hash_block(tokens + i * block_size, block_size, salt_hash);
}

static inline void hash_chain(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                              uint64_t link_seed, const uint64_t *parent, uint64_t *sequence_hashes) {
    uint64_t last = 0;
    for (size_t i = 0; i < num_blocks; i++) {
        const uint64_t block_hash = hash_block(tokens + i * block_size, block_size, salt_hash);
        if (KVP_LIKELY(i > 0))
            last = link_hashes(last, block_hash, link_seed);
        else
            last = parent ? link_hashes(*parent, block_hash, link_seed) : block_hash;
        sequence_hashes[i] = last;
    }
}

uint64_t kvp_seq_hash_bytes(const void *data, size_t length, uint64_t seed) {
    return XXH3_64bits_withSeed(data, length, seed);
}

uint64_t kvp_seq_hash_link_seed(kvp_seq_hash_version version, uint64_t salt_hash) {
    return version == KVP_SEQ_HASH_V1 ? salt_hash : KVP_SEQ_HASH_LINK_SEED;
}

uint64_t kvp_seq_hash_link(uint64_t parent, uint64_t block_hash, uint64_t link_seed) {
    return link_hashes(parent, block_hash, link_seed);
}

void kvp_seq_hash_blocks(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                         uint64_t *block_hashes) {
    if (block_size == 16)
        hash_blocks(tokens, num_blocks, 16, salt_hash, block_hashes);
    else if (block_size == 32)
        hash_blocks(tokens, num_blocks, 32, salt_hash, block_hashes);
    else
        hash_blocks(tokens, num_blocks, block_size, salt_hash, block_hashes);
}

void kvp_seq_hash_links(const uint64_t *block_hashes, size_t num_blocks, const uint64_t *parent, uint64_t link_seed,
                        uint64_t *sequence_hashes) {
    if (num_blocks == 0)
        return;
    uint64_t last = parent ? link_hashes(*parent, block_hashes[0], link_seed) : block_hashes[0];
    sequence_hashes[0] = last;
    for (size_t i = 1; i < num_blocks; i++) {
        last = link_hashes(last, block_hashes[i], link_seed);
        sequence_hashes[i] = last;
    }
}

void kvp_seq_hash_chain(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                        kvp_seq_hash_version version, const uint64_t *parent, uint64_t *sequence_hashes) {
    const uint64_t link_seed = kvp_seq_hash_link_seed(version, salt_hash);
    if (block_size == 16)
        hash_chain(tokens, num_blocks, 16, salt_hash, link_seed, parent, sequence_hashes);
    else if (block_size == 32)
        hash_chain(tokens, num_blocks, 32, salt_hash, link_seed, parent, sequence_hashes);
    else
        hash_chain(tokens, num_blocks, block_size, salt_hash, link_seed, parent, sequence_hashes);
}

const char *kvp_seq_hash_check(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                               kvp_seq_hash_version version, const uint64_t *parent, const uint64_t *sequence_hashes) {
    const uint64_t link_seed = kvp_seq_hash_link_seed(version, salt_hash);
    for (size_t i = 0; i < num_blocks; i++) {
        const uint64_t block_hash = kvp_seq_hash_bytes(tokens + i * block_size, block_size * sizeof *tokens, salt_hash);
        const uint64_t *before = i > 0 ? &sequence_hashes[i - 1] : parent;
        if (before)
            KVP_REQUIRE(sequence_hashes[i] == kvp_seq_hash_link(*before, block_hash, link_seed),
                        "a sequence hash is not the link of its parent and its block");
        else
            KVP_REQUIRE(sequence_hashes[i] == block_hash, "a sequence hash without parent is not its block hash");
    }
    return NULL;
}
