#include "kvp/shared_pool.h"

#include <string.h>

kvp_status kvp_shared_pool_init(kvp_shared_pool *self, const kvp_pool_config *config) {
    memset(self, 0, sizeof *self);
    atomic_init(&self->deferred, NULL);
    kvp_latency_init(&self->latency, 0);
    atomic_init(&self->num_waiters, 0);
    atomic_init(&self->relief, -1);
    if (kvp_lock_init(&self->lock, config->has_outer_lock) != KVP_OK)
        return KVP_NO_MEMORY;
    if (pthread_mutex_init(&self->outside, NULL) == 0) {
        if (kvp_pool_init(&self->pool, config) == KVP_OK)
            return KVP_OK;
        pthread_mutex_destroy(&self->outside);
    }
    kvp_lock_destroy(&self->lock);
    return KVP_NO_MEMORY;
}

void kvp_shared_pool_destroy(kvp_shared_pool *self) {
    kvp_pool_destroy(&self->pool);
    pthread_mutex_destroy(&self->outside);
    kvp_lock_destroy(&self->lock);
}

void kvp_shared_pool_drain(kvp_shared_pool *self) {
    kvp_lease *lease = atomic_exchange(&self->deferred, NULL);
    while (lease) {
        kvp_lease *next = lease->deferred;
        kvp_pool_release(&self->pool, lease);
        lease->deferred = self->dead;
        self->dead = lease;
        lease = next;
    }
}

/* Have drops from outside wake the first in the queue, and ring for news. */
static void point_outside(kvp_shared_pool *self) {
    if (!self->lock.has_outer)
        return;
    pthread_mutex_lock(&self->outside);
    self->sleeper = self->first;
    self->listener = self->news;
    pthread_mutex_unlock(&self->outside);
}

static void leave_queue(kvp_shared_pool *self, kvp_waiter *waiter) {
    if (waiter->prev)
        waiter->prev->next = waiter->next;
    else
        self->first = waiter->next;
    if (waiter->next)
        waiter->next->prev = waiter->prev;
    else
        self->last = waiter->prev;
    waiter->is_queued = false;
    self->num_waiters--;
    if (!waiter->prev)
        point_outside(self);
}

/* Tell who wants to know of events, or that pressure is low; whoever does so asks again when it has looked. */
static void ring_for_news(kvp_shared_pool *self) {
    bool is_relieved = kvp_shared_pool_is_relieved(self);
    if (!self->pool.events.has_news && !is_relieved)
        return;
    if (self->pool.events.has_news)
        self->pool.events.awaited = UINT64_MAX;
    self->pool.events.has_news = false;
    if (is_relieved)
        self->relief = -1;
    if (self->news)
        kvp_bell_ring(self->news);
}

/* First come, first served: who does not get its blocks keeps those behind it waiting, but not those of other
 * namespaces, which may have room where it has none. */
static void serve(kvp_shared_pool *self) {
    kvp_space_set waiting = {{0}};
    kvp_waiter *waiter = self->first;
    while (waiter) {
        kvp_waiter *next = waiter->next;
        uint8_t space = waiter->lease->space;
        if (!kvp_space_set_has(&waiting, space) &&
            kvp_pool_allocate(&self->pool, waiter->lease, self->pool.now, waiter->evicted, waiter->lease->count,
                              &waiter->num_evicted) == KVP_OK) {
            leave_queue(self, waiter);
            kvp_waiter_wake(waiter);
        } else {
            if (!self->pool.namespaces)
                return;
            kvp_space_set_add(&waiting, space);
        }
        waiter = next;
    }
}

static void free_dead(kvp_lease *dead) {
    while (dead) {
        kvp_lease *next = dead->deferred;
        kvp_lease_unshare(dead);
        dead = next;
    }
}

void kvp_shared_pool_leave_slowly(kvp_shared_pool *self) {
    do {
        kvp_shared_pool_drain(self);
        serve(self);
        ring_for_news(self);
        kvp_lease *dead = self->dead;
        self->dead = NULL;
        kvp_lock_give(&self->lock);
        free_dead(dead);
    } while (atomic_load(&self->deferred) != NULL && kvp_lock_try(&self->lock));
}

