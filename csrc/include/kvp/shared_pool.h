/*
 * What:      a pool that threads share: the one lock, the stack of leases dropped while it was taken, the queue of
 *            those who wait for blocks, and the bell of who wants to know of news.
 * Cost:      one lock and one unlock for each call; a look at three fields for what waits.
 * Ownership: owns the pool and the lock; borrows waiters and bells; owns deferred leases from drop until they are freed.
 * Locking:   enter ... leave around every kvp_pool_* call. The lock protects the pool and all its structures, the
 *            fields of leases named there, the queue and the leases to be freed. `deferred`, `num_waiters` and `relief`
 *            are read without it, and are atomic. `outside` guards whom a drop from outside the outer lock wakes; it
 *            is held for the length of one post, and taken by those who hold the lock, never the other way round.
 *            kvp_shared_pool_guess_* read without the lock what whoever acts on it looks at again under it.
 * Errors:    kvp_shared_pool_init: KVP_NO_MEMORY.
 *
 * A finalizer must not wait: it would stop the world behind whatever thread holds the lock. So kvp_shared_pool_drop
 * tries the lock; when that fails it pushes the lease, and tries once more, since the holder may have left in between.
 * Every leave looks at the stack again after unlocking, and goes back in if it can. So whoever unlocks last sees every
 * lease that was pushed before.
 *
 * Where an outer lock stands for ours, a drop by somebody who does not hold that, as a tensor library's thread may be,
 * must not try: kvp_shared_pool_drop_outside only pushes. The next call gives back what was pushed before it does
 * anything else; those who sleep are woken to make one.
 *
 * Invariants:
 *   deferred == NULL, or somebody holds the lock and will drain it in leave, or
 *                       a drop is between its push and its second try, or
 *                       it was pushed from outside, and nobody sleeps who has not been woken since
 *   sleeper = first, and listener = news, but while they change
 *   a waiter is in the queue  <=>  is_queued;  then it is not granted, and its lease is not live
 *   the first waiter could not be served when the lock was last released
 */
#ifndef KVP_SHARED_POOL_H
#define KVP_SHARED_POOL_H

#include "kvp/bell.h"
#include "kvp/latency.h"
#include "kvp/lock.h"
#include "kvp/pool.h"
#include "kvp/waiter.h"

typedef struct kvp_shared_pool {
    kvp_lock lock;
    _Atomic(kvp_lease *) deferred; /* owned; dropped, not yet given back; newest first */
    kvp_lease *dead;               /* owned; given back under the lock, freed after unlock */
    kvp_waiter *first, *last;      /* borrowed; the queue */
    _Atomic uint64_t num_waiters;
    kvp_bell *news; /* borrowed; rung when an awaited event has come, or pressure was relieved; NULL: nobody's */
    _Atomic int32_t relief; /* held blocks at which news are rung for; -1: none */
    pthread_mutex_t outside;
    kvp_waiter *sleeper;   /* borrowed; whom a drop from outside wakes */
    kvp_bell *listener;    /* borrowed; and which bell it rings, when relief is wanted */
    uint64_t num_failures; /* calls that did not get the blocks they asked for */
    kvp_latency latency;
    kvp_pool pool;
} kvp_shared_pool;

/* KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_shared_pool_init(kvp_shared_pool *self, const kvp_pool_config *config);

/* Cannot fail. No lease is live and nobody waits. */
void kvp_shared_pool_destroy(kvp_shared_pool *self);

/* Give back what is on the deferred stack. The lock is held. */
void kvp_shared_pool_drain(kvp_shared_pool *self);

/* Serve the queue, unlock, free what was drained. */
void kvp_shared_pool_leave_slowly(kvp_shared_pool *self);

/* Give back a lease from a finalizer: never waits, never fails. Takes over the caller's share of it. */
void kvp_shared_pool_drop(kvp_shared_pool *self, kvp_lease *lease);

/* The same from any thread, also one that does not hold the outer lock: it takes effect with the next call, for which
 * those who wait for blocks, or for relief, are woken. */
void kvp_shared_pool_drop_outside(kvp_shared_pool *self, kvp_lease *lease);

/* Ring this bell for news from now on; NULL: none. The lock is held. */
void kvp_shared_pool_listen(kvp_shared_pool *self, kvp_bell *bell);

/* Nobody calls any more: those who wait or listen are forgotten. What is dropped later, from outside, is kept on the
 * stack until somebody settles. The lock is not held. */
void kvp_shared_pool_abandon(kvp_shared_pool *self);

/* Give back what was dropped, and free it. Nobody else knows the pool any more. */
void kvp_shared_pool_settle(kvp_shared_pool *self);

/* Join the queue. The lock is held. */
void kvp_shared_pool_enqueue(kvp_shared_pool *self, kvp_waiter *waiter);

/* Leave the queue, and its bell, if it is still there. The lock is held. */
void kvp_shared_pool_withdraw(kvp_shared_pool *self, kvp_waiter *waiter);

/* Ring for news when event `number` comes. False when it has come: nothing will ring. The lock is held. */
bool kvp_shared_pool_await_event(kvp_shared_pool *self, uint64_t number);

/* Those who were granted blocks and wait at this bell, oldest first, linked by `next`; from now on it rings anew. The
 * lock is held. */
kvp_waiter *kvp_shared_pool_collect(kvp_shared_pool *self, kvp_bell *bell);

/* In a forked child: whoever waited, listened or had the lock is in the parent. KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_shared_pool_forget_others(kvp_shared_pool *self);

/* Lock; what was dropped meanwhile is given back first, so that every call sees it. */
static inline void kvp_shared_pool_enter(kvp_shared_pool *self) {
    kvp_lock_take(&self->lock);
    if (KVP_UNLIKELY(atomic_load_explicit(&self->deferred, memory_order_relaxed) != NULL))
        kvp_shared_pool_drain(self);
}

/* Whether so few blocks are held that somebody wants to know. */
static inline bool kvp_shared_pool_is_relieved(const kvp_shared_pool *self) {
    return self->pool.num_active + self->pool.num_mutable <= self->relief;
}

/* Blocks without identity and without owner, about now. */
KVP_GUESS int32_t kvp_shared_pool_guess_empty(const kvp_shared_pool *self) {
    return self->pool.empty.count;
}

/* Blocks that somebody holds, about now. */
KVP_GUESS int32_t kvp_shared_pool_guess_held(const kvp_shared_pool *self) {
    return self->pool.num_active + self->pool.num_mutable;
}

/* Blocks that have an identity, about now. */
KVP_GUESS int32_t kvp_shared_pool_guess_registered(const kvp_shared_pool *self) {
    return self->pool.num_active + self->pool.num_cached;
}

/* Blocks that can be evicted, about now. */
KVP_GUESS int32_t kvp_shared_pool_guess_cached(const kvp_shared_pool *self) {
    return self->pool.num_cached;
}

static inline void kvp_shared_pool_leave(kvp_shared_pool *self) {
    if (KVP_UNLIKELY(self->first || self->dead || self->pool.events.has_news || kvp_shared_pool_is_relieved(self))) {
        kvp_shared_pool_leave_slowly(self);
        return;
    }
    kvp_lock_give(&self->lock);
    if (KVP_UNLIKELY(atomic_load(&self->deferred) != NULL) && kvp_lock_try(&self->lock))
        kvp_shared_pool_leave_slowly(self);
}

#endif
