/*
 * What:      the mutex of a pool. With KVP_CHECK it notices a second lock by the same thread instead of hanging. Where
 *            an outer lock is held around every call, as that of an interpreter, it only keeps book.
 * Cost:      one atomic operation to take and one to give back when nobody else wants it; none under an outer lock.
 * Ownership: a plain value inside its owner.
 * Locking:   it is the lock. Nothing that can call Python, allocate or wait happens while it is held: a finalizer that
 *            ran there would take it again, in the same thread, and hang.
 * Errors:    kvp_lock_init: KVP_NO_MEMORY.
 */
#ifndef KVP_LOCK_H
#define KVP_LOCK_H

#include "kvp/check.h"
#include "kvp/status.h"

#include <pthread.h>
#include <stdbool.h>

typedef struct kvp_lock {
    pthread_mutex_t mutex;
    bool has_outer; /* whoever calls holds a lock that all callers share */
    bool is_taken;  /* under an outer lock */
} kvp_lock;

/* KVP_OK or KVP_NO_MEMORY. */
static inline kvp_status kvp_lock_init(kvp_lock *self, bool has_outer) {
    self->has_outer = has_outer;
    self->is_taken = false;
#ifdef KVP_CHECK
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ERRORCHECK);
    int error = pthread_mutex_init(&self->mutex, &kind);
    pthread_mutexattr_destroy(&kind);
#else
    int error = pthread_mutex_init(&self->mutex, NULL);
#endif
    return error ? KVP_NO_MEMORY : KVP_OK;
}

static inline void kvp_lock_destroy(kvp_lock *self) {
    pthread_mutex_destroy(&self->mutex);
}

static inline void kvp_lock_take(kvp_lock *self) {
    if (self->has_outer) {
        KVP_ASSERT(!self->is_taken);
        self->is_taken = true;
        return;
    }
    int error = pthread_mutex_lock(&self->mutex);
    KVP_ASSERT(error == 0);
    (void)error;
}

static inline bool kvp_lock_try(kvp_lock *self) {
    if (self->has_outer) {
        bool was_taken = self->is_taken;
        self->is_taken = true;
        return !was_taken;
    }
    return pthread_mutex_trylock(&self->mutex) == 0;
}

static inline void kvp_lock_give(kvp_lock *self) {
    if (self->has_outer) {
        KVP_ASSERT(self->is_taken);
        self->is_taken = false;
        return;
    }
    int error = pthread_mutex_unlock(&self->mutex);
    KVP_ASSERT(error == 0);
    (void)error;
}

#endif
