/*
 * What:      the mutex of a pool. With KVP_CHECK it notices a second lock by the same thread instead of hanging.
 * Cost:      one atomic operation to take and one to give back when nobody else wants it.
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
} kvp_lock;

static inline kvp_status kvp_lock_init(kvp_lock *self) {
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
    int error = pthread_mutex_lock(&self->mutex);
    KVP_ASSERT(error == 0);
    (void)error;
}

static inline bool kvp_lock_try(kvp_lock *self) {
    return pthread_mutex_trylock(&self->mutex) == 0;
}

static inline void kvp_lock_give(kvp_lock *self) {
    int error = pthread_mutex_unlock(&self->mutex);
    KVP_ASSERT(error == 0);
    (void)error;
}

#endif
