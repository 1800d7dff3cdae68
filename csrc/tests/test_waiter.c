#include "ctest.h"
#include "kvp/waiter.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>

#define MILLISECOND INT64_C(1000000)

static kvp_waiter waiter;

static void begin(void) {
    KVP_EXPECT(kvp_waiter_init(&waiter, NULL, NULL, NULL) == KVP_OK);
}

static int64_t steady_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 * MILLISECOND + time.tv_nsec;
}

static void sleep_for(int64_t nanoseconds) {
    struct timespec time = {.tv_sec = nanoseconds / (1000 * MILLISECOND),
                            .tv_nsec = nanoseconds % (1000 * MILLISECOND)};
    while (nanosleep(&time, &time) != 0)
        continue;
}

KVP_TEST(a_new_waiter_is_granted_nothing) {
    begin();
    KVP_EXPECT(!waiter.is_granted && waiter.next == NULL && waiter.num_evicted == 0);
    kvp_waiter_destroy(&waiter);
}

KVP_TEST(no_time_to_wait_is_no_wait) {
    begin();
    KVP_EXPECT(kvp_waiter_wait(&waiter, 0) == KVP_TIMED_OUT);
    sem_post(&waiter.wake);
    KVP_EXPECT(kvp_waiter_wait(&waiter, 0) == KVP_WOKEN);
    KVP_EXPECT(kvp_waiter_wait(&waiter, 0) == KVP_TIMED_OUT);
    kvp_waiter_destroy(&waiter);
}

KVP_TEST(a_wait_that_nobody_ends_takes_its_whole_time) {
    begin();
    int64_t start = steady_now();
    KVP_EXPECT(kvp_waiter_wait(&waiter, 20 * MILLISECOND) == KVP_TIMED_OUT);
    KVP_EXPECT(steady_now() - start >= 20 * MILLISECOND);
    kvp_waiter_destroy(&waiter);
}

static void *wake_later(void *argument) {
    sleep_for(5 * MILLISECOND);
    sem_post(argument);
    return NULL;
}

KVP_TEST(a_wait_without_limit_ends_when_woken) {
    pthread_t other;
    begin();
    KVP_EXPECT(pthread_create(&other, NULL, wake_later, &waiter.wake) == 0);
    KVP_EXPECT(kvp_waiter_wait(&waiter, -1) == KVP_WOKEN);
    pthread_join(other, NULL);
    kvp_waiter_destroy(&waiter);
}

static _Atomic int signals, is_over;

static void count_signal(int number) {
    (void)number;
    atomic_fetch_add(&signals, 1);
}

/* Signals until the wait has ended: one may come before the wait has begun. */
static void *interrupt_later(void *argument) {
    while (!atomic_load(&is_over)) {
        sleep_for(2 * MILLISECOND);
        if (!atomic_load(&is_over))
            pthread_kill(*(pthread_t *)argument, SIGUSR1);
    }
    return NULL;
}

KVP_TEST(a_signal_ends_a_wait_so_that_its_handler_can_be_heeded) {
    pthread_t other, self = pthread_self();
    struct sigaction action = {.sa_handler = count_signal};
    KVP_EXPECT(sigaction(SIGUSR1, &action, NULL) == 0);
    begin();
    KVP_EXPECT(pthread_create(&other, NULL, interrupt_later, &self) == 0);
    KVP_EXPECT(kvp_waiter_wait(&waiter, -1) == KVP_INTERRUPTED);
    atomic_store(&is_over, 1);
    pthread_join(other, NULL);
    KVP_EXPECT(atomic_load(&signals) > 0);
    kvp_waiter_destroy(&waiter);
}

int main(void) {
    KVP_RUN(a_new_waiter_is_granted_nothing);
    KVP_RUN(no_time_to_wait_is_no_wait);
    KVP_RUN(a_wait_that_nobody_ends_takes_its_whole_time);
    KVP_RUN(a_wait_without_limit_ends_when_woken);
    KVP_RUN(a_signal_ends_a_wait_so_that_its_handler_can_be_heeded);
    return 0;
}
