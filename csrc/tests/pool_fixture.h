/* What the tests of pools share: calls with the arguments that most of them do not care about. Each expects to succeed.
 */
#ifndef KVP_POOL_FIXTURE_H
#define KVP_POOL_FIXTURE_H

#include "ctest.h"
#include "kvp/pool.h"

#ifndef MAX_BLOCKS
#define MAX_BLOCKS 64
#endif

static kvp_pool pool;
static uint8_t scratch[5 * MAX_BLOCKS];
static uint64_t evicted[MAX_BLOCKS]; /* by the last allocate */
static uint32_t num_evicted;
static int64_t now;

static void begin_as(int32_t num_blocks, bool keeps_duplicates, kvp_policy_kind policy) {
    kvp_pool_config config = {.num_blocks = num_blocks,
                              .keeps_duplicates = keeps_duplicates,
                              .event_capacity = 1024,
                              .secret = {0x0123456789ABCDEF, 0xFEDCBA9876543210},
                              .policy = policy,
                              .ghost_factor = 2};
    KVP_EXPECT(num_blocks <= MAX_BLOCKS && kvp_pool_init(&pool, &config) == KVP_OK);
    now = 0;
}

static void begin_with(int32_t num_blocks, bool keeps_duplicates) {
    begin_as(num_blocks, keeps_duplicates, KVP_POLICY_LRU);
}

static void begin(int32_t num_blocks) {
    begin_with(num_blocks, false);
}

static void expect_sound(void) {
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, scratch));
}

static void end(void) {
    expect_sound();
    kvp_pool_destroy(&pool);
}

static kvp_lease *allocate(uint32_t n) {
    kvp_lease *lease = kvp_lease_new(n, true);
    KVP_EXPECT(kvp_pool_allocate(&pool, lease, now, evicted, MAX_BLOCKS, &num_evicted) == KVP_OK);
    expect_sound();
    return lease;
}

static void release(kvp_lease *lease) {
    KVP_EXPECT(kvp_pool_release(&pool, lease) == KVP_OK);
    kvp_lease_unshare(lease);
    expect_sound();
}

/* Consume the whole lease, with all that a registration can say. */
static kvp_lease *register_with(kvp_lease *lease, kvp_registration registration) {
    kvp_segment segment = {lease, 0, 1, lease->count};
    kvp_lease *filled = kvp_lease_new(lease->count, false);
    uint32_t at;
    registration.segments = &segment;
    registration.num_segments = 1;
    KVP_EXPECT(kvp_pool_register(&pool, &registration, now, filled, &at) == KVP_OK);
    KVP_EXPECT(!lease->is_live);
    kvp_lease_unshare(lease);
    expect_sound();
    return filled;
}

/* A registration of these hashes with nothing else said. */
static kvp_registration of(const uint64_t *hashes) {
    return (kvp_registration){.hashes = hashes, .level = -1, .expiry = KVP_NO_EXPIRY};
}

static kvp_registration below(const uint64_t *hashes, uint64_t parent) {
    kvp_registration registration = of(hashes);
    registration.has_parent = true;
    registration.parent = parent;
    return registration;
}

#define HASHES(...) ((const uint64_t[]){__VA_ARGS__})
#define COUNT(...)  (sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

/* Allocate and register these hashes, each the child of the one before; the lease holds them. */
#define FILL(...)               register_with(allocate(COUNT(__VA_ARGS__)), of(HASHES(__VA_ARGS__)))
#define FILL_BELOW(parent, ...) register_with(allocate(COUNT(__VA_ARGS__)), below(HASHES(__VA_ARGS__), parent))

static kvp_lease *match_n(const uint64_t *hashes, uint32_t n) {
    kvp_lease *lease = kvp_lease_new(n, false);
    kvp_pool_match(&pool, hashes, n, now, lease);
    expect_sound();
    return lease;
}

#define MATCH(...) match_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

static bool is_known(uint64_t hash) {
    return kvp_hash_index_find(&pool.index, hash) != KVP_NO_BLOCK;
}

static void expect_counts(int32_t empty, int32_t mutable, int32_t active, int32_t cached) {
    KVP_EXPECT(pool.empty.count == empty && pool.num_mutable == mutable);
    KVP_EXPECT(pool.num_active == active && pool.num_cached == cached);
}

/* The last allocate evicted these, in this order. */
static void expect_evicted_n(const uint64_t *hashes, uint32_t n) {
    KVP_EXPECT(num_evicted == n && memcmp(evicted, hashes, n * sizeof *hashes) == 0);
}

#define EXPECT_EVICTED(...) expect_evicted_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

/* Evict one block after another until none is left: the order in which they would go. */
static void expect_order_n(const uint64_t *hashes, uint32_t n) {
    KVP_EXPECT(pool.num_cached == (int32_t)n);
    release(allocate((uint32_t)pool.empty.count + n));
    expect_evicted_n(hashes, n);
}

#define EXPECT_ORDER(...) expect_order_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

/* A copy of all that a failed call could have changed. */
typedef struct snapshot {
    kvp_pool pool;
    kvp_block rows[MAX_BLOCKS + KVP_NUM_LEVELS];
    int32_t empty[MAX_BLOCKS];
} snapshot;

static snapshot take_snapshot(void) {
    snapshot all;
    memset(&all, 0, sizeof all);
    memcpy(&all.pool, &pool, sizeof pool);
    memcpy(all.rows, pool.table.rows, ((size_t)pool.table.num_blocks + KVP_NUM_LEVELS) * sizeof(kvp_block));
    memcpy(all.empty, pool.empty.ids, (size_t)pool.empty.count * sizeof(int32_t));
    return all;
}

static void expect_unchanged(const snapshot *before) {
    snapshot after = take_snapshot();
    KVP_EXPECT(memcmp(before, &after, sizeof after) == 0);
    expect_sound();
}

#endif
