/* What a lineage hash was made of can be read off it; bits from elsewhere are in order or named. */
#include "kvp/lineage_hash.h"
#include "script.h"

static void run(void) {
    while (has_more()) {
        uint64_t hash = take_number(8), parent = take_number(8), bits;
        uint32_t position = (uint32_t)take_size() % KVP_LINEAGE_HASH_MAX_POSITION;
        kvp_lineage_hash made = kvp_lineage_hash_make(hash, position ? parent : 0, position);
        KVP_EXPECT_SOUND(kvp_lineage_hash_check(made));
        KVP_EXPECT(kvp_lineage_hash_sequence_hash(made) == hash && kvp_lineage_hash_position(made) == position);
        bits = kvp_lineage_hash_parent_bits(made);
        KVP_EXPECT(bits == ((position ? parent : 0) & (UINT64_MAX >> (kvp_lineage_hash_mode(made) * 8 + 10))));
        kvp_lineage_hash other = {.hi = hash, .lo = parent};
        if (kvp_lineage_hash_check(other) != NULL)
            continue;
        position = kvp_lineage_hash_position(other);
        made =
            kvp_lineage_hash_make(kvp_lineage_hash_sequence_hash(other), kvp_lineage_hash_parent_bits(other), position);
        KVP_EXPECT(made.hi == other.hi && made.lo == other.lo);
    }
}
