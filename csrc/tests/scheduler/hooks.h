/* What a test of schedules sees of the code under test, and how it puts faults into it. */
#ifndef KVP_HOOKS_H
#define KVP_HOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Any of them may be NULL. */
typedef struct hooks {
    const char *(*before_unlock)(const void *mutex); /* NULL, or what is wrong */
    bool (*takes)(const void *mutex, bool is_try);   /* false: a try fails, and others go on without the lock */
    uint64_t (*sees)(const volatile void *place, uint64_t value, int order); /* what an atomic load returns */
    void (*exchanges)(const volatile void *place);                           /* a compare-and-exchange comes */
    bool (*posts)(const void *semaphore);                                    /* false: the post is lost */
} hooks;

extern hooks shuttle_hooks;

/* A lock of the test's own, of the kind that the core gets. */
typedef struct outer_lock {
    uint32_t is_there;
    int owner;
} outer_lock;

void outer_lock_init(outer_lock *self);
void outer_lock_take(outer_lock *self);
void outer_lock_give(outer_lock *self);

/* Whether a read of the descriptor would find something. */
bool stand_in_is_readable(const void *fd);

/* Allocations that were not given back. Frees those that were, and says if any was written to meanwhile. */
size_t stand_in_count_allocations(const char **wrong);

/* Forget all there is: after a run that failed. */
void stand_in_forget_all(void);

#endif
