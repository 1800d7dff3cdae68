#include "kvp/shared_pool.h"

#include <string.h>

kvp_status kvp_shared_pool_init(kvp_shared_pool *self, const kvp_pool_config *config) {
    memset(self, 0, sizeof *self);
    atomic_init(&self->deferred, NULL);
    if (kvp_lock_init(&self->lock, config->has_outer_lock) != KVP_OK)
        return KVP_NO_MEMORY;
    if (kvp_pool_init(&self->pool, config) == KVP_OK)
        return KVP_OK;
    kvp_lock_destroy(&self->lock);
    return KVP_NO_MEMORY;
}

void kvp_shared_pool_destroy(kvp_shared_pool *self) {
    kvp_pool_destroy(&self->pool);
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

/* First come, first served: who does not get its blocks keeps those behind it waiting, but not those of other
 * namespaces, which may have room where it has none. */
static void serve(kvp_shared_pool *self) {
    bool is_waiting[KVP_MAX_NAMESPACES] = {false};
    kvp_waiter *before = NULL, *waiter = self->first;
    while (waiter) {
        kvp_waiter *next = waiter->next;
        uint8_t space = waiter->lease->space;
        if (!is_waiting[space] && kvp_pool_allocate(&self->pool, waiter->lease, self->pool.now, waiter->evicted,
                                                    waiter->lease->count, &waiter->num_evicted) == KVP_OK) {
            if (before)
                before->next = next;
            else
                self->first = next;
            if (self->last == waiter)
                self->last = before;
            self->num_waiters--;
            waiter->is_granted = true;
            /* Under the lock, because the waiter may only go away after it has taken it. */
            sem_post(&waiter->wake);
        } else {
            if (!self->pool.namespaces)
                return;
            is_waiting[space] = true;
            before = waiter;
        }
        waiter = next;
    }
}

void kvp_shared_pool_leave_slowly(kvp_shared_pool *self) {
    do {
        kvp_shared_pool_drain(self);
        serve(self);
        kvp_lease *dead = self->dead;
        self->dead = NULL;
        kvp_lock_give(&self->lock);
        while (dead) {
            kvp_lease *next = dead->deferred;
            kvp_lease_unshare(dead);
            dead = next;
        }
    } while (atomic_load(&self->deferred) != NULL && kvp_lock_try(&self->lock));
}

static void push_deferred(kvp_shared_pool *self, kvp_lease *lease) {
    lease->deferred = atomic_load_explicit(&self->deferred, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&self->deferred, &lease->deferred, lease))
        ;
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

void kvp_shared_pool_enqueue(kvp_shared_pool *self, kvp_waiter *waiter) {
    waiter->next = NULL; /* it may have queued, and given up, before */
    if (self->first)
        self->last->next = waiter;
    else
        self->first = waiter;
    self->last = waiter;
    self->num_waiters++;
}

void kvp_shared_pool_withdraw(kvp_shared_pool *self, kvp_waiter *waiter) {
    if (waiter->is_granted)
        return;
    kvp_waiter *before = NULL, *at = self->first;
    for (; at && at != waiter; at = at->next)
        before = at;
    if (!at)
        return; /* it has given up before */
    if (before)
        before->next = waiter->next;
    else
        self->first = waiter->next;
    if (self->last == waiter)
        self->last = before;
    self->num_waiters--;
}
