/* One pool, many threads: drops that must not wait, waiters that take their turn. */
#include "ctest.h"
#include "kvp/shared_pool.h"

#include <pthread.h>

#define NUM_BLOCKS 8

static kvp_shared_pool shared;

static void begin(int32_t num_blocks) {
    kvp_pool_config config = {.num_blocks = num_blocks, .secret = {1, 2}};
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
}

static void expect_sound(void) {
    static uint8_t scratch[5 * 64];
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT(shared.pool.table.num_blocks <= 64);
    KVP_EXPECT_SOUND(kvp_pool_check(&shared.pool, scratch));
    kvp_shared_pool_leave(&shared);
}

static void end(void) {
    expect_sound();
    KVP_EXPECT(shared.pool.num_leases == 0 && kvp_pool_available(&shared.pool) == shared.pool.table.num_blocks);
    KVP_EXPECT(shared.first == NULL && shared.num_waiters == 0 && shared.dead == NULL);
    KVP_EXPECT(atomic_load(&shared.deferred) == NULL);
    kvp_shared_pool_destroy(&shared);
}

/* NULL when there are not enough. The lock is not held. */
static kvp_lease *try_allocate(uint32_t n) {
    uint64_t evicted[64];
    uint32_t num_evicted;
    kvp_lease *lease = kvp_lease_new(n, true);
    kvp_shared_pool_enter(&shared);
    kvp_status status = kvp_pool_allocate(&shared.pool, lease, 0, evicted, 64, &num_evicted);
    kvp_shared_pool_leave(&shared);
    if (status == KVP_OK)
        return lease;
    kvp_lease_unshare(lease);
    return NULL;
}

static kvp_lease *allocate(uint32_t n) {
    kvp_lease *lease = try_allocate(n);
    KVP_EXPECT(lease != NULL);
    return lease;
}

static void *drop(void *lease) {
    kvp_shared_pool_drop(&shared, lease);
    return NULL;
}

static void drop_in_thread(kvp_lease *lease) {
    pthread_t thread;
    KVP_EXPECT(pthread_create(&thread, NULL, drop, lease) == 0);
    pthread_join(thread, NULL);
}

KVP_TEST(a_drop_while_nobody_holds_the_lock_takes_effect_at_once) {
    begin(NUM_BLOCKS);
    kvp_lease *lease = allocate(3);
    kvp_shared_pool_drop(&shared, lease);
    KVP_EXPECT(kvp_pool_available(&shared.pool) == NUM_BLOCKS && atomic_load(&shared.deferred) == NULL);
    end();
}

/* The thread is joined while the lock is held: a drop that waited would hang here. */
KVP_TEST(a_drop_while_another_thread_holds_the_lock_is_deferred_until_it_leaves) {
    begin(NUM_BLOCKS);
    kvp_lease *one = allocate(3), *two = allocate(2);
    kvp_shared_pool_enter(&shared);
    drop_in_thread(one);
    drop_in_thread(two);
    KVP_EXPECT(atomic_load(&shared.deferred) == two && two->deferred == one);
    KVP_EXPECT(kvp_pool_available(&shared.pool) == 3 && one->is_live);
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(kvp_pool_available(&shared.pool) == NUM_BLOCKS);
    end();
}

/* As a finalizer that runs while its own thread is inside. */
KVP_TEST(a_drop_by_the_thread_that_holds_the_lock_is_deferred_too) {
    begin(NUM_BLOCKS);
    kvp_lease *lease = allocate(3);
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_drop(&shared, lease);
    KVP_EXPECT(atomic_load(&shared.deferred) == lease && lease->is_live);
    kvp_shared_pool_leave(&shared);
    end();
}

KVP_TEST(whoever_enters_sees_what_was_dropped_before) {
    begin(NUM_BLOCKS);
    kvp_lease *lease = allocate(NUM_BLOCKS);
    lease->deferred = NULL;
    atomic_store(&shared.deferred, lease); /* pushed, and the one who pushed it has not tried the lock again yet */
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT(kvp_pool_available(&shared.pool) == NUM_BLOCKS && shared.dead == lease);
    kvp_shared_pool_leave(&shared);
    end();
}

KVP_TEST(a_deferred_lease_outlives_its_release_while_its_ids_are_shown) {
    begin(NUM_BLOCKS);
    kvp_lease *lease = allocate(2);
    kvp_lease_share(lease);
    kvp_shared_pool_enter(&shared);
    drop_in_thread(lease);
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(!lease->is_live && lease->ids[0] == 0 && lease->ids[1] == 1);
    kvp_lease_unshare(lease);
    end();
}

