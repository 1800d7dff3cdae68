#include "kvp/priority_buckets.h"

#include "kvp/check.h"

void kvp_priority_buckets_init(kvp_priority_buckets *self, kvp_block *rows, int32_t first_end) {
    self->rows = rows;
    self->first_end = first_end;
    self->occupied[0] = self->occupied[1] = 0;
    for (int32_t level = 0; level < KVP_NUM_LEVELS; level++)
        kvp_lru_list_init(self->rows, self->first_end + level);
}

const char *kvp_priority_buckets_check(const kvp_priority_buckets *self, int32_t *linked) {
    int32_t num_rows = self->first_end + KVP_NUM_LEVELS;
    *linked = 0;
    for (int32_t level = 0; level < KVP_NUM_LEVELS; level++) {
        int32_t end = self->first_end + level, length;
        const char *broken = kvp_lru_list_check(self->rows, num_rows, end, &length);
        if (broken)
            return broken;
        bool bit = self->occupied[level >> 6] >> (level & 63) & 1;
        KVP_REQUIRE(bit == (length > 0), "the bitmap of levels disagrees with a list");
        for (int32_t id = self->rows[end].next; id != end; id = self->rows[id].next) {
            KVP_REQUIRE(id < self->first_end, "the end of one level is in the list of another");
            KVP_REQUIRE(kvp_block_is_registered(&self->rows[id]), "a block without identity is in an eviction list");
            KVP_REQUIRE(self->rows[id].refs == 0, "a held block is in an eviction list");
            KVP_REQUIRE((int32_t)self->rows[id].level == level, "a block is in the list of another level");
        }
        *linked += length;
    }
    return NULL;
}
