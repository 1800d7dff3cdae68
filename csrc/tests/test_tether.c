/* Views that go on any thread, with or without the lock that all calls hold. */
#include "tether_fixture.h"

#include <poll.h>

static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER; /* as an interpreter's: held around every call */

static void end(void) {
    KVP_EXPECT(available() == NUM_BLOCKS);
    KVP_EXPECT(memory_gone == 0);
    kvp_keeper_unshare(keeper);
    KVP_EXPECT(memory_gone == 1);
    kvp_anchor_abandon(anchor);
}

KVP_TEST(blocks_are_back_with_the_last_share) {
    begin(true);
    kvp_lease *blocks = try_allocate(3);
    kvp_tether *view = view_of(blocks);
    kvp_shared_pool_drop(&anchor->shared, blocks);
    kvp_tether_share(view);
    kvp_tether_unshare_inside(view);
    KVP_EXPECT(available() == NUM_BLOCKS - 3);
    KVP_EXPECT(kvp_keeper_views(keeper) == 1);
    kvp_tether_unshare_inside(view);
    KVP_EXPECT(kvp_pool_available(&anchor->shared.pool) == NUM_BLOCKS); /* at once */
    KVP_EXPECT(kvp_keeper_views(keeper) == 0);
    kvp_tether_unshare(NULL);
    kvp_tether_unshare_inside(NULL);
    end();
}

/* The thread is joined while a call is under way: were the pool touched, KVP_CHECK or the thread sanitizer would say. */
KVP_TEST(a_view_that_goes_outside_the_lock_is_given_back_by_the_next_call) {
    begin(true);
    kvp_lease *blocks = try_allocate(NUM_BLOCKS);
    kvp_tether *view = view_of(blocks);
    kvp_shared_pool_drop(&anchor->shared, blocks);
    kvp_shared_pool_enter(&anchor->shared);
    unshare_in_thread(view);
    KVP_EXPECT(kvp_pool_available(&anchor->shared.pool) == 0);
    kvp_shared_pool_leave(&anchor->shared);
    kvp_lease *all = try_allocate(NUM_BLOCKS);
    KVP_EXPECT(all != NULL);
    kvp_shared_pool_drop(&anchor->shared, all);
    end();
}

KVP_TEST(a_view_of_no_blocks_holds_the_memory_alone) {
    begin(true);
    kvp_tether *view = kvp_tether_new(NULL, anchor, keeper);
    KVP_EXPECT_SOUND(kvp_tether_check(view));
    KVP_EXPECT(view->anchor == NULL && kvp_keeper_views(keeper) == 1);
    unshare_in_thread(view);
    end();
}

static void *wait_for_blocks(void *waiter) {
    KVP_EXPECT(kvp_waiter_wait(waiter, -1) == KVP_WOKEN);
    return NULL;
}

KVP_TEST(a_thread_that_waits_is_woken_by_a_view_that_goes_outside_the_lock) {
    begin(true);
    kvp_lease *blocks = try_allocate(NUM_BLOCKS), *wanted = kvp_lease_new(2, true);
    kvp_tether *view = view_of(blocks);
    uint64_t evicted[2];
    kvp_waiter waiter;
    kvp_shared_pool_drop(&anchor->shared, blocks);
    KVP_EXPECT(kvp_waiter_init(&waiter, wanted, evicted, NULL) == KVP_OK);
    kvp_shared_pool_enter(&anchor->shared);
    kvp_shared_pool_enqueue(&anchor->shared, &waiter);
    kvp_shared_pool_leave(&anchor->shared);
    pthread_t sleeper = start(wait_for_blocks, &waiter);
    unshare_in_thread(view);
    pthread_join(sleeper, NULL);
    KVP_EXPECT(!waiter.is_granted); /* it was woken to make a call */
    kvp_shared_pool_enter(&anchor->shared);
    kvp_shared_pool_leave(&anchor->shared);
    KVP_EXPECT(waiter.is_granted && wanted->is_live);
    kvp_waiter_destroy(&waiter);
    kvp_shared_pool_drop(&anchor->shared, wanted);
    end();
}

static bool is_readable(const kvp_bell *bell) {
    struct pollfd look = {.fd = bell->read_fd, .events = POLLIN};
    return poll(&look, 1, 0) == 1;
}

KVP_TEST(bells_of_those_who_wait_or_listen_are_rung_by_a_view_that_goes_outside_the_lock) {
    begin(true);
    kvp_lease *blocks = try_allocate(NUM_BLOCKS), *wanted = kvp_lease_new(1, true);
    kvp_tether *one = view_of(blocks), *two = view_of(blocks), *three = view_of(blocks);
    uint64_t evicted[1];
    kvp_waiter waiter;
    kvp_bell bell, news;
    kvp_shared_pool_drop(&anchor->shared, blocks);
    KVP_EXPECT(kvp_bell_init(&bell) == KVP_OK && kvp_bell_init(&news) == KVP_OK);
    KVP_EXPECT(kvp_waiter_init(&waiter, wanted, evicted, &bell) == KVP_OK);
    kvp_shared_pool_enter(&anchor->shared);
    kvp_shared_pool_listen(&anchor->shared, &news);
    kvp_shared_pool_leave(&anchor->shared);
    unshare_in_thread(one);
    KVP_EXPECT(!is_readable(&bell) && !is_readable(&news)); /* nobody asked */
    kvp_shared_pool_enter(&anchor->shared);
    kvp_shared_pool_enqueue(&anchor->shared, &waiter);
    anchor->shared.relief = 3;
    kvp_shared_pool_leave(&anchor->shared);
    unshare_in_thread(two);
    KVP_EXPECT(is_readable(&bell) && is_readable(&news));
    kvp_bell_silence(&bell);
    unshare_in_thread(three);
    KVP_EXPECT(is_readable(&bell));
    kvp_shared_pool_enter(&anchor->shared);
    kvp_shared_pool_leave(&anchor->shared);
    kvp_shared_pool_enter(&anchor->shared);
    KVP_EXPECT(kvp_shared_pool_collect(&anchor->shared, &bell) == &waiter && waiter.is_granted);
    kvp_shared_pool_listen(&anchor->shared, NULL);
    kvp_shared_pool_leave(&anchor->shared);
    kvp_waiter_destroy(&waiter);
    kvp_bell_destroy(&bell);
    kvp_bell_destroy(&news);
    kvp_shared_pool_drop(&anchor->shared, wanted);
    end();
}

