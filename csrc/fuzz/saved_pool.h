/* A pool as columns, and a second pool that is made of them. */
#ifndef KVP_SAVED_POOL_H
#define KVP_SAVED_POOL_H

#include "pool_script.h"

#define COLUMN_BLOCKS MOST_BLOCKS
#define COLUMN_TOKENS TOKENS
#include "../tests/saved_columns.h"

static const char *check_columns(const saved_columns *self, uint32_t num_spaces) {
    uint64_t scratch[4 * MOST_BLOCKS] = {0};
    uint32_t at;
    KVP_EXPECT(kvp_index_columns_scratch(self->columns.count, config.num_blocks) <= sizeof scratch ||
               self->columns.count > (uint32_t)config.num_blocks);
    return kvp_index_columns_check(&self->columns, config.num_blocks, num_spaces, scratch, &at);
}

static uint32_t save(const kvp_pool *from, saved_columns *to) {
    uint64_t scratch[MOST_BLOCKS] = {0};
    set_columns(to, 0, from->copies, from->tokens.block_size);
    return kvp_pool_save(from, &to->columns, MOST_BLOCKS, from->now, scratch);
}

/* Of a pool without blocks. */
static kvp_status restore(kvp_pool *to, const saved_columns *from, int32_t num_spaces, const kvp_quota *quotas,
                          int64_t elapsed) {
    uint64_t scratch[2 * MOST_BLOCKS] = {0};
    kvp_restoration restoration = {
        .columns = &from->columns, .elapsed = elapsed, .num_known = 1, .num_spaces = num_spaces, .quotas = quotas};
    return kvp_pool_restore(to, &restoration, now, scratch);
}

/* What the pool saves is in order, and another pool becomes it. */
static void save_and_restore(void) {
    saved_columns one, two;
    kvp_pool other;
    uint32_t count = save(&pool, &one);
    int32_t num_spaces = pool.namespaces ? pool.namespaces->count : 1;
    KVP_EXPECT(count == (uint32_t)(pool.num_active + pool.num_cached) && one.columns.count == count);
    KVP_EXPECT_SOUND(check_columns(&one, (uint32_t)num_spaces));
    KVP_EXPECT(kvp_pool_init(&other, &config) == KVP_OK);
    KVP_EXPECT(restore(&other, &one, num_spaces, pool.namespaces ? pool.namespaces->quotas : NULL, take_below(16)) ==
               KVP_OK);
    KVP_EXPECT_SOUND(kvp_pool_check(&other, room_for_check));
    count = save(&other, &two);
    KVP_EXPECT(count == (uint32_t)other.num_cached && (count == one.columns.count || other.stats.evictions_ahead > 0));
    for (uint32_t i = 0; count == one.columns.count && i < count; i++)
        KVP_EXPECT(other.table.rows[one.ids[i]].hash == one.hashes[i]);
    kvp_pool_destroy(&other);
}

#endif