static void push_deferred(kvp_shared_pool *self, kvp_lease *lease) {
    kvp_lease *first = atomic_load_explicit(&self->deferred, memory_order_relaxed);
    do
        lease->deferred = first;
    while (!atomic_compare_exchange_weak(&self->deferred, &first, lease));
}

void kvp_shared_pool_drop(kvp_shared_pool *self, kvp_lease *lease) {
    if (KVP_LIKELY(kvp_lock_try(&self->lock))) {
        kvp_pool_release(&self->pool, lease);
        kvp_shared_pool_leave(self);
        kvp_lease_unshare(lease);
        return;
    }
    push_deferred(self, lease);
    if (kvp_lock_try(&self->lock))
        kvp_shared_pool_leave_slowly(self);
}

/* Who is woken makes a call, which finds what was pushed. */
static void wake_sleepers(kvp_shared_pool *self) {
    pthread_mutex_lock(&self->outside);
    if (self->sleeper)
        kvp_waiter_nudge(self->sleeper);
    if (self->listener && atomic_load(&self->relief) >= 0)
        kvp_bell_write(self->listener);
    pthread_mutex_unlock(&self->outside);
}

/* Whoever joins the queue counts himself, and then looks at the stack, in leave; we push, and then look at the count: so
 * one of us sees the other. */
void kvp_shared_pool_drop_outside(kvp_shared_pool *self, kvp_lease *lease) {
    if (!self->lock.has_outer) {
        kvp_shared_pool_drop(self, lease);
        return;
    }
    push_deferred(self, lease);
    if (atomic_load(&self->num_waiters) > 0 || atomic_load(&self->relief) >= 0)
        wake_sleepers(self);
}

void kvp_shared_pool_listen(kvp_shared_pool *self, kvp_bell *bell) {
    self->news = bell;
    point_outside(self);
}

void kvp_shared_pool_abandon(kvp_shared_pool *self) {
    kvp_shared_pool_enter(self);
    self->first = self->last = NULL;
    self->num_waiters = 0;
    self->relief = -1;
    kvp_shared_pool_listen(self, NULL);
    kvp_shared_pool_leave(self);
}

void kvp_shared_pool_settle(kvp_shared_pool *self) {
    kvp_shared_pool_drain(self);
    free_dead(self->dead);
    self->dead = NULL;
}

void kvp_shared_pool_enqueue(kvp_shared_pool *self, kvp_waiter *waiter) {
    waiter->next = NULL; /* it may have queued, and given up, before */
    waiter->prev = self->last;
    if (self->last)
        self->last->next = waiter;
    else
        self->first = waiter;
    self->last = waiter;
    waiter->is_queued = true;
    self->num_waiters++;
    if (self->first == waiter)
        point_outside(self);
}

void kvp_shared_pool_withdraw(kvp_shared_pool *self, kvp_waiter *waiter) {
    if (waiter->is_queued)
        leave_queue(self, waiter);
    kvp_waiter_leave_bell(waiter);
}

kvp_waiter *kvp_shared_pool_collect(kvp_shared_pool *self, kvp_bell *bell) {
    kvp_waiter *first = NULL;
    (void)self;
    bell->is_rung = false;
    while (bell->granted) {
        kvp_waiter *waiter = bell->granted;
        kvp_waiter_leave_bell(waiter);
        waiter->next = first;
        first = waiter;
    }
    return first;
}

bool kvp_shared_pool_await_event(kvp_shared_pool *self, uint64_t number) {
    bool is_to_come = number >= self->pool.events.next;
    self->pool.events.awaited = is_to_come ? number : UINT64_MAX;
    return is_to_come;
}

kvp_status kvp_shared_pool_forget_others(kvp_shared_pool *self) {
    if (pthread_mutex_init(&self->outside, NULL) != 0)
        return KVP_NO_MEMORY;
    while (self->first)
        leave_queue(self, self->first);
    kvp_shared_pool_listen(self, NULL);
    self->relief = -1;
    self->pool.events.awaited = UINT64_MAX;
    self->pool.events.has_news = false;
    return kvp_lock_init(&self->lock, self->lock.has_outer);
}
