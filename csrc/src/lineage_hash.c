#include "kvp/lineage_hash.h"

#include "kvp/check.h"

/* P of a mode: 8, 16 or 24. */
static inline unsigned position_bits(unsigned mode) {
    return 8 * (mode + 1);
}

/* Q of a mode: 54, 46 or 38. */
static inline unsigned parent_bits(unsigned mode) {
    return 62 - position_bits(mode);
}

static inline uint64_t low_mask(unsigned bits) {
    return ((uint64_t)1 << bits) - 1;
}

kvp_lineage_hash kvp_lineage_hash_make(uint64_t sequence_hash, uint64_t parent, uint32_t position) {
    KVP_ASSERT(position < KVP_LINEAGE_HASH_MAX_POSITION);
    KVP_ASSERT(position > 0 || parent == 0);
    const unsigned mode = (position >= 1u << 8 ? 1u : 0u) + (position >= 1u << 16 ? 1u : 0u);
    const unsigned q = parent_bits(mode);
    /* 62 - P = Q, so the position begins where the upper part of the sequence hash ends. */
    return (kvp_lineage_hash){
        .hi = (uint64_t)mode << 62 | (uint64_t)position << q | sequence_hash >> (64 - q),
        .lo = sequence_hash << q | (parent & low_mask(q)),
    };
}

void kvp_lineage_hash_chain(const uint64_t *sequence_hashes, size_t num_blocks, uint64_t parent, uint32_t position,
                            kvp_lineage_hash *hashes) {
    for (size_t i = 0; i < num_blocks; i++) {
        hashes[i] = kvp_lineage_hash_make(sequence_hashes[i], parent, position + (uint32_t)i);
        parent = sequence_hashes[i];
    }
}

unsigned kvp_lineage_hash_mode(kvp_lineage_hash self) {
    return (unsigned)(self.hi >> 62);
}

uint32_t kvp_lineage_hash_position(kvp_lineage_hash self) {
    const unsigned mode = kvp_lineage_hash_mode(self);
    return (uint32_t)(self.hi >> parent_bits(mode) & low_mask(position_bits(mode)));
}

uint64_t kvp_lineage_hash_sequence_hash(kvp_lineage_hash self) {
    const unsigned q = parent_bits(kvp_lineage_hash_mode(self));
    return self.hi << (64 - q) | self.lo >> q;
}

uint64_t kvp_lineage_hash_parent_bits(kvp_lineage_hash self) {
    return self.lo & low_mask(parent_bits(kvp_lineage_hash_mode(self)));
}

const char *kvp_lineage_hash_check(kvp_lineage_hash self) {
    const unsigned mode = kvp_lineage_hash_mode(self);
    KVP_REQUIRE(mode <= 2, "a lineage hash has a mode that is not 0, 1 or 2");
    const uint32_t position = kvp_lineage_hash_position(self);
    KVP_REQUIRE(mode == 0 || position >= 1u << (8 * mode), "a lineage hash has a position below those of its mode");
    KVP_REQUIRE(position > 0 || kvp_lineage_hash_parent_bits(self) == 0, "a lineage hash at position 0 has a parent");
    return NULL;
}