static kvp_waiter waiters[6];
static kvp_lease *wanted[6];
static uint64_t evicted[6][NUM_BLOCKS];

static void enqueue(int w, uint32_t n) {
    wanted[w] = kvp_lease_new(n, true);
    KVP_EXPECT(kvp_waiter_init(&waiters[w], wanted[w], evicted[w], NULL) == KVP_OK);
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_enqueue(&shared, &waiters[w]);
    kvp_shared_pool_leave(&shared);
}

static void withdraw(int w) {
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_withdraw(&shared, &waiters[w]);
    kvp_shared_pool_leave(&shared);
}

/* Bit w: waiter w was granted its blocks, and woken. */
static unsigned granted(int n) {
    unsigned bits = 0;
    for (int w = 0; w < n; w++) {
        bits |= (unsigned)waiters[w].is_granted << w;
        KVP_EXPECT(waiters[w].is_granted == wanted[w]->is_live);
    }
    return bits;
}

static void forget(int w) {
    KVP_EXPECT(kvp_waiter_wait(&waiters[w], 0) == (waiters[w].is_granted ? KVP_WOKEN : KVP_TIMED_OUT));
    kvp_waiter_destroy(&waiters[w]);
    kvp_shared_pool_drop(&shared, wanted[w]);
}

KVP_TEST(waiters_are_served_first_come_first_served) {
    begin(NUM_BLOCKS);
    kvp_lease *all[NUM_BLOCKS];
    for (int i = 0; i < NUM_BLOCKS; i++)
        all[i] = allocate(1);
    enqueue(0, 2);
    enqueue(1, 1);
    enqueue(2, 3);
    static const unsigned expected[] = {0, 1, 3, 3, 3, 7, 7, 7};
    for (int i = 0; i < NUM_BLOCKS; i++) {
        kvp_shared_pool_drop(&shared, all[i]);
        KVP_EXPECT(granted(3) == expected[i]);
    }
    KVP_EXPECT(shared.num_waiters == 0);
    for (int w = 0; w < 3; w++)
        forget(w);
    end();
}

/* The one behind wants less than there is, and waits all the same. */
KVP_TEST(a_small_wish_does_not_overtake_a_large_one) {
    begin(NUM_BLOCKS);
    kvp_lease *most = allocate(NUM_BLOCKS - 2);
    enqueue(0, 4);
    enqueue(1, 1);
    KVP_EXPECT(granted(2) == 0 && kvp_pool_available(&shared.pool) == 2);
    kvp_shared_pool_drop(&shared, most);
    KVP_EXPECT(granted(2) == 3);
    forget(0);
    forget(1);
    end();
}

/* Who waits for its own namespace keeps others of it waiting, but nobody else. */
KVP_TEST(each_namespace_has_a_queue_of_its_own) {
    kvp_pool_config config = {.num_blocks = NUM_BLOCKS, .max_namespaces = 1, .secret = {1, 2}};
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
    KVP_EXPECT(kvp_pool_set_quota(&shared.pool, 1, 0, 3, 0) == KVP_OK);
    static const uint8_t spaces[] = {1, 1, 0};
    static const uint32_t wishes[] = {3, 1, 2};
    kvp_lease *held = kvp_lease_new(2, true);
    uint32_t num_evicted;
    held->space = 1;
    KVP_EXPECT(kvp_pool_allocate(&shared.pool, held, 0, NULL, 0, &num_evicted) == KVP_OK);
    for (int w = 0; w < 3; w++) {
        wanted[w] = kvp_lease_new(wishes[w], true);
        wanted[w]->space = spaces[w];
        KVP_EXPECT(kvp_waiter_init(&waiters[w], wanted[w], evicted[w], NULL) == KVP_OK);
        kvp_shared_pool_enter(&shared);
        kvp_shared_pool_enqueue(&shared, &waiters[w]);
        kvp_shared_pool_leave(&shared);
    }
    KVP_EXPECT(granted(3) == 4); /* the second wants no more than there is, but stands behind the first */
    kvp_shared_pool_drop(&shared, held);
    KVP_EXPECT(granted(3) == 5);
    forget(0);
    KVP_EXPECT(waiters[1].is_granted);
    forget(1);
    forget(2);
    end();
}

