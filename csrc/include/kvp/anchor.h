/*
 * What:      keeps a pool's structures alive as long as anybody may give blocks back to them: the object that makes the
 *            calls, and views of blocks that tensor libraries have.
 * Cost:      one atomic operation to share and one to give a share up.
 * Ownership: shared; the pool is destroyed with the last share, on whatever thread that is given up.
 * Locking:   `shares` is atomic; the pool has its own lock.
 * Errors:    kvp_anchor_new returns NULL without memory.
 *
 * Invariants:
 *   shares = those who may still call kvp_shared_pool_* or drop a lease there
 *   the object that makes the calls has one of them until kvp_anchor_abandon
 */
#ifndef KVP_ANCHOR_H
#define KVP_ANCHOR_H

#include "kvp/shared_pool.h"

typedef struct kvp_anchor {
    _Atomic uint32_t shares;
    kvp_shared_pool shared;
} kvp_anchor;

/* A pool with one share; NULL without memory. */
kvp_anchor *kvp_anchor_new(const kvp_pool_config *config);

static inline void kvp_anchor_share(kvp_anchor *self) {
    atomic_fetch_add_explicit(&self->shares, 1, memory_order_relaxed);
}

/* Give up one share, and the pool with the last. Cannot fail, never waits, from any thread. NULL is allowed. */
void kvp_anchor_unshare(kvp_anchor *self);

/* The same for the object that makes the calls: from now on leases are dropped from outside only. Cannot fail; NULL is
 * allowed. */
void kvp_anchor_abandon(kvp_anchor *self);

/* NULL, or the broken invariant. */
const char *kvp_anchor_check(const kvp_anchor *self);

#endif
