#include "ctest.h"
#include "kvp/shared_pool.h"

#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>

enum { NUM_BLOCKS = 8 };

static kvp_shared_pool shared;
static kvp_bell bell;

static void begin_as(uint64_t event_capacity, bool has_outer_lock) {
    kvp_pool_config config = {
        .num_blocks = NUM_BLOCKS, .has_outer_lock = has_outer_lock, .event_capacity = event_capacity, .secret = {1, 2}};
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
    KVP_EXPECT(kvp_bell_init(&bell) == KVP_OK);
}

static void begin_with(uint64_t event_capacity) {
    begin_as(event_capacity, false);
}

static void begin(void) {
    begin_with(0);
}

static void end(void) {
    static uint8_t scratch[5 * NUM_BLOCKS];
    KVP_EXPECT_SOUND(kvp_bell_check(&bell));
    KVP_EXPECT_SOUND(kvp_pool_check(&shared.pool, scratch));
    KVP_EXPECT(shared.pool.num_leases == 0 && shared.num_waiters == 0);
    kvp_bell_destroy(&bell);
    kvp_shared_pool_destroy(&shared);
}

static bool is_readable(const kvp_bell *self) {
    struct pollfd wanted = {.fd = self->read_fd, .events = POLLIN};
    return poll(&wanted, 1, 0) == 1;
}

static kvp_lease *allocate(uint32_t n) {
    kvp_lease *lease = kvp_lease_new(n, true);
    uint64_t evicted[NUM_BLOCKS];
    uint32_t num_evicted;
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT(kvp_pool_allocate(&shared.pool, lease, 0, evicted, NUM_BLOCKS, &num_evicted) == KVP_OK);
    kvp_shared_pool_leave(&shared);
    return lease;
}

static void reset(void) {
    kvp_identity identities[NUM_BLOCKS];
    uint32_t count;
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT(kvp_pool_reset(&shared.pool, identities, NUM_BLOCKS, &count) == KVP_OK);
    kvp_shared_pool_leave(&shared);
}

static kvp_waiter waiters[4];
static kvp_lease *wanted[4];
static uint64_t evicted[4][NUM_BLOCKS];

static void enqueue(int w, uint32_t n) {
    wanted[w] = kvp_lease_new(n, true);
    KVP_EXPECT(kvp_waiter_init(&waiters[w], wanted[w], evicted[w], &bell) == KVP_OK);
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_enqueue(&shared, &waiters[w]);
    kvp_shared_pool_leave(&shared);
}

static void withdraw(int w) {
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_withdraw(&shared, &waiters[w]);
    kvp_shared_pool_leave(&shared);
}

static kvp_waiter *collect(void) {
    kvp_bell_silence(&bell);
    kvp_shared_pool_enter(&shared);
    KVP_EXPECT_SOUND(kvp_bell_check(&bell));
    kvp_waiter *first = kvp_shared_pool_collect(&shared, &bell);
    kvp_shared_pool_leave(&shared);
    return first;
}

static void forget(int w) {
    withdraw(w);
    kvp_waiter_destroy(&waiters[w]);
    kvp_shared_pool_drop(&shared, wanted[w]);
}

KVP_TEST(a_bell_is_readable_from_its_ring_until_it_is_silenced) {
    begin();
    KVP_EXPECT(!is_readable(&bell));
    kvp_bell_ring(&bell);
    KVP_EXPECT(is_readable(&bell) && bell.is_rung);
    kvp_bell_silence(&bell);
    KVP_EXPECT(!is_readable(&bell));
    end();
}

KVP_TEST(a_bell_that_was_rung_is_not_written_to_again_before_it_is_answered) {
    begin();
    kvp_bell_ring(&bell);
    kvp_bell_silence(&bell);
    kvp_bell_ring(&bell); /* nobody has answered yet */
    KVP_EXPECT(!is_readable(&bell));
    KVP_EXPECT(collect() == NULL);
    kvp_bell_ring(&bell);
    KVP_EXPECT(is_readable(&bell));
    end();
}

/* As often as you like: a full descriptor is readable, and silence empties it. */
KVP_TEST(writing_without_end_blocks_nobody) {
    begin();
    for (int i = 0; i < 100000; i++)
        kvp_bell_write(&bell);
    KVP_EXPECT(is_readable(&bell));
    kvp_bell_silence(&bell);
    KVP_EXPECT(!is_readable(&bell));
    kvp_bell_silence(&bell);
    end();
}

