/* What the tests of saved pools share: save the pool, and make another one what was saved. */
#ifndef KVP_RESTORE_FIXTURE_H
#define KVP_RESTORE_FIXTURE_H

#include "pool_fixture.h"

#define BLOCK_SIZE 2
#define SPACES     3

#define COLUMN_BLOCKS MAX_BLOCKS
#define COLUMN_TOKENS BLOCK_SIZE
#include "saved_columns.h"

static saved_columns told;
static uint64_t room[2 * MAX_BLOCKS];
static int64_t elapsed;
static kvp_quota quotas[SPACES];
static int32_t num_known, num_spaces;

static uint32_t save_into(saved_columns *to, uint32_t max) {
    set_columns(to, 0, pool.copies, pool.tokens.block_size);
    memset(room, 0, sizeof room);
    snapshot before = take_snapshot();
    uint32_t total = kvp_pool_save(&pool, &to->columns, max, now, room);
    expect_unchanged(&before);
    return total;
}

static void save(void) {
    static uint64_t work[8 * MAX_BLOCKS];
    uint32_t total = save_into(&told, MAX_BLOCKS), at;
    KVP_EXPECT(total == told.columns.count && total == (uint32_t)(pool.num_active + pool.num_cached));
    memset(work, 0, sizeof work);
    KVP_EXPECT(kvp_index_columns_scratch(total, pool.table.num_blocks) <= sizeof work);
    KVP_EXPECT_SOUND(kvp_index_columns_check(&told.columns, pool.table.num_blocks, SPACES, work, &at));
}

static kvp_status restore(void) {
    kvp_restoration restoration = {.columns = &told.columns,
                                   .elapsed = elapsed,
                                   .num_known = num_known,
                                   .num_spaces = num_spaces,
                                   .quotas = quotas};
    memset(room, 0, sizeof room);
    kvp_status status = kvp_pool_restore(&pool, &restoration, now, room);
    expect_sound();
    return status;
}

static void begin_new(bool keeps_duplicates, kvp_policy_kind policy, int32_t max_namespaces, bool keeps_facts) {
    kvp_pool_config config = {.num_blocks = 32,
                              .keeps_duplicates = keeps_duplicates,
                              .keeps_facts = keeps_facts,
                              .event_capacity = 1024,
                              .event_tokens = BLOCK_SIZE,
                              .secret = {1, 2},
                              .policy = policy,
                              .max_namespaces = max_namespaces,
                              .reuse_sampling = 0.5,
                              .ghost_factor = 2};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    now = 0;
    elapsed = 0;
    num_known = num_spaces = 1;
    quotas[0] = (kvp_quota){.floor = 0, .cap = 32};
}

#endif
