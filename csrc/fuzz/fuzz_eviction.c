/* Every eviction policy, and the levels, with blocks that live as the pool lets them: registered, held, given back, set
 * aside, changed in level, evicted. What goes next is a block that may go, and goes once. */
#include "kvp/eviction.h"
#include "script.h"

#define BLOCKS 16

typedef enum state { EMPTY, HELD, CACHED, ASIDE } state;

static kvp_block_table table;
static kvp_eviction eviction;
static state states[BLOCKS];
static int64_t now;

static void compare(void) {
    int32_t count, cached = 0;
    uint32_t lowest = KVP_NUM_LEVELS;
    for (int32_t id = 0; id < BLOCKS; id++) {
        cached += states[id] == CACHED;
        if (states[id] == CACHED && table.rows[id].level < lowest)
            lowest = table.rows[id].level;
    }
    KVP_EXPECT_SOUND(kvp_eviction_check(&eviction, &count));
    KVP_EXPECT(count == cached && kvp_eviction_lowest_level(&eviction) == lowest);
}

static void admit(int32_t id) {
    kvp_block *row = &table.rows[id];
    uint32_t level = take_byte();
    row->hash = take_below(64);
    row->lineage = KVP_ROOT;
    row->prev = row->next = KVP_NO_BLOCK;
    row->refs = 1;
    row->level = (level & 1 ? KVP_DEFAULT_LEVEL : level % KVP_NUM_LEVELS) & 0x7F;
    kvp_eviction_admit(&eviction, id);
    states[id] = HELD;
}

/* Some blocks at once, as one release gives them back. */
static void give_back(void) {
    uint32_t mask = (uint32_t)take_number(2);
    kvp_eviction_begin_release(&eviction, take_below(KVP_NUM_HINTS), now);
    for (int32_t id = 0; id < BLOCKS; id++)
        if (mask >> id & 1 && states[id] == HELD) {
            table.rows[id].refs = 0;
            kvp_eviction_add(&eviction, id);
            states[id] = CACHED;
        }
    kvp_eviction_end_release(&eviction);
}

static void lose(int32_t id, bool is_evicted) {
    kvp_eviction_leave(&eviction, id, is_evicted);
    table.rows[id].lineage = KVP_UNREGISTERED;
    table.rows[id].children = table.rows[id].refs = 0;
    states[id] = EMPTY;
}

static void evict(bool sets_aside) {
    uint32_t lowest = kvp_eviction_lowest_level(&eviction);
    int32_t id = kvp_eviction_take_next(&eviction);
    if (lowest == KVP_NUM_LEVELS) {
        KVP_EXPECT(id == KVP_NO_BLOCK);
        return;
    }
    KVP_EXPECT(id >= 0 && id < BLOCKS && states[id] == CACHED && table.rows[id].level == lowest);
    if (!sets_aside) {
        lose(id, true);
        return;
    }
    table.rows[id].prev = KVP_PARKED;
    table.rows[id].children = 1;
    states[id] = ASIDE;
}

static void step(void) {
    uint32_t what = take_byte();
    int32_t id = (int32_t)(what / 16);
    kvp_block *row = &table.rows[id];
    now += take_below(4) ? 0 : (int64_t)(take_size() % (uint64_t)(INT64_MAX - now));
    switch (what % 16) {
    case 0:
        give_back();
        return;
    case 1:
    case 2:
        kvp_eviction_see_time(&eviction, now);
        evict(what % 16 == 1);
        return;
    case 3: {
        int32_t ids[3] = {id, KVP_NO_BLOCK, (int32_t)take_below(BLOCKS)};
        for (int i = 0; i < 3; i++)
            ids[i] = ids[i] != KVP_NO_BLOCK && states[ids[i]] == EMPTY ? KVP_NO_BLOCK : ids[i];
        kvp_eviction_hit(&eviction, ids, 3, now);
        return;
    }
    case 4:
        if (states[id] != EMPTY)
            kvp_eviction_set_level(&eviction, id, what & 16 ? KVP_DEFAULT_LEVEL : take_below(KVP_NUM_LEVELS));
        return;
    case 5:
        if (id)
            return;
        kvp_eviction_clear(&eviction);
        for (id = 0; id < BLOCKS; id++) {
            table.rows[id] = (kvp_block){.lineage = KVP_UNREGISTERED};
            states[id] = EMPTY;
        }
        return;
    default:
        break;
    }
    if (states[id] == EMPTY) {
        admit(id);
    } else if (states[id] == CACHED) { /* it is held again, or reset */
        kvp_eviction_remove(&eviction, id);
        row->refs = 1;
        states[id] = HELD;
        if (what % 16 == 6)
            lose(id, false);
    } else if (states[id] == ASIDE && what % 2) { /* the last that continued it is gone */
        row->children = 0;
        kvp_eviction_add_next(&eviction, id);
        states[id] = CACHED;
    } else if (states[id] == ASIDE) {
        row->refs = 1;
        row->children = 0;
        row->prev = KVP_NO_BLOCK;
        states[id] = HELD;
    } else if (what % 16 == 6) {
        lose(id, false);
    }
}

static void run(void) {
    kvp_policy_config config = {.kind = (kvp_policy_kind)take_below(KVP_NUM_POLICIES),
                                .ghost_factor = 1 + take_below(3),
                                .secret = {hash_of(1), hash_of(2)}};
    KVP_EXPECT(kvp_block_table_init(&table, BLOCKS, kvp_eviction_num_ends(config.kind)) == KVP_OK);
    KVP_EXPECT(kvp_eviction_init(&eviction, &table, BLOCKS, &config) == KVP_OK);
    memset(states, 0, sizeof states);
    now = 0;
    while (has_more()) {
        step();
        compare();
    }
    kvp_eviction_destroy(&eviction);
    kvp_block_table_destroy(&table);
}
