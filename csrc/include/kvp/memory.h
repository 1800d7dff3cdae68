/*
 * What:      the one door to the allocator: zeroed arrays, with large ones on huge pages and already faulted in, so
 *            that the first use of a block costs no page fault.
 * Cost:      one allocation a call; only at construction and for leases, never under the lock.
 * Ownership: the caller owns what it gets and frees it with the same count and size.
 * Locking:   none.
 * Errors:    NULL when count * size overflows or the system has no memory.
 */
#ifndef KVP_MEMORY_H
#define KVP_MEMORY_H

#include <stddef.h>

/* count * size zeroed bytes, aligned to 64; NULL on failure. A zero count gives room for one. */
void *kvp_memory_new(size_t count, size_t size);

/* As kvp_memory_new, but pages are left to be faulted in at first use: for arrays that most pools never touch. */
void *kvp_memory_new_lazy(size_t count, size_t size);

/* bytes uninitialised bytes from malloc, for what is small and comes and goes; NULL on failure. */
void *kvp_memory_new_raw(size_t bytes);

/* Give back what kvp_memory_new_raw gave. Cannot fail. NULL is allowed. */
void kvp_memory_free_raw(void *memory);

/* Give back an array. Cannot fail. NULL is allowed. */
void kvp_memory_free(void *memory, size_t count, size_t size);

#endif