KVP_TEST(a_deferred_drop_serves_who_waits) {
    begin(NUM_BLOCKS);
    kvp_lease *all = allocate(NUM_BLOCKS);
    enqueue(0, NUM_BLOCKS);
    kvp_shared_pool_enter(&shared);
    drop_in_thread(all);
    KVP_EXPECT(granted(1) == 0);
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(granted(1) == 1);
    forget(0);
    end();
}

KVP_TEST(a_waiter_is_told_what_was_evicted_for_it) {
    begin(2);
    kvp_lease *fresh = allocate(2), *filled = kvp_lease_new(2, false);
    enqueue(0, 1);
    const uint64_t hashes[] = {11, 12};
    kvp_segment segment = {fresh, 0, 1, 2};
    kvp_registration registration = {
        .segments = &segment, .num_segments = 1, .hashes = hashes, .level = -1, .expiry = KVP_NO_EXPIRY};
    uint32_t at;
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT(kvp_pool_register(&shared.pool, &registration, 0, filled, &at) == KVP_OK);
    kvp_shared_pool_leave(&shared);
    kvp_lease_unshare(fresh);
    kvp_shared_pool_drop(&shared, filled);
    KVP_EXPECT(granted(1) == 1 && waiters[0].num_evicted == 1 && evicted[0][0] == 12);
    forget(0);
    end();
}

KVP_TEST(a_waiter_leaves_from_any_place_in_the_queue) {
    for (int leaver = 0; leaver < 4; leaver++) {
        begin(NUM_BLOCKS);
        kvp_lease *all = allocate(NUM_BLOCKS);
        for (int w = 0; w < 4; w++)
            enqueue(w, 1);
        withdraw(leaver);
        KVP_EXPECT(shared.num_waiters == 3);
        enqueue(4, 1); /* behind the last, whoever that is by now */
        kvp_shared_pool_drop(&shared, all);
        KVP_EXPECT(granted(5) == (31u & ~(1u << leaver)));
        for (int w = 0; w < 5; w++)
            forget(w);
        end();
    }
}

KVP_TEST(when_the_first_gives_up_the_next_is_served) {
    begin(NUM_BLOCKS);
    kvp_lease *most = allocate(NUM_BLOCKS - 2);
    enqueue(0, 4);
    enqueue(1, 2);
    withdraw(0);
    KVP_EXPECT(granted(2) == 2);
    forget(0);
    forget(1);
    kvp_shared_pool_drop(&shared, most);
    end();
}

KVP_TEST(giving_up_too_late_or_twice_changes_nothing) {
    begin(NUM_BLOCKS);
    enqueue(0, 2);
    KVP_EXPECT(granted(1) == 1);
    withdraw(0);
    KVP_EXPECT(granted(1) == 1 && shared.num_waiters == 0);
    kvp_lease *most = allocate(NUM_BLOCKS - 2);
    enqueue(1, 1);
    enqueue(2, 1);
    withdraw(1);
    withdraw(1);
    KVP_EXPECT(shared.num_waiters == 1 && shared.first == &waiters[2] && shared.last == &waiters[2]);
    withdraw(2);
    withdraw(2);
    KVP_EXPECT(shared.num_waiters == 0 && shared.first == NULL);
    for (int w = 0; w < 3; w++)
        forget(w);
    kvp_shared_pool_drop(&shared, most);
    end();
}

KVP_TEST(who_gave_up_can_queue_again_at_the_end) {
    begin(NUM_BLOCKS);
    kvp_lease *all = allocate(NUM_BLOCKS);
    enqueue(0, NUM_BLOCKS);
    enqueue(1, NUM_BLOCKS);
    withdraw(0); /* while another stood behind */
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_enqueue(&shared, &waiters[0]);
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(shared.first == &waiters[1] && waiters[1].next == &waiters[0] && waiters[0].next == NULL);
    kvp_shared_pool_drop(&shared, all);
    KVP_EXPECT(granted(2) == 2);
    forget(1);
    KVP_EXPECT(granted(1) == 1);
    forget(0);
    end();
}

typedef struct worker {
    pthread_t thread;
    unsigned long long state;
    int granted, timed_out, matched;
} worker;

