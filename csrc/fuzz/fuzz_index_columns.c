/* Columns of any content: refused, or a pool is made of them that is sound and saves the same again. */
#include "saved_pool.h"

static void run(void) {
    saved_columns given = {0}, again;
    kvp_quota quotas[SPACES];
    take_config();
    begin();
    uint32_t count = take_byte() % (MOST_BLOCKS + 1), num_spaces = pool.namespaces ? 1 + take_below(SPACES) : 1;
    uint32_t is_plain = take_byte(); /* mostly, what is not said is in order */
    set_columns(&given, count, config.keeps_duplicates && take_below(2), pool.tokens.block_size);
    for (uint32_t i = 0; i < count; i++) {
        given.hashes[i] = is_plain & 1 ? i : take_below(16);
        given.lifetimes[i] = is_plain & 2 ? KVP_NO_EXPIRY : (int64_t)take_size();
        given.ids[i] = is_plain & 4 ? (int32_t)i : (int32_t)(int8_t)take_byte();
        given.parents[i] = is_plain & 8 ? (int32_t)i - 1 : (int32_t)(int8_t)take_byte();
        given.elders[i] = is_plain & 16 ? KVP_NO_BLOCK : (int32_t)(int8_t)take_byte();
        given.levels[i] = is_plain & 32 ? KVP_DEFAULT_LEVEL : (uint8_t)take_byte();
        given.spaces[i] = is_plain & 64 ? 0 : (uint8_t)take_byte();
        given.is_parked[i] = is_plain & 128 ? 0 : (uint8_t)take_byte();
    }
    for (uint32_t i = 0; i < count; i++)
        given.has_tokens[i] = (uint8_t)take_below(3);
    for (uint32_t space = 0; space < SPACES; space++) {
        quotas[space].cap = (int32_t)take_byte() % (config.num_blocks + 1);
        quotas[space].floor = (int32_t)take_byte() % (quotas[space].cap + 1);
    }
    if (check_columns(&given, num_spaces) == NULL) {
        kvp_status status = restore(&pool, &given, (int32_t)num_spaces, quotas, (int64_t)(take_size() >> 1));
        KVP_EXPECT(status == KVP_OK || (pool.namespaces && status == KVP_NOT_ENOUGH && pool.num_cached == 0));
        expect_sound();
        if (status == KVP_OK) {
            count = save(&pool, &again);
            KVP_EXPECT(count == (uint32_t)pool.num_cached);
            KVP_EXPECT_SOUND(check_columns(&again, num_spaces));
        }
        kvp_lease *all = kvp_lease_new((size_t)kvp_pool_room(&pool, 0), true);
        uint64_t evicted[MOST_BLOCKS];
        KVP_EXPECT(kvp_pool_allocate(&pool, all, now, evicted, MOST_BLOCKS, &count) == KVP_OK);
        leases[0] = all;
        forget_dead();
        expect_sound();
    }
    end();
}
