/* Whatever happened to a pool: what it saves, another one becomes. */
#include "restore_fixture.h"

/* A history of one chain of hashes for each of some paths, with everything that changes the order. */
static void live(unsigned long long *state, kvp_lease **leases) {
    uint64_t hashes[5], path = 100 * (1 + (uint64_t)kvp_random_below(state, 7));
    uint32_t n = 1 + (uint32_t)kvp_random_below(state, 5), length;
    int at = kvp_random_below(state, 6);
    int32_t ids[8];
    now += kvp_random_below(state, 10);
    for (uint32_t i = 0; i < n; i++)
        hashes[i] = path + i;
    if (leases[at]) {
        release(leases[at]);
        leases[at] = NULL;
        return;
    }
    switch (kvp_random_below(state, 7)) {
    case 0:
        leases[at] = match_n(hashes, n);
        break;
    case 1:
        (void)kvp_pool_touch(&pool, hashes, n, ids);
        break;
    case 2:
        (void)kvp_pool_retain(&pool, hashes, n, kvp_random_below(state, 101), now + kvp_random_below(state, 200), now);
        break;
    case 3:
        length = n;
        kvp_pool_protect(&pool, hashes, &length, 1, ids);
        break;
    default:
        if (kvp_pool_available(&pool) < (int32_t)n)
            return;
        kvp_registration registration = of(hashes);
        if (kvp_random_below(state, 3) == 0)
            registration.expiry = now + 1 + kvp_random_below(state, 100);
        if (kvp_random_below(state, 3) == 0)
            registration.level = kvp_random_below(state, 101);
        leases[at] = register_with(allocate(n), registration);
    }
}

static void drop_oldest_first(kvp_lease **leases) {
    while (pool.leases) {
        kvp_lease *oldest = pool.leases;
        while (oldest->next)
            oldest = oldest->next;
        for (int at = 0; at < 6; at++)
            if (leases[at] == oldest)
                leases[at] = NULL;
        release(oldest);
    }
    for (int at = 0; at < 6; at++) { /* those that hold nothing */
        if (leases[at])
            release(leases[at]);
        leases[at] = NULL;
    }
}

static void same_order(unsigned long long *state) {
    kvp_lease *leases[6] = {NULL};
    bool keeps_duplicates = kvp_random_below(state, 2);
    begin_new(keeps_duplicates, KVP_POLICY_LRU, 0, false);
    for (int step = 0; step < 150; step++)
        live(state, leases);
    save();
    drop_oldest_first(leases);
    kvp_pool_protect(&pool, NULL, NULL, 0, NULL);
    uint64_t order[MAX_BLOCKS];
    uint32_t length = (uint32_t)pool.num_cached;
    KVP_EXPECT(length == told.columns.count);
    now += 50;
    kvp_lease *all = allocate(32);
    KVP_EXPECT(num_evicted == length);
    memcpy(order, evicted, length * sizeof *order);
    release(all);
    end();
    begin_new(keeps_duplicates, KVP_POLICY_LRU, 0, false);
    now = kvp_random_below(state, 1000000);
    elapsed = kvp_random_below(state, 51);
    KVP_EXPECT(restore() == KVP_OK);
    now += 50 - elapsed;
    expect_order_n(order, length);
    end();
}

KVP_TEST(whatever_happened_blocks_go_in_the_order_of_the_saved_pool) {
    kvp_for_seeds(400, same_order);
}

static void same_registry(unsigned long long *state) {
    kvp_lease *leases[6] = {NULL};
    bool keeps_duplicates = kvp_random_below(state, 2);
    kvp_policy_kind policy = (kvp_policy_kind)kvp_random_below(state, KVP_NUM_POLICIES);
    int32_t max_namespaces = kvp_random_below(state, 2);
    begin_new(keeps_duplicates, policy, max_namespaces, !max_namespaces && kvp_random_below(state, 2));
    for (int step = 0; step < 150; step++)
        live(state, leases);
    save();
    drop_oldest_first(leases);
    end();
    begin_new(keeps_duplicates, policy, max_namespaces, !max_namespaces && kvp_random_below(state, 2));
    KVP_EXPECT(restore() == KVP_OK);
    KVP_EXPECT(pool.num_cached == (int32_t)told.columns.count);
    for (uint32_t i = 0; i < told.columns.count; i++) {
        KVP_EXPECT(is_known(told.hashes[i]) && pool.table.rows[told.ids[i]].hash == told.hashes[i]);
        KVP_EXPECT(kvp_block_parent(&pool.table.rows[told.ids[i]]) == told.parents[i]);
    }
    for (int step = 0; step < 50; step++)
        live(state, leases);
    drop_oldest_first(leases);
    release(allocate(32));
    end();
}

KVP_TEST(under_every_policy_the_registry_is_that_of_the_saved_pool) {
    kvp_for_seeds(400, same_registry);
}

int main(void) {
    KVP_RUN(whatever_happened_blocks_go_in_the_order_of_the_saved_pool);
    KVP_RUN(under_every_policy_the_registry_is_that_of_the_saved_pool);
    return 0;
}
