/*
 * What:      wakes one sleeper that waits on a file descriptor, as event loops and background threads do: an eventfd, or
 *            a pipe where there is none.
 * Cost:      a system call for the first ring after an answer, none for those that follow.
 * Ownership: owns its descriptors; borrows the waiters that were granted while it rang.
 * Locking:   `is_rung` and `granted` are guarded by the pool's lock. The write is made under it as well: a bell is
 *            destroyed by who has taken the lock after nobody can ring it any more, and a write that came later could
 *            go to whoever has the descriptor by then. It never blocks. A nudge writes under `outside` of the pool.
 * Errors:    kvp_bell_init: KVP_NO_MEMORY, when the system has no descriptor left.
 *
 * Invariants:
 *   is_rung  <=>  the descriptor is readable, or was and its reader is about to answer
 *   granted is linked both ways, and holds only waiters with is_granted
 */
#ifndef KVP_BELL_H
#define KVP_BELL_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_waiter kvp_waiter;

typedef struct kvp_bell {
    kvp_waiter *granted; /* borrowed; got their blocks, and were not collected yet; newest first */
    int read_fd;         /* owned; what to wait on */
    int write_fd;        /* owned; the same for an eventfd */
    bool is_rung;
} kvp_bell;

/* KVP_OK or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_bell_init(kvp_bell *self);

/* Cannot fail. */
void kvp_bell_destroy(kvp_bell *self);

/* Make the descriptor readable. Never blocks, cannot fail. */
void kvp_bell_write(const kvp_bell *self);

/* Make it unreadable, before the lock is taken to answer. Never blocks, cannot fail. */
void kvp_bell_silence(const kvp_bell *self);

/* Wake the sleeper unless it was woken already. The lock is held. */
static inline void kvp_bell_ring(kvp_bell *self) {
    if (self->is_rung)
        return;
    self->is_rung = true;
    kvp_bell_write(self);
}

/* NULL, or the broken invariant. The lock is held. */
const char *kvp_bell_check(const kvp_bell *self);

#endif