/* As many as a pipe has no room for as well. */
KVP_TEST(a_bell_that_was_written_often_is_silent_after_one_answer) {
    static const int counts[] = {63, 64, 65, 128, 200, 10000};
    begin();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int n = 0; n < counts[i]; n++)
            kvp_bell_write(&bell);
        KVP_EXPECT(is_readable(&bell));
        kvp_bell_silence(&bell);
        KVP_EXPECT(!is_readable(&bell));
    }
    end();
}

KVP_TEST(without_a_descriptor_left_there_is_no_bell_and_nothing_leaks) {
    struct rlimit was, none;
    KVP_EXPECT(getrlimit(RLIMIT_NOFILE, &was) == 0);
    none = was;
    none.rlim_cur = 0;
    KVP_EXPECT(setrlimit(RLIMIT_NOFILE, &none) == 0);
    KVP_EXPECT(kvp_bell_init(&bell) == KVP_NO_MEMORY);
    KVP_EXPECT(setrlimit(RLIMIT_NOFILE, &was) == 0);
}

KVP_TEST(what_a_loop_was_granted_is_collected_oldest_first_after_one_ring) {
    begin();
    kvp_lease *all = allocate(NUM_BLOCKS);
    for (int w = 0; w < 3; w++)
        enqueue(w, 2);
    KVP_EXPECT(!is_readable(&bell) && collect() == NULL);
    kvp_shared_pool_drop(&shared, all);
    KVP_EXPECT(is_readable(&bell) && shared.num_waiters == 0);
    kvp_waiter *first = collect();
    KVP_EXPECT(first == &waiters[0] && first->next == &waiters[1] && first->next->next == &waiters[2]);
    KVP_EXPECT(first->next->next->next == NULL && !is_readable(&bell));
    for (int w = 0; w < 3; w++) {
        KVP_EXPECT(waiters[w].is_granted && !waiters[w].is_at_bell && wanted[w]->is_live);
        forget(w);
    }
    end();
}

KVP_TEST(a_grant_that_is_withdrawn_before_it_is_collected_leaves_the_bell) {
    for (int leaver = 0; leaver < 3; leaver++) {
        begin();
        kvp_lease *all = allocate(NUM_BLOCKS);
        for (int w = 0; w < 3; w++)
            enqueue(w, 1);
        kvp_shared_pool_drop(&shared, all);
        withdraw(leaver);
        withdraw(leaver);
        int collected = 0;
        for (kvp_waiter *waiter = collect(); waiter; waiter = waiter->next, collected++)
            KVP_EXPECT(waiter != &waiters[leaver]);
        KVP_EXPECT(collected == 2 && wanted[leaver]->is_live);
        for (int w = 0; w < 3; w++)
            forget(w);
        end();
    }
}

/* What one gives back that it was granted is the next one's, under the same lock. */
KVP_TEST(a_grant_given_back_goes_to_the_next) {
    begin();
    kvp_lease *all = allocate(NUM_BLOCKS);
    enqueue(0, NUM_BLOCKS);
    enqueue(1, NUM_BLOCKS);
    kvp_shared_pool_drop(&shared, all);
    KVP_EXPECT(waiters[0].is_granted && !waiters[1].is_granted);
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_withdraw(&shared, &waiters[0]);
    KVP_EXPECT(kvp_pool_release(&shared.pool, wanted[0]) == KVP_OK);
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(!wanted[0]->is_live && waiters[1].is_granted);
    KVP_EXPECT(collect() == &waiters[1]);
    forget(0);
    forget(1);
    end();
}

KVP_TEST(threads_and_loops_stand_in_one_queue) {
    begin();
    kvp_lease *all = allocate(NUM_BLOCKS);
    enqueue(0, 2);
    wanted[1] = kvp_lease_new(NUM_BLOCKS, true);
    KVP_EXPECT(kvp_waiter_init(&waiters[1], wanted[1], evicted[1], NULL) == KVP_OK);
    kvp_shared_pool_enter(&shared);
    kvp_shared_pool_enqueue(&shared, &waiters[1]);
    kvp_shared_pool_leave(&shared);
    enqueue(2, 1);
    kvp_shared_pool_drop(&shared, all);
    KVP_EXPECT(waiters[0].is_granted && !waiters[1].is_granted && !waiters[2].is_granted);
    KVP_EXPECT(collect() == &waiters[0]);
    forget(0);
    KVP_EXPECT(waiters[1].is_granted && kvp_waiter_wait(&waiters[1], 0) == KVP_WOKEN);
    KVP_EXPECT(!is_readable(&bell));
    forget(1);
    KVP_EXPECT(waiters[2].is_granted && is_readable(&bell));
    forget(2);
    end();
}

