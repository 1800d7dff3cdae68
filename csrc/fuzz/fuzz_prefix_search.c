/* Prompts over any lineage of registered blocks, right and wrong ones: what is found is what one look-up a hash finds. */
#include "kvp/prefix_search.h"
#include "script.h"

#define BLOCKS 160

static void run(void) {
    static const uint64_t secret[2] = {0x0123456789ABCDEF, 0xFEDCBA9876543211};
    kvp_block_table table;
    kvp_hash_index hashes;
    uint64_t prompt[BLOCKS];
    int32_t ids[BLOCKS], expected[BLOCKS];
    bool is_chain;
    KVP_EXPECT(kvp_block_table_init(&table, BLOCKS, 1) == KVP_OK);
    KVP_EXPECT(kvp_hash_index_init(&hashes, &table, secret) == KVP_OK);
    int32_t registered = (int32_t)take_byte() % (BLOCKS + 1);
    for (int32_t id = 0; id < registered; id++) { /* one chain, but for what the script says */
        table.rows[id].hash = (uint64_t)id;
        table.rows[id].is_indexed = 1;
        table.rows[id].lineage = id ? id - 1 + KVP_PARENT_BASE : KVP_ROOT;
        KVP_EXPECT(kvp_hash_index_insert(&hashes, id) == KVP_OK);
    }
    while (has_more()) {
        uint32_t what = take_byte(), n = take_byte() % (BLOCKS + 1), from = take_byte() % BLOCKS;
        if (what % 4 == 0 && registered > 0) { /* a block continues another one, or none; it may be round a ring */
            table.rows[from % (uint32_t)registered].lineage = KVP_ROOT + (int32_t)(n % (uint32_t)(registered + 1));
            continue;
        }
        for (uint32_t i = 0; i < n; i++)
            prompt[i] = (what % 4 == 1 ? from : 0) + i;
        if (what % 4 == 2 && n > 0)
            prompt[from % n] = what;
        uint32_t found = kvp_hash_index_find_prefix(&hashes, prompt, n, expected);
        KVP_EXPECT(kvp_prefix_search(&hashes, prompt, n, ids, &is_chain) == found);
        for (uint32_t i = 0; i < found; i++)
            KVP_EXPECT(ids[i] == expected[i]);
        KVP_EXPECT(is_chain == kvp_is_chain(table.rows, expected, found));
    }
    kvp_hash_index_destroy(&hashes);
    kvp_block_table_destroy(&table);
}
