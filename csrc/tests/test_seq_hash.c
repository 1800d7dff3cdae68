#include "ctest.h"
#include "kvp/seq_hash.h"

#include <string.h>

static const uint32_t tokens[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

KVP_TEST(block_hashes_are_dynamos) {
    uint64_t hashes[3];
    kvp_seq_hash_blocks(tokens, 3, 4, 1337, hashes);
    KVP_EXPECT(hashes[0] == 14643705804678351452u);
    KVP_EXPECT(hashes[1] == 16777012769546811212u);
    KVP_EXPECT(hashes[2] == 483935686894639516u);
    kvp_seq_hash_blocks(tokens, 2, 4, 0, hashes);
    KVP_EXPECT(hashes[0] == 8052976908588476977u);
    KVP_EXPECT(hashes[1] == 13852901005659965728u);
}

KVP_TEST(sequence_hashes_are_dynamos_in_both_versions) {
    for (int version = KVP_SEQ_HASH_V1; version <= KVP_SEQ_HASH_V2; version++) {
        uint64_t hashes[3];
        kvp_seq_hash_chain(tokens, 3, 4, 1337, (kvp_seq_hash_version)version, NULL, hashes);
        KVP_EXPECT(hashes[0] == 14643705804678351452u);
        KVP_EXPECT(hashes[1] == 4945711292740353085u);
        KVP_EXPECT(hashes[2] == 12583592247330656132u);
        kvp_seq_hash_chain(tokens, 2, 4, 0, (kvp_seq_hash_version)version, NULL, hashes);
        KVP_EXPECT(hashes[0] == 8052976908588476977u);
        KVP_EXPECT(hashes[1] == (version == KVP_SEQ_HASH_V1 ? 4185132130981121146u : 17538018756801271241u));
    }
}

KVP_TEST(link_is_one_step_of_the_chain) {
    KVP_EXPECT(kvp_seq_hash_link(14643705804678351452u, 16777012769546811212u, 1337) == 4945711292740353085u);
    KVP_EXPECT(kvp_seq_hash_link(8052976908588476977u, 13852901005659965728u, 0) == 4185132130981121146u);
}

KVP_TEST(a_chain_goes_on_from_its_parent) {
    const uint64_t first = 14643705804678351452u;
    uint64_t rest[2];
    kvp_seq_hash_chain(tokens + 4, 2, 4, 1337, KVP_SEQ_HASH_V2, &first, rest);
    KVP_EXPECT(rest[0] == 4945711292740353085u);
    KVP_EXPECT(rest[1] == 12583592247330656132u);
}

KVP_TEST(known_block_hashes_are_linked_in_place) {
    const uint64_t first = 14643705804678351452u;
    uint64_t hashes[3] = {14643705804678351452u, 16777012769546811212u, 483935686894639516u};
    kvp_seq_hash_links(hashes, 3, NULL, 1337, hashes);
    KVP_EXPECT(hashes[0] == 14643705804678351452u);
    KVP_EXPECT(hashes[1] == 4945711292740353085u);
    KVP_EXPECT(hashes[2] == 12583592247330656132u);
    uint64_t second = 16777012769546811212u;
    kvp_seq_hash_links(&second, 1, &first, 1337, &second);
    KVP_EXPECT(second == 4945711292740353085u);
}

KVP_TEST(no_blocks_write_no_hashes) {
    uint64_t untouched = 42;
    kvp_seq_hash_blocks(tokens, 0, 16, 0, &untouched);
    kvp_seq_hash_chain(tokens, 0, 16, 0, KVP_SEQ_HASH_V2, NULL, &untouched);
    kvp_seq_hash_links(&untouched, 0, NULL, 0, &untouched);
    KVP_EXPECT(untouched == 42);
}

KVP_TEST(bytes_are_hashed_with_xxh3) {
    KVP_EXPECT(kvp_seq_hash_bytes(NULL, 0, 0) == 0x2d06800538d394c2u);
    KVP_EXPECT(kvp_seq_hash_bytes(tokens, 16, 1337) == 14643705804678351452u);
}

/* XXH3 has six algorithms, chosen by length, and two block sizes have loops of their own: all must agree with the
   definition, which the check computes one block at a time. */
KVP_TEST(every_block_size_agrees_with_the_definition) {
    enum { MAX_BLOCK = 300, NUM_BLOCKS = 5 };
    static uint32_t random_tokens[MAX_BLOCK * NUM_BLOCKS];
    unsigned long long state = 1;
    for (size_t i = 0; i < MAX_BLOCK * NUM_BLOCKS; i++)
        random_tokens[i] = (uint32_t)kvp_random(&state);
    for (size_t block_size = 1; block_size <= MAX_BLOCK; block_size++) {
        const uint64_t salt_hash = kvp_random(&state);
        const uint64_t parent = kvp_random(&state);
        const kvp_seq_hash_version version = block_size % 2 ? KVP_SEQ_HASH_V1 : KVP_SEQ_HASH_V2;
        uint64_t chained[NUM_BLOCKS], linked[NUM_BLOCKS];
        for (int has_parent = 0; has_parent < 2; has_parent++) {
            const uint64_t *before = has_parent ? &parent : NULL;
            kvp_seq_hash_chain(random_tokens, NUM_BLOCKS, block_size, salt_hash, version, before, chained);
            KVP_EXPECT_SOUND(
                kvp_seq_hash_check(random_tokens, NUM_BLOCKS, block_size, salt_hash, version, before, chained));
            kvp_seq_hash_blocks(random_tokens, NUM_BLOCKS, block_size, salt_hash, linked);
            kvp_seq_hash_links(linked, NUM_BLOCKS, before, kvp_seq_hash_link_seed(version, salt_hash), linked);
            KVP_EXPECT(memcmp(chained, linked, sizeof chained) == 0);
        }
    }
}

KVP_TEST(the_check_finds_a_wrong_hash) {
    uint64_t hashes[3];
    kvp_seq_hash_chain(tokens, 3, 4, 1337, KVP_SEQ_HASH_V2, NULL, hashes);
    KVP_EXPECT_SOUND(kvp_seq_hash_check(tokens, 3, 4, 1337, KVP_SEQ_HASH_V2, NULL, hashes));
    for (int i = 0; i < 3; i++) {
        hashes[i] ^= 1;
        KVP_EXPECT(kvp_seq_hash_check(tokens, 3, 4, 1337, KVP_SEQ_HASH_V2, NULL, hashes) != NULL);
        hashes[i] ^= 1;
    }
}

int main(void) {
    KVP_RUN(block_hashes_are_dynamos);
    KVP_RUN(sequence_hashes_are_dynamos_in_both_versions);
    KVP_RUN(link_is_one_step_of_the_chain);
    KVP_RUN(a_chain_goes_on_from_its_parent);
    KVP_RUN(known_block_hashes_are_linked_in_place);
    KVP_RUN(no_blocks_write_no_hashes);
    KVP_RUN(bytes_are_hashed_with_xxh3);
    KVP_RUN(every_block_size_agrees_with_the_definition);
    KVP_RUN(the_check_finds_a_wrong_hash);
    return 0;
}
