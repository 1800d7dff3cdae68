/* The quotas of namespaces, beside sums over all of them. */
#include "kvp/namespaces.h"
#include "script.h"

#define BLOCKS 20
#define SPACES 4

static int64_t promised_by(const kvp_namespaces *spaces, int32_t except) {
    int64_t sum = 0;
    for (int32_t space = 0; space < spaces->count; space++) {
        const kvp_quota *quota = &spaces->quotas[space];
        sum += space == except ? 0 : quota->floor > quota->held ? quota->floor : quota->held;
    }
    return sum;
}

static void set(kvp_namespaces *spaces, int32_t space) {
    int32_t cap = (int32_t)take_below(BLOCKS + 1), floor = (int32_t)take_byte() % (cap + 1), count = spaces->count;
    int32_t held = space < count ? spaces->quotas[space].held : 0;
    int64_t wanted = promised_by(spaces, space) + (floor > held ? floor : held);
    kvp_status status = kvp_namespaces_set(spaces, space, floor, cap);
    if (space == SPACES)
        KVP_EXPECT(status == KVP_FULL);
    else
        KVP_EXPECT(status == (wanted > BLOCKS ? KVP_NOT_ENOUGH : KVP_OK));
    KVP_EXPECT(spaces->count == count + (status == KVP_OK && space == count));
}

static void expect_victim(const kvp_namespaces *spaces, int32_t space) {
    const kvp_quota *own = &spaces->quotas[space];
    int32_t victim = kvp_namespaces_victim(spaces, space);
    const kvp_quota *other = &spaces->quotas[victim];
    if (own->held + own->cached > own->cap)
        KVP_EXPECT(victim == space);
    else if (victim != space)
        KVP_EXPECT(other->cached > 0 && other->held + other->cached > other->floor);
}

static void run(void) {
    kvp_policy_config policy = {
        .kind = (kvp_policy_kind)take_below(KVP_NUM_POLICIES), .ghost_factor = 1, .secret = {1, 2}};
    int32_t ends = kvp_eviction_num_ends(policy.kind);
    kvp_block_table table;
    kvp_namespaces spaces;
    KVP_EXPECT(kvp_block_table_init(&table, BLOCKS, (SPACES - 1) * ends) == KVP_OK);
    KVP_EXPECT(kvp_namespaces_init(&spaces, SPACES, &table, BLOCKS, &policy) == KVP_OK);
    while (has_more()) {
        uint32_t what = take_byte();
        int32_t space = (int32_t)take_below((uint32_t)spaces.count);
        kvp_quota *quota = &spaces.quotas[space];
        int64_t room = kvp_namespaces_room(&spaces, space);
        KVP_EXPECT(room >= 0 && room <= BLOCKS - quota->held);
        if (what == 0) {
            kvp_namespaces_clear(&spaces);
        } else if (what % 4 == 0) {
            set(&spaces, what & 16 ? spaces.count : space);
        } else if (what % 4 == 1 && room > 0) {
            kvp_namespaces_hold(&spaces, space, 1 + (int32_t)take_byte() % (int32_t)room);
        } else if (what % 4 == 2 && quota->held > 0) { /* given back: cached or empty */
            kvp_namespaces_hold(&spaces, space, -1);
            quota->cached += what & 16 ? 1 : 0;
        } else if (quota->cached > 0) {
            quota->cached--;
        }
        expect_victim(&spaces, space);
        KVP_EXPECT_SOUND(kvp_namespaces_check(&spaces));
    }
    kvp_namespaces_destroy(&spaces);
    kvp_block_table_destroy(&table);
}
