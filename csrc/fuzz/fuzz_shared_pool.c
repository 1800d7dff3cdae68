/* What one thread can do to a pool that threads share: drops inside and outside the lock, a queue that is served in
 * order, bells that ring. */
#include "kvp/shared_pool.h"
#include "script.h"

#define BLOCKS  8
#define WAITERS 4
#define LEASES  8

static kvp_shared_pool shared;
static kvp_bell bell;
static kvp_lease *leases[LEASES];
static kvp_waiter waiters[WAITERS];
static uint64_t evicted[WAITERS][BLOCKS];
static bool is_used[WAITERS];

static void drop(int which) {
    uint32_t how = take_below(4);
    if (how == 3) { /* as a finalizer that runs inside a call */
        kvp_shared_pool_enter(&shared);
        kvp_shared_pool_drop(&shared, leases[which]);
        kvp_shared_pool_leave(&shared);
    } else if (how == 2) {
        kvp_shared_pool_drop_outside(&shared, leases[which]);
    } else {
        kvp_shared_pool_drop(&shared, leases[which]);
    }
    leases[which] = NULL;
}

static void allocate(int which) {
    uint64_t gone[BLOCKS];
    uint32_t num_evicted;
    kvp_lease *lease = kvp_lease_new(1 + take_below(BLOCKS), true);
    kvp_shared_pool_enter(&shared);
    kvp_status status = kvp_pool_allocate(&shared.pool, lease, 0, gone, BLOCKS, &num_evicted);
    kvp_shared_pool_leave(&shared);
    if (status == KVP_OK)
        leases[which] = lease;
    else
        kvp_lease_unshare(lease);
}

/* Its lease, granted or not, is the caller's again. */
static void stop_waiting(int which) {
    kvp_waiter *waiter = &waiters[which];
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_withdraw(&shared, waiter);
    kvp_shared_pool_leave(&shared);
    if (waiter->lease->is_live)
        kvp_shared_pool_drop(&shared, waiter->lease);
    else
        kvp_lease_unshare(waiter->lease);
    kvp_waiter_destroy(waiter);
    is_used[which] = false;
}

static void wait(int which, bool at_bell) {
    kvp_lease *lease = kvp_lease_new(1 + take_below(BLOCKS), true);
    KVP_EXPECT(kvp_waiter_init(&waiters[which], lease, evicted[which], at_bell ? &bell : NULL) == KVP_OK);
    is_used[which] = true;
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_enqueue(&shared, &waiters[which]);
    kvp_shared_pool_leave(&shared);
}

static void collect(void) {
    kvp_bell_silence(&bell);
    kvp_shared_pool_enter(&shared);
    for (kvp_waiter *waiter = kvp_shared_pool_collect(&shared, &bell); waiter; waiter = waiter->next)
        KVP_EXPECT(waiter->is_granted && !waiter->is_at_bell && waiter->lease->is_live);
    kvp_shared_pool_leave(&shared);
}

static void compare(void) {
    static uint8_t scratch[5 * BLOCKS];
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_leave(&shared); /* what was dropped from outside takes effect, and serves the queue */
    KVP_EXPECT_SOUND(kvp_pool_check(&shared.pool, scratch));
    KVP_EXPECT_SOUND(kvp_bell_check(&bell));
    KVP_EXPECT(atomic_load(&shared.deferred) == NULL && shared.dead == NULL);
    uint64_t queued = 0;
    for (kvp_waiter *waiter = shared.first; waiter; waiter = waiter->next, queued++)
        KVP_EXPECT(waiter->is_queued && !waiter->is_granted && !waiter->lease->is_live);
    KVP_EXPECT(queued == shared.num_waiters);
    for (int i = 0; i < WAITERS; i++)
        KVP_EXPECT(!is_used[i] || waiters[i].is_queued != waiters[i].is_granted);
    KVP_EXPECT(!shared.first || (int32_t)shared.first->lease->count > kvp_pool_available(&shared.pool));
}

static void run(void) {
    kvp_pool_config config = {.num_blocks = BLOCKS, .secret = {1, 2}, .has_outer_lock = take_below(2)};
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK && kvp_bell_init(&bell) == KVP_OK);
    while (has_more()) {
        uint32_t what = take_byte();
        int which = (int)(what / 8 % LEASES), waiter = which % WAITERS;
        switch (what % 8) {
        case 0:
            collect();
            break;
        case 1:
        case 2:
            if (is_used[waiter])
                stop_waiting(waiter);
            else
                wait(waiter, what % 8 == 1);
            break;
        case 3:
            kvp_shared_pool_enter(&shared);
            kvp_shared_pool_listen(&shared, what & 64 ? &bell : NULL);
            shared.relief = (int32_t)take_below(BLOCKS) - 1;
            kvp_shared_pool_leave(&shared);
            break;
        default:
            if (leases[which])
                drop(which);
            else
                allocate(which);
        }
        compare();
    }
    for (int i = 0; i < WAITERS; i++)
        if (is_used[i])
            stop_waiting(i);
    for (int i = 0; i < LEASES; i++)
        if (leases[i])
            drop(i);
    compare();
    KVP_EXPECT(shared.pool.num_leases == 0 && kvp_pool_available(&shared.pool) == BLOCKS);
    kvp_shared_pool_destroy(&shared);
    kvp_bell_destroy(&bell);
}
