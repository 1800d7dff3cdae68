/* Hashes of any tokens in one pass are those of one block at a time, in parts as in one go. */
#include "kvp/seq_hash.h"
#include "script.h"

#define MOST 64

static void run(void) {
    while (has_more()) {
        uint32_t tokens[MOST], n = take_below(MOST + 1), block_size = 1 + take_below(20);
        uint64_t blocks[MOST], hashes[MOST], parts[MOST], parent = take_number(8), salt = take_number(8);
        kvp_seq_hash_version version = take_below(2) ? KVP_SEQ_HASH_V1 : KVP_SEQ_HASH_V2;
        const uint64_t *before = take_below(2) ? &parent : NULL;
        for (uint32_t i = 0; i < n; i++)
            tokens[i] = (uint32_t)take_number(1 + i % 4);
        size_t count = n / block_size, first = count ? take_byte() % (count + 1) : 0;
        kvp_seq_hash_chain(tokens, count, block_size, salt, version, before, hashes);
        KVP_EXPECT_SOUND(kvp_seq_hash_check(tokens, count, block_size, salt, version, before, hashes));
        kvp_seq_hash_chain(tokens, first, block_size, salt, version, before, parts);
        kvp_seq_hash_chain(tokens + first * block_size, count - first, block_size, salt, version,
                           first ? &parts[first - 1] : before, parts + first);
        KVP_EXPECT(memcmp(parts, hashes, count * sizeof *hashes) == 0);
        kvp_seq_hash_blocks(tokens, count, block_size, salt, blocks);
        kvp_seq_hash_links(blocks, count, before, kvp_seq_hash_link_seed(version, salt), blocks);
        KVP_EXPECT(memcmp(blocks, hashes, count * sizeof *hashes) == 0);
    }
}