static void listen(kvp_bell *news) {
    kvp_shared_pool_enter(&shared);
    shared.news = news;
    kvp_shared_pool_leave(&shared);
}

static bool await_event(uint64_t number) {
    kvp_shared_pool_enter(&shared);
    bool is_to_come = kvp_shared_pool_await_event(&shared, number);
    kvp_shared_pool_leave(&shared);
    return is_to_come;
}

KVP_TEST(an_awaited_event_rings_once) {
    begin_with(16);
    listen(&bell);
    reset();
    KVP_EXPECT(!is_readable(&bell)); /* nobody awaits it */
    KVP_EXPECT(!await_event(0));     /* it has come */
    KVP_EXPECT(await_event(1));
    reset();
    KVP_EXPECT(is_readable(&bell));
    KVP_EXPECT(collect() == NULL);
    reset();
    KVP_EXPECT(!is_readable(&bell)); /* not awaited any more */
    listen(NULL);
    end();
}

KVP_TEST(a_later_event_can_be_awaited) {
    begin_with(16);
    listen(&bell);
    KVP_EXPECT(await_event(2));
    reset();
    reset();
    KVP_EXPECT(!is_readable(&bell));
    reset();
    KVP_EXPECT(is_readable(&bell));
    listen(NULL);
    KVP_EXPECT(await_event(3));
    reset(); /* nobody listens */
    end();
}

KVP_TEST(the_drop_that_relieves_the_pressure_rings_once) {
    begin();
    listen(&bell);
    kvp_lease *leases[4];
    for (int i = 0; i < 4; i++)
        leases[i] = allocate(2);
    shared.relief = 4;
    kvp_shared_pool_drop(&shared, leases[0]);
    KVP_EXPECT(!is_readable(&bell) && shared.relief == 4);
    kvp_shared_pool_enter(&shared); /* by a release as by a drop */
    KVP_EXPECT(kvp_pool_release(&shared.pool, leases[1]) == KVP_OK);
    kvp_shared_pool_leave(&shared);
    KVP_EXPECT(is_readable(&bell) && shared.relief == -1);
    KVP_EXPECT(collect() == NULL);
    kvp_shared_pool_drop(&shared, leases[2]);
    KVP_EXPECT(!is_readable(&bell));
    kvp_shared_pool_drop(&shared, leases[3]);
    kvp_lease_unshare(leases[1]);
    end();
}

KVP_TEST(a_forked_child_has_no_queue_and_rings_for_nobody) {
    begin_as(16, true);
    listen(&bell);
    kvp_lease *all = allocate(NUM_BLOCKS);
    enqueue(0, 1);
    KVP_EXPECT(await_event(0));
    shared.relief = 4;
    kvp_shared_pool_enter(&shared); /* by a thread that the child does not have */
    KVP_EXPECT(kvp_shared_pool_forget_others(&shared) == KVP_OK);
    KVP_EXPECT(shared.first == NULL && shared.num_waiters == 0 && shared.news == NULL && shared.relief == -1);
    kvp_shared_pool_drop(&shared, all);
    reset();
    KVP_EXPECT(!waiters[0].is_granted && !is_readable(&bell));
    forget(0);
    end();
}

KVP_TEST(an_abandoned_pool_forgets_who_waited_and_listened) {
    begin_as(16, true);
    listen(&bell);
    kvp_lease *all = allocate(NUM_BLOCKS);
    KVP_EXPECT(shared.relief == -1 && shared.latency.period == 0);
    enqueue(0, 1);
    shared.relief = 4;
    kvp_shared_pool_abandon(&shared);
    KVP_EXPECT(shared.first == NULL && shared.last == NULL && shared.num_waiters == 0);
    KVP_EXPECT(shared.relief == -1 && shared.news == NULL && shared.listener == NULL && shared.sleeper == NULL);
    kvp_shared_pool_drop_outside(&shared, all);
    KVP_EXPECT(!is_readable(&bell) && kvp_pool_available(&shared.pool) == 0);
    kvp_shared_pool_settle(&shared);
    KVP_EXPECT(kvp_pool_available(&shared.pool) == NUM_BLOCKS && shared.dead == NULL);
    kvp_waiter_destroy(&waiters[0]);
    kvp_lease_unshare(wanted[0]);
    end();
}

typedef struct looper {
    pthread_t thread;
    unsigned long long state;
    int granted, given_up;
} looper;

