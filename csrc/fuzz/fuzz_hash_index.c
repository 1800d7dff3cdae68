/* The index of hashes, beside the rows that it is about, with secrets that spread hashes well, badly and not at all. */
#include "kvp/hash_index.h"
#include "script.h"

#define MOST   200
#define HASHES 256

static kvp_block_table table;
static kvp_hash_index hashes;
static uint64_t universe[HASHES];

static int32_t search(uint64_t hash) {
    for (int32_t id = 0; id < table.num_blocks; id++)
        if (table.rows[id].is_indexed && table.rows[id].hash == hash)
            return id;
    return KVP_NO_BLOCK;
}

static void insert(int32_t id, uint64_t hash, bool looks_first) {
    kvp_hash_place place = kvp_hash_index_place(&hashes, hash);
    kvp_block *row = &table.rows[id];
    row->hash = hash;
    row->lineage = KVP_ROOT;
    row->is_indexed = 1;
    if (looks_first && kvp_hash_index_insert_if_new(&hashes, id, place))
        return;
    if (kvp_hash_index_insert_placed(&hashes, id, place) == KVP_FULL)
        kvp_hash_index_rekey(&hashes, table.num_blocks);
}

static void forget(int32_t id) {
    table.rows[id].is_indexed = 0;
    table.rows[id].lineage = KVP_UNREGISTERED;
}

static void find_many(uint32_t first, uint32_t n) {
    int32_t ids[HASHES];
    uint32_t found = 0, prefix = 0;
    n = n < HASHES - first ? n : HASHES - first;
    KVP_EXPECT(kvp_hash_index_find_each(&hashes, universe + first, n, ids) <= n);
    for (uint32_t i = 0; i < n; i++) {
        KVP_EXPECT(ids[i] == search(universe[first + i]));
        found += ids[i] != KVP_NO_BLOCK;
        prefix += prefix == i && ids[i] != KVP_NO_BLOCK;
    }
    KVP_EXPECT(kvp_hash_index_find_each(&hashes, universe + first, n, ids) == found);
    KVP_EXPECT(kvp_hash_index_find_prefix(&hashes, universe + first, n, ids) == prefix);
    for (uint32_t i = 0; i < prefix; i++)
        KVP_EXPECT(ids[i] == search(universe[first + i]));
}

static void run(void) {
    int32_t num_blocks = 1 + (int32_t)take_below(MOST);
    uint32_t kind = take_byte();
    uint64_t secret[2] = {kind % 4 ? hash_of(kind) : 0, kind % 4 == 1 ? 1 : kind % 4 == 2 ? 3 : hash_of(kind + 1u)};
    KVP_EXPECT(kvp_block_table_init(&table, num_blocks, 1) == KVP_OK);
    KVP_EXPECT(kvp_hash_index_init(&hashes, &table, secret) == KVP_OK);
    for (uint32_t i = 0; i < HASHES; i++)
        universe[i] = kind & 16 ? i : kind & 32 ? (uint64_t)i << 32 : hash_of(i);
    while (has_more()) {
        uint32_t what = take_byte();
        int32_t id = (int32_t)take_byte() % num_blocks, other = (int32_t)take_byte() % num_blocks;
        kvp_block *row = &table.rows[id];
        if (what == 0) {
            kvp_hash_index_clear(&hashes);
            for (id = 0; id < num_blocks; id++)
                forget(id);
        } else if (what == 1) {
            kvp_hash_index_rekey(&hashes, num_blocks);
        } else if (what % 8 == 2) {
            find_many((uint32_t)id, (uint32_t)other);
        } else if (row->is_indexed && what % 8 == 3 && !table.rows[other].is_indexed) {
            table.rows[other] = *row;
            kvp_hash_index_replace(&hashes, id, other);
            forget(id);
        } else if (row->is_indexed) {
            kvp_hash_index_remove(&hashes, id);
            forget(id);
        } else if (search(universe[what]) == KVP_NO_BLOCK) {
            insert(id, universe[what], what % 2);
        }
        KVP_EXPECT(kvp_hash_index_find(&hashes, universe[what]) == search(universe[what]));
        KVP_EXPECT_SOUND(kvp_hash_index_check(&hashes, num_blocks));
    }
    kvp_hash_index_destroy(&hashes);
    kvp_block_table_destroy(&table);
}
