/*
 * What:      how long a sample of the calls took: one in `period`, by powers of two of nanoseconds.
 * Cost:      a subtraction a call; two readings of the clock for one that is timed. 2.6 KB.
 * Ownership: a plain value inside its owner.
 * Locking:   `countdown` and `period` are atomic, because they are looked at before the lock is taken; the rest is
 *            guarded by the pool's lock.
 * Errors:    none.
 *
 * Invariants:
 *   counts[call][i], i > 0: timed calls of at least 2^(i-1) and less than 2^i ns; the last also those of more
 *   period == 0: no call is timed
 */
#ifndef KVP_LATENCY_H
#define KVP_LATENCY_H

#include "kvp/types.h"

#include <stdatomic.h>

typedef enum kvp_call {
    KVP_CALL_ALLOCATE,
    KVP_CALL_REGISTER,
    KVP_CALL_MATCH,
    KVP_CALL_RELEASE,
    KVP_CALL_OPEN,
    KVP_CALL_APPEND,
    KVP_NUM_CALLS
} kvp_call;

enum { KVP_LATENCY_CLASSES = 40 };

typedef struct kvp_latency {
    _Atomic uint32_t countdown; /* calls until one is timed */
    _Atomic uint32_t period;    /* one call in so many is timed; 0: none */
    uint64_t counts[KVP_NUM_CALLS][KVP_LATENCY_CLASSES];
    uint64_t totals[KVP_NUM_CALLS]; /* nanoseconds */
} kvp_latency;

/* Cannot fail. */
void kvp_latency_init(kvp_latency *self, uint32_t period);

/* Forget what was timed, and time one call in `period` from now on. The lock is held. */
void kvp_latency_restart(kvp_latency *self, uint32_t period);

/* Copy what was timed. The lock is held. */
void kvp_latency_read(const kvp_latency *self, kvp_latency *copy);

/* The next call is to be timed: when it began, nanoseconds; 0 when none is timed at all. */
int64_t kvp_latency_start(kvp_latency *self);

/* A call that began at `start` ends. The lock is held. */
void kvp_latency_stop(kvp_latency *self, kvp_call call, int64_t start);

/* NULL, or the broken invariant. */
const char *kvp_latency_check(const kvp_latency *self);

/* When this call began, or 0: it is not timed. Two threads may lose a count: the period is an average. */
static inline int64_t kvp_latency_begin(kvp_latency *self) {
    uint32_t left = atomic_load_explicit(&self->countdown, memory_order_relaxed) - 1;
    atomic_store_explicit(&self->countdown, left, memory_order_relaxed);
    return KVP_LIKELY(left != 0) ? 0 : kvp_latency_start(self);
}

static inline void kvp_latency_end(kvp_latency *self, kvp_call call, int64_t start) {
    if (KVP_UNLIKELY(start != 0))
        kvp_latency_stop(self, call, start);
}

#endif
