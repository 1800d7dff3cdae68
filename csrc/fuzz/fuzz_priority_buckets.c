/* Cached blocks by level, beside a rank for each block. */
#include "kvp/priority_buckets.h"
#include "script.h"

#define BLOCKS 10

static struct {
    bool is_in;
    uint32_t level;
    int64_t rank; /* in its level: the smallest goes first */
} model[BLOCKS];

static int32_t first_of_model(void) {
    int32_t first = KVP_NO_BLOCK;
    for (int32_t id = 0; id < BLOCKS; id++)
        if (model[id].is_in && (first == KVP_NO_BLOCK || model[id].level < model[first].level ||
                                (model[id].level == model[first].level && model[id].rank < model[first].rank)))
            first = id;
    return first;
}

static void run(void) {
    kvp_block_table table;
    kvp_priority_buckets buckets;
    int32_t count = 0, linked;
    int64_t newest = 0, oldest = 0;
    KVP_EXPECT(kvp_block_table_init(&table, BLOCKS, KVP_NUM_LEVELS) == KVP_OK);
    kvp_priority_buckets_init(&buckets, table.rows, BLOCKS);
    memset(model, 0, sizeof model);
    for (int32_t id = 0; id < BLOCKS; id++)
        table.rows[id].lineage = KVP_ROOT;
    while (has_more()) {
        uint32_t what = take_byte();
        int32_t id = (int32_t)take_below(BLOCKS);
        if (what % 4 == 0 && count > 0)
            id = kvp_priority_buckets_first(&buckets);
        if (model[id].is_in) {
            kvp_priority_buckets_remove(&buckets, id);
            model[id].is_in = false;
            count--;
        } else {
            table.rows[id].level = model[id].level = take_below(KVP_NUM_LEVELS) & 0x7F;
            model[id].rank = what % 2 ? ++newest : --oldest;
            model[id].is_in = true;
            count++;
            if (what % 2)
                kvp_priority_buckets_add_newest(&buckets, id);
            else
                kvp_priority_buckets_add_oldest(&buckets, id);
        }
        KVP_EXPECT(kvp_priority_buckets_first(&buckets) == first_of_model());
        KVP_EXPECT_SOUND(kvp_priority_buckets_check(&buckets, &linked));
        KVP_EXPECT(linked == count);
    }
    kvp_block_table_destroy(&table);
}
