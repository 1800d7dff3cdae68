#define _GNU_SOURCE
#include "kvp/waiter.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SECOND     INT64_C(1000000000)
#define LONG_SLEEP (3600 * SECOND)

kvp_status kvp_waiter_init(kvp_waiter *self, kvp_lease *lease, uint64_t *evicted, kvp_bell *bell) {
    memset(self, 0, sizeof *self);
    self->lease = lease;
    self->evicted = evicted;
    self->bell = bell;
    return sem_init(&self->wake, 0, 0) == 0 ? KVP_OK : KVP_NO_MEMORY;
}

void kvp_waiter_destroy(kvp_waiter *self) {
    sem_destroy(&self->wake);
}

void kvp_waiter_wake(kvp_waiter *self) {
    kvp_bell *bell = self->bell;
    self->is_granted = true;
    if (!bell) {
        sem_post(&self->wake);
        return;
    }
    self->prev = NULL;
    self->next = bell->granted;
    if (bell->granted)
        bell->granted->prev = self;
    bell->granted = self;
    self->is_at_bell = true;
    kvp_bell_ring(bell);
}

/* Whoever answers a bell makes a call. That the bell was rung is not noted: its lock is not held. */
void kvp_waiter_nudge(kvp_waiter *self) {
    if (self->bell)
        kvp_bell_write(self->bell);
    else
        sem_post(&self->wake);
}

void kvp_waiter_leave_bell(kvp_waiter *self) {
    if (!self->is_at_bell)
        return;
    if (self->prev)
        self->prev->next = self->next;
    else
        self->bell->granted = self->next;
    if (self->next)
        self->next->prev = self->prev;
    self->is_at_bell = false;
}

static int64_t clock_now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (int64_t)time.tv_sec * SECOND + time.tv_nsec;
}

/* Semaphores sleep by the wall clock, which may be set; so the deadline is kept by the steady one and asked again after
 * each sleep. */
kvp_wait_result kvp_waiter_wait(kvp_waiter *self, int64_t timeout) {
    bool is_endless = timeout < 0;
    int64_t start = clock_now(CLOCK_MONOTONIC);
    for (;;) {
        int64_t left = is_endless ? LONG_SLEEP : timeout - (clock_now(CLOCK_MONOTONIC) - start);
        if (left <= 0)
            return sem_trywait(&self->wake) == 0 ? KVP_WOKEN : KVP_TIMED_OUT;
        int64_t wall = clock_now(CLOCK_REALTIME) + (left < LONG_SLEEP ? left : LONG_SLEEP);
        struct timespec until = {.tv_sec = (time_t)(wall / SECOND), .tv_nsec = (long)(wall % SECOND)};
        if (sem_timedwait(&self->wake, &until) == 0)
            return KVP_WOKEN;
        if (errno == EINTR)
            return KVP_INTERRUPTED;
    }
}
