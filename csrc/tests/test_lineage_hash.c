#include "ctest.h"
#include "kvp/lineage_hash.h"

static const uint64_t sequence_hashes[3] = {14643705804678351452u, 4945711292740353085u, 12583592247330656132u};

static int equals(kvp_lineage_hash hash, uint64_t hi, uint64_t lo) {
    return hash.hi == hi && hash.lo == lo;
}

KVP_TEST(lineage_hashes_are_dynamos) {
    kvp_lineage_hash hashes[3];
    kvp_lineage_hash_chain(sequence_hashes, 3, 0, 0, hashes);
    KVP_EXPECT(equals(hashes[0], 0x0032ce3935fecb72u, 0x9700000000000000u));
    KVP_EXPECT(equals(hashes[1], 0x005128ac8de75b4fu, 0x0f78e4d7fb2dca5cu));
    KVP_EXPECT(equals(hashes[2], 0x00aba8799e9b2033u, 0xe122b2379d6d3c3du));
}

KVP_TEST(a_chain_goes_on_from_its_parent) {
    kvp_lineage_hash last;
    kvp_lineage_hash_chain(sequence_hashes + 2, 1, sequence_hashes[1], 2, &last);
    KVP_EXPECT(equals(last, 0x00aba8799e9b2033u, 0xe122b2379d6d3c3du));
}

/* The layout written out by hand: all ones in one field at a time, in each mode. */
KVP_TEST(each_field_has_its_place_in_each_mode) {
    const uint32_t positions[3] = {1, 0x100, 0x10000};
    const unsigned parent_bits[3] = {54, 46, 38};
    for (unsigned mode = 0; mode < 3; mode++) {
        const unsigned q = parent_bits[mode];
        const uint64_t fixed = (uint64_t)mode << 62 | (uint64_t)positions[mode] << q;
        KVP_EXPECT(equals(kvp_lineage_hash_make(0, 0, positions[mode]), fixed, 0));
        KVP_EXPECT(equals(kvp_lineage_hash_make(UINT64_MAX, 0, positions[mode]), fixed | (((uint64_t)1 << q) - 1),
                          UINT64_MAX << q));
        KVP_EXPECT(equals(kvp_lineage_hash_make(0, UINT64_MAX, positions[mode]), fixed, ((uint64_t)1 << q) - 1));
    }
}

KVP_TEST(the_smallest_mode_that_holds_the_position_is_taken) {
    const uint32_t positions[6] = {0, 255, 256, 65535, 65536, KVP_LINEAGE_HASH_MAX_POSITION - 1};
    for (unsigned i = 0; i < 6; i++) {
        const kvp_lineage_hash hash = kvp_lineage_hash_make(1, 0, positions[i]);
        KVP_EXPECT(kvp_lineage_hash_mode(hash) == i / 2);
        KVP_EXPECT(kvp_lineage_hash_position(hash) == positions[i]);
    }
}

KVP_TEST(fields_read_as_they_were_written) {
    const unsigned parent_bits[3] = {54, 46, 38};
    unsigned long long state = 1;
    for (int i = 0; i < 100000; i++) {
        const uint64_t sequence_hash = kvp_random(&state);
        const uint64_t parent = kvp_random(&state);
        const uint32_t position =
            1 + (uint32_t)(kvp_random(&state) >> (40 + 8 * (i % 3))) % (KVP_LINEAGE_HASH_MAX_POSITION - 1);
        const kvp_lineage_hash hash = kvp_lineage_hash_make(sequence_hash, parent, position);
        KVP_EXPECT_SOUND(kvp_lineage_hash_check(hash));
        KVP_EXPECT(kvp_lineage_hash_position(hash) == position);
        KVP_EXPECT(kvp_lineage_hash_sequence_hash(hash) == sequence_hash);
        const unsigned q = parent_bits[kvp_lineage_hash_mode(hash)];
        KVP_EXPECT(kvp_lineage_hash_parent_bits(hash) == (parent & (((uint64_t)1 << q) - 1)));
    }
}

KVP_TEST(the_check_finds_bits_that_no_block_has) {
#define BROKEN(sentence, ...) KVP_EXPECT_BROKEN(kvp_lineage_hash_check((kvp_lineage_hash){__VA_ARGS__}), sentence)
    BROKEN("a lineage hash has a mode that is not 0, 1 or 2", .hi = (uint64_t)3 << 62);
    BROKEN("a lineage hash has a position below those of its mode", .hi = (uint64_t)1 << 62 | (uint64_t)255 << 46);
    BROKEN("a lineage hash has a position below those of its mode", .hi = (uint64_t)2 << 62 | (uint64_t)65535 << 38);
    BROKEN("a lineage hash at position 0 has a parent", .lo = 1);
    KVP_EXPECT_SOUND(kvp_lineage_hash_check((kvp_lineage_hash){.hi = (uint64_t)1 << 62 | (uint64_t)256 << 46}));
    KVP_EXPECT_SOUND(kvp_lineage_hash_check((kvp_lineage_hash){0}));
}

int main(void) {
    KVP_RUN(lineage_hashes_are_dynamos);
    KVP_RUN(a_chain_goes_on_from_its_parent);
    KVP_RUN(each_field_has_its_place_in_each_mode);
    KVP_RUN(the_smallest_mode_that_holds_the_position_is_taken);
    KVP_RUN(fields_read_as_they_were_written);
    KVP_RUN(the_check_finds_bits_that_no_block_has);
    return 0;
}
