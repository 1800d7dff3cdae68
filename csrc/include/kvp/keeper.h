/*
 * What:      keeps alive the memory that views look into, whoever it belongs to.
 * Cost:      one atomic operation to share and one to give a share up.
 * Ownership: shared by the storage that the memory is attached as and by each view. With the last share `let_go` gets
 *            it, which gives the memory's owner up, now or when it can, and frees the keeper.
 * Locking:   `shares` is atomic; the others do not change, but for `next`, which belongs to `let_go`.
 * Errors:    kvp_keeper_new returns NULL without memory.
 *
 * Invariants:
 *   shares = views + 1 while the storage is attached
 */
#ifndef KVP_KEEPER_H
#define KVP_KEEPER_H

#include "kvp/memory.h"

#include <stdatomic.h>
#include <stdint.h>

typedef struct kvp_keeper {
    struct kvp_keeper *next; /* for let_go, to put off what it cannot do at once */
    void *owner;             /* owned; what keeps the memory */
    void (*let_go)(struct kvp_keeper *self);
    _Atomic uint32_t shares;
} kvp_keeper;

/* Keepers that were let go where their owners could not be given up at once. All zero is one of none. */
typedef struct kvp_keeper_stack {
    _Atomic(kvp_keeper *) first; /* owned; linked by `next` */
} kvp_keeper_stack;

/* One share. Takes over the owner. NULL without memory: nothing was taken. */
kvp_keeper *kvp_keeper_new(void *owner, void (*let_go)(kvp_keeper *self));

static inline void kvp_keeper_share(kvp_keeper *self) {
    atomic_fetch_add_explicit(&self->shares, 1, memory_order_relaxed);
}

/* Give up one share. Cannot fail, from any thread. NULL is allowed. */
void kvp_keeper_unshare(kvp_keeper *self);

/* Views that are there beside the storage. */
static inline uint32_t kvp_keeper_views(kvp_keeper *self) {
    return atomic_load(&self->shares) - 1;
}

/* From any thread. Cannot fail. */
void kvp_keeper_stack_push(kvp_keeper_stack *self, kvp_keeper *keeper);

/* All of them, newest first; they are the caller's. NULL: there is none. */
static inline kvp_keeper *kvp_keeper_stack_take(kvp_keeper_stack *self) {
    return atomic_load(&self->first) ? atomic_exchange(&self->first, NULL) : NULL;
}

/* Free a keeper that was let go. */
static inline void kvp_keeper_free(kvp_keeper *self) {
    kvp_memory_free_raw(self);
}

/* NULL, or the broken invariant. */
const char *kvp_keeper_check(const kvp_keeper *self);

#endif