/* A loop: one request at a time, given up now and then at any moment. */
static void *loop(void *argument) {
    looper *self = argument;
    kvp_bell own;
    KVP_EXPECT(kvp_bell_init(&own) == KVP_OK);
    for (int round = 0; round < 3000; round++) {
        uint64_t hashes[NUM_BLOCKS];
        uint32_t n = 1 + (uint32_t)kvp_random_below(&self->state, 5);
        kvp_lease *lease = kvp_lease_new(n, true);
        kvp_waiter waiter;
        KVP_EXPECT(kvp_waiter_init(&waiter, lease, hashes, &own) == KVP_OK);
        kvp_shared_pool_enter(&shared);
        kvp_shared_pool_enqueue(&shared, &waiter);
        kvp_shared_pool_leave(&shared);
        bool is_patient = kvp_random_below(&self->state, 4) > 0, is_collected = false;
        while (is_patient && !is_collected) {
            struct pollfd descriptor = {.fd = own.read_fd, .events = POLLIN};
            KVP_EXPECT(poll(&descriptor, 1, 10000) == 1);
            kvp_bell_silence(&own);
            kvp_shared_pool_enter(&shared);
            is_collected = kvp_shared_pool_collect(&shared, &own) == &waiter;
            kvp_shared_pool_leave(&shared);
        }
        kvp_shared_pool_enter(&shared);
        kvp_shared_pool_withdraw(&shared, &waiter);
        bool is_granted = waiter.is_granted;
        KVP_EXPECT(!is_collected || is_granted);
        if (!is_collected)
            (void)kvp_pool_release(&shared.pool, lease);
        kvp_shared_pool_leave(&shared);
        self->granted += is_collected;
        self->given_up += !is_collected;
        kvp_waiter_destroy(&waiter);
        kvp_shared_pool_drop(&shared, lease);
    }
    kvp_bell_destroy(&own);
    return NULL;
}

KVP_TEST(loops_in_threads_lose_no_wake_and_no_block) {
    enum { NUM_LOOPS = 4 };
    looper loopers[NUM_LOOPS];
    begin();
    for (int i = 0; i < NUM_LOOPS; i++) {
        loopers[i] = (looper){.state = (unsigned long long)i + 1};
        KVP_EXPECT(pthread_create(&loopers[i].thread, NULL, loop, &loopers[i]) == 0);
    }
    for (int i = 0; i < NUM_LOOPS; i++) {
        pthread_join(loopers[i].thread, NULL);
        KVP_EXPECT(loopers[i].granted > 0 && loopers[i].given_up > 0);
    }
    KVP_EXPECT(kvp_pool_available(&shared.pool) == NUM_BLOCKS);
    end();
}

KVP_TEST(the_check_names_each_broken_invariant) {
    begin();
    kvp_lease *all = allocate(NUM_BLOCKS);
    enqueue(0, 1);
    enqueue(1, 1);
    kvp_shared_pool_drop(&shared, all);
    KVP_EXPECT_BROKEN_BY(waiters[0].prev, NULL, kvp_bell_check(&bell), "granted waiters are linked one way only");
    KVP_EXPECT_BROKEN_BY(waiters[0].is_granted, false, kvp_bell_check(&bell),
                         "a waiter that was not granted is to be collected");
    KVP_EXPECT_BROKEN_BY(waiters[1].bell, NULL, kvp_bell_check(&bell),
                         "a waiter that was not granted is to be collected");
    KVP_EXPECT_BROKEN_BY(bell.is_rung, false, kvp_bell_check(&bell),
                         "waiters are to be collected, and nobody was told");
    forget(0);
    forget(1);
    end();
}

int main(void) {
    KVP_RUN(a_bell_is_readable_from_its_ring_until_it_is_silenced);
    KVP_RUN(a_bell_that_was_rung_is_not_written_to_again_before_it_is_answered);
    KVP_RUN(writing_without_end_blocks_nobody);
    KVP_RUN(a_bell_that_was_written_often_is_silent_after_one_answer);
    KVP_RUN(without_a_descriptor_left_there_is_no_bell_and_nothing_leaks);
    KVP_RUN(what_a_loop_was_granted_is_collected_oldest_first_after_one_ring);
    KVP_RUN(a_grant_that_is_withdrawn_before_it_is_collected_leaves_the_bell);
    KVP_RUN(a_grant_given_back_goes_to_the_next);
    KVP_RUN(threads_and_loops_stand_in_one_queue);
    KVP_RUN(an_awaited_event_rings_once);
    KVP_RUN(a_later_event_can_be_awaited);
    KVP_RUN(the_drop_that_relieves_the_pressure_rings_once);
    KVP_RUN(a_forked_child_has_no_queue_and_rings_for_nobody);
    KVP_RUN(an_abandoned_pool_forgets_who_waited_and_listened);
    KVP_RUN(loops_in_threads_lose_no_wake_and_no_block);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