enum { DROPPERS = 3, TURNS = 3000 };

static _Atomic(kvp_tether *) given[DROPPERS]; /* a view for each dropper; NULL: it has taken it */
static _Atomic bool is_over;

/* A tensor library's thread: it never takes the outer lock. */
static void *drop_what_is_given(void *argument) {
    _Atomic(kvp_tether *) *slot = argument;
    while (!atomic_load(&is_over)) {
        kvp_tether *tether = atomic_exchange(slot, NULL);
        kvp_tether_unshare(tether);
    }
    kvp_tether_unshare(atomic_exchange(slot, NULL));
    return NULL;
}

/* Two threads that call under the outer lock and sleep without it, as those of an interpreter do. What each waits for
 * only comes when droppers let go: a lost wake-up would hang. */
static void *allocate_in_turn(void *argument) {
    (void)argument;
    uint64_t evicted[NUM_BLOCKS];
    for (int turn = 0; turn < TURNS; turn++) {
        kvp_waiter waiter;
        kvp_lease *lease = kvp_lease_new(3, true);
        KVP_EXPECT(kvp_waiter_init(&waiter, lease, evicted, NULL) == KVP_OK);
        pthread_mutex_lock(&outer);
        kvp_shared_pool_enter(&anchor->shared);
        kvp_shared_pool_enqueue(&anchor->shared, &waiter);
        kvp_shared_pool_leave(&anchor->shared);
        while (!waiter.is_granted) {
            pthread_mutex_unlock(&outer);
            KVP_EXPECT(kvp_waiter_wait(&waiter, -1) == KVP_WOKEN);
            pthread_mutex_lock(&outer);
            kvp_shared_pool_enter(&anchor->shared);
            kvp_shared_pool_leave(&anchor->shared);
        }
        kvp_tether *view = view_of(lease);
        kvp_shared_pool_drop(&anchor->shared, lease);
        pthread_mutex_unlock(&outer);
        kvp_waiter_destroy(&waiter);
        kvp_tether_unshare(atomic_exchange(&given[turn % DROPPERS], view));
    }
    return NULL;
}

KVP_TEST(blocks_dropped_outside_the_lock_always_reach_those_who_wait) {
    pthread_t droppers[DROPPERS], callers[2];
    begin(true);
    is_over = false;
    for (int i = 0; i < DROPPERS; i++)
        droppers[i] = start(drop_what_is_given, &given[i]);
    for (int i = 0; i < 2; i++)
        callers[i] = start(allocate_in_turn, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(callers[i], NULL);
    atomic_store(&is_over, true);
    for (int i = 0; i < DROPPERS; i++)
        pthread_join(droppers[i], NULL);
    KVP_EXPECT(anchor->shared.num_waiters == 0 && anchor->shared.sleeper == NULL);
    end();
}

KVP_TEST(the_check_names_each_broken_invariant) {
    begin(true);
    kvp_lease *blocks = try_allocate(1);
    kvp_tether *view = view_of(blocks);
    KVP_EXPECT_BROKEN_BY(view->anchor, NULL, kvp_tether_check(view),
                         "a view holds blocks of no pool, or a pool for none");
    KVP_EXPECT_BROKEN_BY(view->lease->is_live, false, kvp_tether_check(view), "a view holds no blocks any more");
    KVP_EXPECT_BROKEN_BY(keeper->owner, NULL, kvp_tether_check(view), "a keeper keeps nothing");
    atomic_store(&view->shares, 0);
    KVP_EXPECT_BROKEN(kvp_tether_check(view), "a view that nobody has is still there");
    atomic_store(&view->shares, 1);
    kvp_tether_unshare_inside(view);
    kvp_shared_pool_drop(&anchor->shared, blocks);
    end();
}

int main(void) {
    KVP_RUN(blocks_are_back_with_the_last_share);
    KVP_RUN(a_view_that_goes_outside_the_lock_is_given_back_by_the_next_call);
    KVP_RUN(a_view_of_no_blocks_holds_the_memory_alone);
    KVP_RUN(a_thread_that_waits_is_woken_by_a_view_that_goes_outside_the_lock);
    KVP_RUN(bells_of_those_who_wait_or_listen_are_rung_by_a_view_that_goes_outside_the_lock);
    KVP_RUN(blocks_dropped_outside_the_lock_always_reach_those_who_wait);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