/* Wait in the queue for n blocks; NULL when the time is over. */
static kvp_lease *allocate_waiting(worker *self, uint32_t n, int64_t timeout) {
    uint64_t hashes[NUM_BLOCKS];
    kvp_waiter waiter;
    kvp_lease *lease = kvp_lease_new(n, true);
    KVP_EXPECT(kvp_waiter_init(&waiter, lease, hashes, NULL) == KVP_OK);
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_enqueue(&shared, &waiter);
    kvp_shared_pool_leave(&shared);
    kvp_waiter_wait(&waiter, timeout);
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_withdraw(&shared, &waiter);
    kvp_shared_pool_leave(&shared);
    bool is_granted = waiter.is_granted;
    kvp_waiter_destroy(&waiter);
    self->granted += is_granted;
    self->timed_out += !is_granted;
    if (is_granted)
        return lease;
    kvp_lease_unshare(lease);
    return NULL;
}

static _Atomic(kvp_lease *) handed_over[8]; /* dropped by another thread than the one that took it */

static void *work(void *argument) {
    worker *self = argument;
    uint64_t hashes[3], path = 0;
    for (int round = 0; round < 2000; round++) {
        uint32_t n = 1 + (uint32_t)kvp_random_below(&self->state, 3);
        bool waits = kvp_random_below(&self->state, 2);
        int64_t timeout = kvp_random_below(&self->state, 3) ? INT64_C(1000000000) : 1000;
        kvp_lease *lease = waits ? allocate_waiting(self, n, timeout) : try_allocate(n);
        if (lease && kvp_random_below(&self->state, 2)) {
            kvp_lease *filled = kvp_lease_new(n, false);
            kvp_segment segment = {lease, 0, 1, n};
            uint32_t at;
            for (uint32_t i = 0; i < n; i++)
                hashes[i] = path = path * 8 + 1 + (uint64_t)kvp_random_below(&self->state, 2);
            path %= 64;
            kvp_registration registration = {
                .segments = &segment, .num_segments = 1, .hashes = hashes, .level = -1, .expiry = KVP_NO_EXPIRY};
            kvp_shared_pool_enter(&shared);
            KVP_EXPECT(kvp_pool_register(&shared.pool, &registration, 0, filled, &at) == KVP_OK);
            kvp_shared_pool_leave(&shared);
            kvp_lease_unshare(lease);
            lease = filled;
        } else if (!lease) {
            for (uint64_t i = 0; i < 3; i++)
                hashes[i] = 1 + i + (uint64_t)kvp_random_below(&self->state, 4);
            lease = kvp_lease_new(3, false);
            kvp_shared_pool_enter(&shared);
            kvp_pool_match_scattered(&shared.pool, hashes, 3, 0, lease);
            kvp_shared_pool_leave(&shared);
            self->matched += lease->held > 0;
        }
        lease = atomic_exchange(&handed_over[kvp_random_below(&self->state, 2)], lease);
        if (lease)
            kvp_shared_pool_drop(&shared, lease);
    }
    return NULL;
}

KVP_TEST(threads_that_wait_match_register_and_drop_lose_no_block) {
    enum { THREADS = 4 };
    worker workers[THREADS] = {0};
    begin(NUM_BLOCKS);
    for (int t = 0; t < THREADS; t++) {
        workers[t].state = (unsigned long long)t;
        KVP_EXPECT(pthread_create(&workers[t].thread, NULL, work, &workers[t]) == 0);
    }
    int all_granted = 0;
    for (int t = 0; t < THREADS; t++) {
        pthread_join(workers[t].thread, NULL);
        all_granted += workers[t].granted;
    }
    KVP_EXPECT(all_granted > 0);
    expect_sound();
    for (int i = 0; i < 8; i++)
        if (handed_over[i])
            kvp_shared_pool_drop(&shared, atomic_exchange(&handed_over[i], NULL));
    end();
}

static void *drop_many(void *argument) {
    kvp_lease **leases = argument;
    for (int i = 0; i < 500; i++)
        kvp_shared_pool_drop(&shared, leases[i]);
    return NULL;
}

/* After the last of them is gone nothing may be left on the stack, whoever met whom. */
KVP_TEST(drops_that_race_with_calls_leave_nothing_behind) {
    static kvp_lease *leases[2][500];
    for (int round = 0; round < 10; round++) {
        pthread_t threads[2];
        kvp_pool_config config = {.num_blocks = 1000, .secret = {1, 2}};
        KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
        for (int i = 0; i < 1000; i++)
            leases[i % 2][i / 2] = allocate(1);
        for (int t = 0; t < 2; t++)
            KVP_EXPECT(pthread_create(&threads[t], NULL, drop_many, leases[t]) == 0);
        for (int i = 0; i < 2000; i++) {
            kvp_shared_pool_enter(&shared);
            KVP_EXPECT(shared.pool.empty.count + shared.pool.num_mutable == 1000);
            kvp_shared_pool_leave(&shared);
        }
        for (int t = 0; t < 2; t++)
            pthread_join(threads[t], NULL);
        KVP_EXPECT(atomic_load(&shared.deferred) == NULL && shared.pool.empty.count == 1000);
        kvp_shared_pool_destroy(&shared);
    }
}

