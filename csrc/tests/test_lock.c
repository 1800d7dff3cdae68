#include "ctest.h"
#include "kvp/lock.h"

#ifdef KVP_CHECK
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static kvp_lock lock;

typedef struct worker {
    pthread_t thread;
    int *counter; /* guarded by lock */
    int misses;   /* times the lock was taken by somebody else */
} worker;

static void *add_by_waiting(void *argument) {
    worker *self = argument;
    for (int i = 0; i < 20000; i++) {
        kvp_lock_take(&lock);
        ++*self->counter;
        kvp_lock_give(&lock);
    }
    return NULL;
}

static void *add_by_trying(void *argument) {
    worker *self = argument;
    for (int i = 0; i < 20000;) {
        if (!kvp_lock_try(&lock))
            continue;
        ++*self->counter;
        kvp_lock_give(&lock);
        i++;
    }
    return NULL;
}

static void *try_once(void *argument) {
    worker *self = argument;
    if (kvp_lock_try(&lock))
        kvp_lock_give(&lock);
    else
        self->misses++;
    return NULL;
}

static void run_one(worker *self, void *(*work)(void *)) {
    KVP_EXPECT(pthread_create(&self->thread, NULL, work, self) == 0);
    pthread_join(self->thread, NULL);
}

KVP_TEST(two_threads_never_hold_it_at_once) {
    int counter = 0;
    worker workers[4] = {{.counter = &counter}, {.counter = &counter}, {.counter = &counter}, {.counter = &counter}};
    KVP_EXPECT(kvp_lock_init(&lock, false) == KVP_OK);
    for (int w = 0; w < 4; w++)
        KVP_EXPECT(pthread_create(&workers[w].thread, NULL, w % 2 ? add_by_trying : add_by_waiting, &workers[w]) == 0);
    for (int w = 0; w < 4; w++)
        pthread_join(workers[w].thread, NULL);
    KVP_EXPECT(counter == 80000);
    kvp_lock_destroy(&lock);
}

KVP_TEST(a_try_says_whether_it_took_the_lock_and_never_waits) {
    worker other = {0};
    KVP_EXPECT(kvp_lock_init(&lock, false) == KVP_OK);
    KVP_EXPECT(kvp_lock_try(&lock));
    KVP_EXPECT(!kvp_lock_try(&lock)); /* nor does the thread that holds it get it twice */
    run_one(&other, try_once);
    KVP_EXPECT(other.misses == 1);
    kvp_lock_give(&lock);
    run_one(&other, try_once);
    KVP_EXPECT(other.misses == 1);
    kvp_lock_destroy(&lock);
}

#ifdef KVP_CHECK
static int signal_of(void (*work)(void)) {
    int status;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        KVP_EXPECT(freopen("/dev/null", "w", stderr) != NULL);
        alarm(10); /* a hang is a failure too */
        work();
        _exit(0);
    }
    KVP_EXPECT(waitpid(child, &status, 0) == child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void take_twice(void) {
    kvp_lock_init(&lock, false);
    kvp_lock_take(&lock);
    kvp_lock_take(&lock);
}

static void give_without_taking(void) {
    kvp_lock_init(&lock, false);
    kvp_lock_give(&lock);
}

static void take_and_give(void) {
    kvp_lock_init(&lock, false);
    kvp_lock_take(&lock);
    kvp_lock_give(&lock);
}

KVP_TEST(a_checking_build_aborts_where_another_would_hang) {
    KVP_EXPECT(signal_of(take_twice) == SIGABRT);
    KVP_EXPECT(signal_of(give_without_taking) == SIGABRT);
    KVP_EXPECT(signal_of(take_and_give) == 0);
}
#endif

KVP_TEST(under_an_outer_lock_it_keeps_book_and_waits_for_nobody) {
    KVP_EXPECT(kvp_lock_init(&lock, true) == KVP_OK);
    kvp_lock_take(&lock);
    KVP_EXPECT(!kvp_lock_try(&lock) && !kvp_lock_try(&lock));
    kvp_lock_give(&lock);
    KVP_EXPECT(kvp_lock_try(&lock) && !kvp_lock_try(&lock));
    kvp_lock_give(&lock);
    kvp_lock_destroy(&lock);
}

int main(void) {
    KVP_RUN(two_threads_never_hold_it_at_once);
    KVP_RUN(a_try_says_whether_it_took_the_lock_and_never_waits);
#ifdef KVP_CHECK
    KVP_RUN(a_checking_build_aborts_where_another_would_hang);
#endif
    KVP_RUN(under_an_outer_lock_it_keeps_book_and_waits_for_nobody);
    return 0;
}
