/*
 * What:      one thread's place in the queue for blocks: what it wants, where to put it, and what wakes it.
 * Cost:      no memory beyond the waiter, which lies on the waiting thread's stack; a wake is one semaphore post.
 * Ownership: the waiting thread owns it and its lease; the queue borrows it until it is granted or withdrawn.
 * Locking:   all fields but `wake` are guarded by the pool's lock. The thread waits without the lock.
 * Errors:    kvp_waiter_init: KVP_NO_MEMORY.
 */
#ifndef KVP_WAITER_H
#define KVP_WAITER_H

#include "kvp/lease.h"

#include <semaphore.h>

typedef struct kvp_waiter {
    struct kvp_waiter *next; /* borrowed; who came after */
    kvp_lease *lease;        /* borrowed; mutable, lease->count blocks wanted */
    uint64_t *evicted;       /* borrowed; room for lease->count hashes */
    uint32_t num_evicted;    /* hashes evicted for it */
    bool is_granted;         /* the lease is live; it has left the queue */
    sem_t wake;              /* posted once, when granted */
} kvp_waiter;

typedef enum kvp_wait_result { KVP_WOKEN, KVP_TIMED_OUT, KVP_INTERRUPTED } kvp_wait_result;

kvp_status kvp_waiter_init(kvp_waiter *self, kvp_lease *lease, uint64_t *evicted);

/* Not in the queue. Cannot fail. */
void kvp_waiter_destroy(kvp_waiter *self);

/* Sleep until granted, until timeout nanoseconds have gone by (negative: no limit), or until a signal was handled in
 * this thread. */
kvp_wait_result kvp_waiter_wait(kvp_waiter *self, int64_t timeout);

#endif
