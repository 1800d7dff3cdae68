/* What the tests of tethers share: a pool whose lock is an outer one, memory that says when it is let go, and views. */
#ifndef KVP_TETHER_FIXTURE_H
#define KVP_TETHER_FIXTURE_H

#include "ctest.h"
#include "kvp/tether.h"

#include <pthread.h>

enum { NUM_BLOCKS = 8 };

static kvp_anchor *anchor;
static kvp_keeper *keeper;
static _Atomic int memory_gone;

static void let_memory_go(kvp_keeper *self) {
    atomic_fetch_add(&memory_gone, 1);
    kvp_keeper_free(self);
}

static void begin(bool has_outer_lock) {
    static int memory;
    kvp_pool_config config = {.num_blocks = NUM_BLOCKS, .secret = {1, 2}, .has_outer_lock = has_outer_lock};
    anchor = kvp_anchor_new(&config);
    keeper = kvp_keeper_new(&memory, let_memory_go);
    memory_gone = 0;
    KVP_EXPECT(anchor && keeper);
    KVP_EXPECT_SOUND(kvp_anchor_check(anchor));
}

/* The caller holds the outer lock, where there is one; so in what follows. NULL when there are not enough. */
static kvp_lease *try_allocate(uint32_t n) {
    uint64_t evicted[NUM_BLOCKS];
    uint32_t num_evicted;
    kvp_lease *lease = kvp_lease_new(n, true);
    kvp_shared_pool_enter(&anchor->shared);
    kvp_status status = kvp_pool_allocate(&anchor->shared.pool, lease, 0, evicted, NUM_BLOCKS, &num_evicted);
    kvp_shared_pool_leave(&anchor->shared);
    if (status == KVP_OK)
        return lease;
    kvp_lease_unshare(lease);
    return NULL;
}

static kvp_tether *view_of(kvp_lease *from) {
    kvp_segment part = {from, 0, 1, from->count};
    kvp_lease *lease = kvp_lease_new(from->count, false);
    kvp_shared_pool_enter(&anchor->shared);
    KVP_EXPECT(kvp_pool_lend(&anchor->shared.pool, &part, 0, lease) == KVP_OK);
    kvp_shared_pool_leave(&anchor->shared);
    kvp_tether *tether = kvp_tether_new(lease, anchor, keeper);
    KVP_EXPECT(tether != NULL);
    KVP_EXPECT_SOUND(kvp_tether_check(tether));
    return tether;
}

static int32_t available(void) {
    static uint8_t scratch[5 * NUM_BLOCKS];
    kvp_shared_pool_enter(&anchor->shared);
    KVP_EXPECT_SOUND(kvp_pool_check(&anchor->shared.pool, scratch));
    int32_t n = kvp_pool_available(&anchor->shared.pool);
    kvp_shared_pool_leave(&anchor->shared);
    return n;
}

static void *unshare(void *tether) {
    kvp_tether_unshare(tether);
    return NULL;
}

static pthread_t start(void *(*work)(void *), void *argument) {
    pthread_t thread;
    KVP_EXPECT(pthread_create(&thread, NULL, work, argument) == 0);
    return thread;
}

/* By a thread that does not hold the outer lock. */
static void unshare_in_thread(kvp_tether *tether) {
    pthread_join(start(unshare, tether), NULL);
}

#endif