KVP_TEST(who_waits_in_one_namespace_keeps_no_other_waiting) {
    kvp_pool_config config = {.num_blocks = 8, .secret = {1, 2}, .max_namespaces = 2};
    kvp_waiter waiters[3];
    kvp_lease *wanted[3];
    uint64_t evicted[8];
    uint32_t num_evicted;
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT(kvp_pool_set_quota(&shared.pool, 1, 0, 2, 0) == KVP_OK);
    KVP_EXPECT(kvp_pool_set_quota(&shared.pool, 2, 0, 8, 0) == KVP_OK);
    kvp_lease *first = kvp_lease_new(2, true);
    first->space = 1;
    KVP_EXPECT(kvp_pool_allocate(&shared.pool, first, 0, evicted, 8, &num_evicted) == KVP_OK);
    for (int i = 0; i < 3; i++) { /* two of the namespace that is at its cap, and one behind them that is not */
        wanted[i] = kvp_lease_new(i == 1 ? 1 : 2, true);
        wanted[i]->space = i < 2 ? 1 : 2;
        KVP_EXPECT(kvp_waiter_init(&waiters[i], wanted[i], evicted, NULL) == KVP_OK);
        kvp_shared_pool_enqueue(&shared, &waiters[i]);
    }
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(!waiters[0].is_granted && !waiters[1].is_granted && waiters[2].is_granted && shared.num_waiters == 2);
    kvp_shared_pool_drop(&shared, first); /* two come back: the first takes them, the second stays behind it */
    KVP_EXPECT(waiters[0].is_granted && !waiters[1].is_granted && shared.num_waiters == 1);
    kvp_shared_pool_drop(&shared, wanted[0]);
    KVP_EXPECT(waiters[1].is_granted && shared.num_waiters == 0);
    kvp_shared_pool_drop(&shared, wanted[1]);
    kvp_shared_pool_drop(&shared, wanted[2]);
    for (int i = 0; i < 3; i++)
        kvp_waiter_destroy(&waiters[i]);
    end();
}

KVP_TEST(what_is_guessed_is_true_while_nothing_happens) {
    begin(NUM_BLOCKS);
    kvp_lease *held = allocate(3);
    KVP_EXPECT(kvp_shared_pool_guess_empty(&shared) == 5 && kvp_shared_pool_guess_held(&shared) == 3);
    KVP_EXPECT(kvp_shared_pool_guess_registered(&shared) == 0 && kvp_shared_pool_guess_cached(&shared) == 0);
    drop(held);
    end();
}

int main(void) {
    KVP_RUN(a_drop_while_nobody_holds_the_lock_takes_effect_at_once);
    KVP_RUN(a_drop_while_another_thread_holds_the_lock_is_deferred_until_it_leaves);
    KVP_RUN(a_drop_by_the_thread_that_holds_the_lock_is_deferred_too);
    KVP_RUN(whoever_enters_sees_what_was_dropped_before);
    KVP_RUN(a_deferred_lease_outlives_its_release_while_its_ids_are_shown);
    KVP_RUN(waiters_are_served_first_come_first_served);
    KVP_RUN(a_small_wish_does_not_overtake_a_large_one);
    KVP_RUN(each_namespace_has_a_queue_of_its_own);
    KVP_RUN(a_deferred_drop_serves_who_waits);
    KVP_RUN(a_waiter_is_told_what_was_evicted_for_it);
    KVP_RUN(a_waiter_leaves_from_any_place_in_the_queue);
    KVP_RUN(when_the_first_gives_up_the_next_is_served);
    KVP_RUN(giving_up_too_late_or_twice_changes_nothing);
    KVP_RUN(who_gave_up_can_queue_again_at_the_end);
    KVP_RUN(threads_that_wait_match_register_and_drop_lose_no_block);
    KVP_RUN(drops_that_race_with_calls_leave_nothing_behind);
    KVP_RUN(who_waits_in_one_namespace_keeps_no_other_waiting);
    KVP_RUN(what_is_guessed_is_true_while_nothing_happens);
    return 0;
}
