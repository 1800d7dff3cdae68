/* A pool with keys of 128 bits, of which many have one hash: what a call returns is of the very key that it named. */
#include "kvp/pool.h"
#include "script.h"

#define NUM_BLOCKS  24
#define MOST_LEASES 8
#define MOST_KEYS   6

static kvp_pool pool;
static kvp_lease *leases[MOST_LEASES];
static uint64_t key_of[NUM_BLOCKS][2]; /* of each block, when it was registered */
static uint8_t scratch[5 * NUM_BLOCKS];

/* Hashes, then as many check words, which no two hashes share. */
static uint32_t take_keys(uint64_t *keys) {
    uint32_t n = 1 + take_below(MOST_KEYS);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t byte = take_byte();
        keys[i] = hash_of(byte % 16);
        keys[n + i] = hash_of(1000 + byte % 16 * 4 + byte / 64);
    }
    return n;
}

static void release(kvp_lease **slot) {
    if (*slot) {
        KVP_EXPECT(kvp_pool_release(&pool, *slot) == KVP_OK);
        kvp_lease_unshare(*slot);
    }
    *slot = NULL;
}

static void expect_own(const kvp_lease *lease, const uint64_t *keys, uint32_t n) {
    for (uint32_t i = 0; i < lease->count; i++)
        if (lease->ids[i] != KVP_NO_BLOCK)
            KVP_EXPECT(key_of[lease->ids[i]][0] == keys[i] && key_of[lease->ids[i]][1] == keys[n + i]);
}

static kvp_lease *fill(const uint64_t *keys, uint32_t n) {
    uint64_t evicted[NUM_BLOCKS];
    uint32_t num_evicted, at;
    kvp_lease *fresh = kvp_lease_new(n, true), *filled;
    if (kvp_pool_allocate(&pool, fresh, 0, evicted, NUM_BLOCKS, &num_evicted) != KVP_OK) {
        kvp_lease_unshare(fresh);
        return NULL;
    }
    kvp_segment segment = {fresh, 0, 1, n};
    kvp_registration registration = {
        .segments = &segment, .num_segments = 1, .hashes = keys, .level = -1, .expiry = KVP_NO_EXPIRY};
    filled = kvp_lease_new(n, false);
    KVP_EXPECT(kvp_pool_register(&pool, &registration, 0, filled, &at) == KVP_OK);
    for (uint32_t i = 0; i < n; i++) {
        if (filled->ids[i] != fresh->ids[i])
            continue; /* shared */
        key_of[filled->ids[i]][0] = keys[i];
        key_of[filled->ids[i]][1] = keys[n + i];
    }
    kvp_lease_unshare(fresh);
    return filled;
}

static void run(void) {
    kvp_pool_config config = {
        .num_blocks = NUM_BLOCKS, .keeps_checks = true, .keeps_duplicates = take_below(2) == 1, .secret = {3, 5}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    while (has_more()) {
        uint64_t keys[2 * MOST_KEYS];
        uint8_t outcomes[MOST_KEYS];
        kvp_identity gone[NUM_BLOCKS];
        uint32_t what = take_below(8), n = take_keys(keys), count;
        int32_t ids[MOST_KEYS];
        kvp_lease **slot = &leases[take_below(MOST_LEASES)];
        release(slot);
        if (what == 0) {
            KVP_EXPECT(kvp_pool_reset_blocks(&pool, keys, n, outcomes, gone, NUM_BLOCKS, &count) == KVP_OK);
        } else if (what == 1) {
            kvp_pool_touch(&pool, keys, n, ids);
        } else if (what == 2) {
            kvp_pool_retain(&pool, keys, n, (int)(keys[0] % 101), KVP_NO_EXPIRY, 0);
        } else if (what < 5) {
            *slot = kvp_lease_new(n, false);
            if (what == 3)
                kvp_pool_match(&pool, keys, n, 0, *slot);
            else
                kvp_pool_match_scattered(&pool, keys, n, 0, *slot);
        } else {
            *slot = fill(keys, n);
        }
        if (*slot)
            expect_own(*slot, keys, n);
        KVP_EXPECT_SOUND(kvp_pool_check(&pool, scratch));
    }
    for (int i = 0; i < MOST_LEASES; i++)
        release(&leases[i]);
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, scratch));
    kvp_pool_destroy(&pool);
}
