/*
 * What:      what a view of blocks and the tensors made from it hold in common: the blocks, the pool to give them back
 *            to, and the memory.
 * Cost:      one allocation a view; one atomic operation for each tensor.
 * Ownership: shared by the view and its tensors; owns a lease (NULL: no blocks), a share of the pool and one of the
 *            memory.
 * Locking:   `shares` is atomic. The last share can be given up on any thread, also one without the outer lock.
 * Errors:    kvp_tether_new returns NULL without memory.
 *
 * Invariants:
 *   lease is live, and its blocks are held, while the tether is there
 *   anchor == NULL  <=>  lease == NULL
 */
#ifndef KVP_TETHER_H
#define KVP_TETHER_H

#include "kvp/anchor.h"
#include "kvp/keeper.h"

typedef struct kvp_tether {
    kvp_lease *lease;   /* owned; NULL: no blocks are held */
    kvp_anchor *anchor; /* a share; NULL without lease */
    kvp_keeper *keeper; /* a share */
    _Atomic uint32_t shares;
} kvp_tether;

/* One share. Takes the lease over, if there is one, and shares of the pool and the memory. NULL without memory: nothing
 * was taken. */
kvp_tether *kvp_tether_new(kvp_lease *lease, kvp_anchor *anchor, kvp_keeper *keeper);

static inline void kvp_tether_share(kvp_tether *self) {
    atomic_fetch_add_explicit(&self->shares, 1, memory_order_relaxed);
}

/* Give up one share, and the blocks with the last. Cannot fail, never waits, from any thread. NULL is allowed. */
void kvp_tether_unshare(kvp_tether *self);

/* The same by who holds the outer lock: the blocks are back at once. */
void kvp_tether_unshare_inside(kvp_tether *self);

/* NULL, or the broken invariant. */
const char *kvp_tether_check(const kvp_tether *self);

#endif
