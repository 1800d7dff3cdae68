#include "kvp/block_checksum.h"
#include "memory_fixture.h"

static char scratch[FIXTURE_REGIONS * FIXTURE_REGION];

KVP_TEST(a_checksum_is_that_of_the_content_under_any_layout) {
    uint64_t expected = 0;
    for (int kind = 0; kind < 4; kind++)
        for (uint64_t alignment = 1; alignment <= 64; alignment *= 64) {
            fixture it;
            fixture_init(&it, (kvp_layout_kind)kind, alignment);
            for (uint64_t region = 0; region < FIXTURE_REGIONS; region++)
                memset(kvp_block_memory_region(&it.memory, 5, region), (int)region + 1, FIXTURE_REGION);
            uint64_t sum = kvp_block_checksum(&it.memory, 5);
            KVP_EXPECT_SOUND(kvp_block_checksum_check(&it.memory, 5, sum, scratch));
            expected = expected ? expected : sum;
            KVP_EXPECT(sum == expected);
            fixture_destroy(&it);
        }
}

KVP_TEST(every_flipped_bit_of_a_block_changes_its_checksum_and_no_other) {
    for (int kind = 0; kind < 4; kind++) {
        fixture it;
        const int32_t ids[] = {3, 4, 5};
        uint64_t before[3], after[3];
        fixture_init(&it, (kvp_layout_kind)kind, 64);
        kvp_block_checksums(&it.memory, ids, 3, before);
        for (uint64_t at = 0; at < FIXTURE_ROOM; at++) {
            int32_t owner = fixture_owner(&it, at);
            unsigned char bit = (unsigned char)(1u << at % 8);
            it.room[at] ^= bit;
            kvp_block_checksums(&it.memory, ids, 3, after);
            for (int i = 0; i < 3; i++)
                KVP_EXPECT((before[i] != after[i]) == (owner == ids[i]));
            it.room[at] ^= bit;
        }
        fixture_destroy(&it);
    }
}

KVP_TEST(the_check_says_that_a_block_was_written) {
    fixture it;
    fixture_init(&it, KVP_LAYOUT_LAYER_OUTERS, 1);
    uint64_t sum = kvp_block_checksum(&it.memory, 0);
    KVP_EXPECT_BROKEN_BY(*kvp_block_memory_at(&it.memory, 0, 2, 1), 0,
                         kvp_block_checksum_check(&it.memory, 0, sum, scratch),
                         "the block does not have the bytes it had");
    fixture_destroy(&it);
}

int main(void) {
    KVP_RUN(a_checksum_is_that_of_the_content_under_any_layout);
    KVP_RUN(every_flipped_bit_of_a_block_changes_its_checksum_and_no_other);
    KVP_RUN(the_check_says_that_a_block_was_written);
    return 0;
}
