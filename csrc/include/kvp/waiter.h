/*
 * What:      one place in the queue for blocks: what is wanted, where to put it, and what wakes who wants it: a
 *            semaphore for a thread, a bell for an event loop.
 * Cost:      no memory beyond the waiter; a wake is one semaphore post, or one ring for all that a loop was granted.
 * Ownership: who waits owns it and its lease; the queue, and then its bell, borrow it until it is collected or
 *            withdrawn.
 * Locking:   all fields but `wake` are guarded by the pool's lock. A thread waits without the lock.
 * Errors:    kvp_waiter_init: KVP_NO_MEMORY.
 */
#ifndef KVP_WAITER_H
#define KVP_WAITER_H

#include "kvp/bell.h"
#include "kvp/lease.h"

#include <semaphore.h>

typedef struct kvp_waiter {
    struct kvp_waiter *prev, *next; /* borrowed; neighbours in the queue, or among those that its bell has */
    kvp_lease *lease;               /* borrowed; mutable, lease->count blocks wanted */
    uint64_t *evicted;              /* borrowed; room for lease->count hashes */
    kvp_bell *bell;                 /* borrowed; NULL: a thread, which `wake` wakes */
    void *request;                  /* borrowed; what those who collect at the bell know it by */
    uint32_t num_evicted;           /* hashes evicted for it */
    bool is_queued;                 /* it is in the queue */
    bool is_granted;                /* the lease is live; it has left the queue */
    bool is_at_bell;                /* it is among those that its bell has */
    sem_t wake;                     /* posted when granted, and for each nudge */
} kvp_waiter;

typedef enum kvp_wait_result { KVP_WOKEN, KVP_TIMED_OUT, KVP_INTERRUPTED } kvp_wait_result;

kvp_status kvp_waiter_init(kvp_waiter *self, kvp_lease *lease, uint64_t *evicted, kvp_bell *bell);

/* Not in the queue, and not at its bell. Cannot fail. */
void kvp_waiter_destroy(kvp_waiter *self);

/* Sleep until granted or nudged, until timeout nanoseconds have gone by (negative: no limit), or until a signal was handled in
 * this thread. */
kvp_wait_result kvp_waiter_wait(kvp_waiter *self, int64_t timeout);

/* It has its blocks and has left the queue: wake who waits. The lock is held, because the waiter may only go away after
 * its owner has taken it. */
void kvp_waiter_wake(kvp_waiter *self);

/* Wake who waits to make a call, since what it waits for may have come without one. It is in the queue. */
void kvp_waiter_nudge(kvp_waiter *self);

/* Take it from its bell, if it is there. The lock is held. */
void kvp_waiter_leave_bell(kvp_waiter *self);

#endif
