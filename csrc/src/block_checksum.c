#include "kvp/block_checksum.h"

#include "kvp/check.h"

#include <string.h>

#define XXH_INLINE_ALL
#include "xxhash.h"

uint64_t kvp_block_checksum(const kvp_block_memory *memory, int32_t id) {
    uint64_t span = kvp_layout_span(&memory->layout), bytes = span * memory->layout.region_bytes;
    uint64_t regions = memory->layout.config.num_layers * memory->layout.config.outer_dim;
    if (span == regions)
        return XXH3_64bits(kvp_block_memory_region(memory, (uint64_t)id, 0), bytes);
    XXH3_state_t state;
    (void)XXH3_64bits_reset(&state);
    for (uint64_t region = 0; region < regions; region += span)
        (void)XXH3_64bits_update(&state, kvp_block_memory_region(memory, (uint64_t)id, region), bytes);
    return XXH3_64bits_digest(&state);
}

void kvp_block_checksums(const kvp_block_memory *memory, const int32_t *ids, uint64_t n, uint64_t *sums) {
    for (uint64_t i = 0; i < n; i++)
        sums[i] = kvp_block_checksum(memory, ids[i]);
}

const char *kvp_block_checksum_check(const kvp_block_memory *memory, int32_t id, uint64_t sum, char *scratch) {
    uint64_t bytes = memory->layout.region_bytes;
    uint64_t regions = memory->layout.config.num_layers * memory->layout.config.outer_dim;
    for (uint64_t region = 0; region < regions; region++)
        memcpy(scratch + region * bytes, kvp_block_memory_region(memory, (uint64_t)id, region), bytes);
    KVP_REQUIRE(XXH3_64bits(scratch, regions * bytes) == sum, "the block does not have the bytes it had");
    return NULL;
}
