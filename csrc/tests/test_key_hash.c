#include "ctest.h"
#include "kvp/key_hash.h"

static const uint64_t SECRET[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0F0E0D0C0B0A0908)};

/* The message 00 01 02 ... of appendix A of the paper, and others of the authors' list, under the key 00 01 ... 0f. */
KVP_TEST(hashes_are_those_that_the_authors_list) {
    static const struct {
        size_t length;
        uint64_t expected;
    } listed[] = {
        {0, UINT64_C(0x726FDB47DD0E0E31)},  {1, UINT64_C(0x74F839C593DC67FD)},  {7, UINT64_C(0xAB0200F58B01D137)},
        {8, UINT64_C(0x93F5F5799A932462)},  {15, UINT64_C(0xA129CA6149BE45E5)}, {16, UINT64_C(0x3F2ACC7F57C29BDB)},
        {63, UINT64_C(0x958A324CEB064572)},
    };
    unsigned char message[64];
    for (unsigned i = 0; i < sizeof message; i++)
        message[i] = (unsigned char)i;
    for (unsigned i = 0; i < sizeof listed / sizeof *listed; i++)
        KVP_EXPECT(kvp_key_hash_bytes(message, listed[i].length, SECRET) == listed[i].expected);
    KVP_EXPECT(kvp_key_hash_bytes(NULL, 0, SECRET) == listed[0].expected);
}

KVP_TEST(chains_are_the_hashes_of_their_messages) {
    uint32_t tokens[60];
    uint64_t checks[60], parent = 17, buffer[2 + 30];
    for (uint32_t i = 0; i < 60; i++)
        tokens[i] = i * 2654435761u;
    for (size_t block_size = 1; block_size <= 30; block_size++) {
        for (int has_parent = 0; has_parent <= 1; has_parent++) {
            const uint64_t *given = has_parent ? &parent : NULL;
            kvp_key_hash_chain(tokens, 60 / block_size, block_size, 5, SECRET, given, checks);
            KVP_EXPECT(!kvp_key_hash_check(tokens, 60 / block_size, block_size, 5, SECRET, given, checks, buffer));
            checks[60 / block_size - 1]++;
            KVP_EXPECT(kvp_key_hash_check(tokens, 60 / block_size, block_size, 5, SECRET, given, checks, buffer));
        }
    }
}

KVP_TEST(a_chain_goes_on_where_another_ended) {
    uint32_t tokens[32] = {3, 1, 4, 1, 5};
    uint64_t whole[8], parts[8];
    kvp_key_hash_chain(tokens, 8, 4, 9, SECRET, NULL, whole);
    kvp_key_hash_chain(tokens, 3, 4, 9, SECRET, NULL, parts);
    kvp_key_hash_chain(tokens + 12, 5, 4, 9, SECRET, &parts[2], parts + 3);
    for (int i = 0; i < 8; i++)
        KVP_EXPECT(whole[i] == parts[i]);
}

KVP_TEST(a_salt_is_not_taken_for_a_parent_nor_one_secret_for_another) {
    const uint32_t tokens[4] = {1, 2, 3, 4};
    const uint64_t number = 77, other[2] = {SECRET[0], SECRET[1] + 1};
    uint64_t salted, child, under_other;
    kvp_key_hash_chain(tokens, 1, 4, number, SECRET, NULL, &salted);
    kvp_key_hash_chain(tokens, 1, 4, 0, SECRET, &number, &child);
    kvp_key_hash_chain(tokens, 1, 4, number, other, NULL, &under_other);
    KVP_EXPECT(salted != child);
    KVP_EXPECT(salted != under_other);
}

KVP_TEST(every_part_of_what_is_hashed_counts) {
    uint32_t tokens[8] = {0};
    uint64_t before[2], after[2];
    kvp_key_hash_chain(tokens, 2, 4, 0, SECRET, NULL, before);
    for (int at = 0; at < 8; at++) {
        tokens[at] = 1;
        kvp_key_hash_chain(tokens, 2, 4, 0, SECRET, NULL, after);
        tokens[at] = 0;
        KVP_EXPECT((after[0] != before[0]) == (at < 4));
        KVP_EXPECT(after[1] != before[1]);
    }
    kvp_key_hash_chain(tokens, 2, 4, 1, SECRET, NULL, after);
    KVP_EXPECT(after[0] != before[0] && after[1] != before[1]);
}

int main(void) {
    KVP_RUN(hashes_are_those_that_the_authors_list);
    KVP_RUN(chains_are_the_hashes_of_their_messages);
    KVP_RUN(a_chain_goes_on_where_another_ended);
    KVP_RUN(a_salt_is_not_taken_for_a_parent_nor_one_secret_for_another);
    KVP_RUN(every_part_of_what_is_hashed_counts);
    return 0;
}
