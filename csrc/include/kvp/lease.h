/*
 * What:      one hold on blocks: which, since when, for whom. It is what a handle owns, and what a handle that is
 *            dropped while the lock is taken leaves behind on the deferred stack.
 * Cost:      one allocation of 80 + 4 bytes a block (5 when mutable); that of a sequence has its ids in a table, which
 *            grows.
 * Ownership: shared by the handle (or the deferred stack) and by the arrays that show its ids; freed with the last of
 *            them.
 * Locking:   `shares` is atomic; everything else but the ids of a live lease, which never change, is guarded by the
 *            pool's lock. What kvp_lease_guess_* read without it is looked at again under it by who acts on it.
 * Errors:    kvp_lease_new returns NULL without memory, or when the size overflows.
 *
 * Invariants:
 *   held = number of i in [0, count) with ids[i] != KVP_NO_BLOCK and not gone(i)
 *   of a sequence, ids[0 .. registered) have an identity and ids[registered .. count) have none
 *   in the pool's list of leases  <=>  is_live  <=>  held > 0
 */
#ifndef KVP_LEASE_H
#define KVP_LEASE_H

#include "kvp/check.h"
#include "kvp/memory.h"
#include "kvp/status.h"
#include "kvp/types.h"

#include <stdatomic.h>

/* The ids of a sequence: replaced by a larger one when it grows, while arrays still show the old one. */
typedef struct kvp_id_table {
    _Atomic uint32_t shares; /* the lease, and arrays that show it */
    uint32_t capacity;
    int32_t ids[];
} kvp_id_table;

typedef struct kvp_lease {
    struct kvp_lease *prev, *next; /* borrowed; the pool's list of live leases */
    struct kvp_lease *deferred;    /* borrowed; link of the deferred stack, or of those to be freed after unlock */
    const void *owner;             /* borrowed; whose hold it is, kept alive by the handle; NULL when unnamed */
    int64_t since;                 /* when it began, nanoseconds of the pool's clock */
    int32_t *ids;                  /* blocks; KVP_NO_BLOCK where a scattered match missed */
    kvp_id_table *table;           /* a share; where the ids are; NULL: behind the lease */
    uint32_t count;                /* ids */
    uint32_t held;                 /* of these, how many it still holds */
    uint32_t registered;           /* of a sequence: how many of its blocks have an identity */
    uint32_t ahead;                /* number of a hold ahead, for those who will ask; 0: it is none */
    _Atomic uint32_t shares;       /* who may read the ids */
    bool is_live;                  /* it holds blocks */
    bool is_mutable;               /* its blocks have no identity; it is their only owner */
    bool is_chain;                 /* each block but the first is a child of the one before: only the last is held */
    bool is_sequence;              /* it has blocks of both kinds, and a table */
    bool is_pin;                   /* its blocks count as pinned */
    bool is_view;                  /* its blocks are held beside their owner, who may register or release them */
    uint8_t space;                 /* namespace of its blocks */
    int32_t room[];                /* the ids without a table; then, if mutable, `gone` bytes */
} kvp_lease;

/* A table with one share; NULL without memory. */
static inline kvp_id_table *kvp_id_table_new(uint32_t capacity) {
    kvp_id_table *self = (kvp_id_table *)kvp_memory_new_raw(sizeof(kvp_id_table) + capacity * sizeof(int32_t));
    if (!self)
        return NULL;
    self->capacity = capacity;
    atomic_init(&self->shares, 1);
    return self;
}

static inline void kvp_id_table_share(kvp_id_table *self) {
    atomic_fetch_add_explicit(&self->shares, 1, memory_order_relaxed);
}

/* Give up one share, and the table with the last. Cannot fail; NULL is allowed. */
static inline void kvp_id_table_unshare(kvp_id_table *self) {
    if (self && atomic_fetch_sub_explicit(&self->shares, 1, memory_order_acq_rel) == 1)
        kvp_memory_free_raw(self);
}

/* A lease of up to n blocks with one share, not live; NULL without memory. */
static inline kvp_lease *kvp_lease_new(size_t n, bool is_mutable) {
    if (n > UINT32_MAX)
        return NULL;
    kvp_lease *self = (kvp_lease *)kvp_memory_new_raw(sizeof(kvp_lease) + n * (is_mutable ? 5 : 4));
    if (!self)
        return NULL;
    self->ids = self->room;
    self->table = NULL;
    self->owner = NULL;
    self->registered = 0;
    self->is_sequence = false;
    self->is_pin = false;
    self->ahead = 0;
    self->is_view = false;
    self->space = 0;
    self->count = (uint32_t)n;
    self->held = 0;
    atomic_init(&self->shares, 1);
    self->is_live = false;
    self->is_mutable = is_mutable;
    self->is_chain = false;
    return self;
}

/* Of a mutable lease: gone[i] != 0 when block i was registered or given back before the rest. */
static inline uint8_t *kvp_lease_gone(kvp_lease *self) {
    return (uint8_t *)(self->ids + self->count);
}

/* Whether it held blocks a moment ago, and how many. */
KVP_GUESS bool kvp_lease_guess_live(const kvp_lease *self) {
    return self->is_live;
}

KVP_GUESS uint32_t kvp_lease_guess_held(const kvp_lease *self) {
    return self->held;
}

/* Of a mutable lease: whether it held block i a moment ago. */
KVP_GUESS bool kvp_lease_guess_entry(kvp_lease *self, uint32_t i) {
    return self->is_live && !kvp_lease_gone(self)[i];
}

static inline void kvp_lease_share(kvp_lease *self) {
    atomic_fetch_add_explicit(&self->shares, 1, memory_order_relaxed);
}

/* Give up one share, and the lease with the last. It is not live when that happens. Cannot fail; NULL is allowed. */
static inline void kvp_lease_unshare(kvp_lease *self) {
    if (self && atomic_fetch_sub_explicit(&self->shares, 1, memory_order_acq_rel) == 1) {
        kvp_id_table_unshare(self->table);
        kvp_memory_free_raw(self);
    }
}

#endif
