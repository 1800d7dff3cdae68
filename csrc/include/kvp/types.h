/*
 * What:      limits and marks that all structures share, and two hints for the compiler.
 * Cost:      none.
 * Ownership: none.
 * Locking:   none.
 * Errors:    none.
 */
#ifndef KVP_TYPES_H
#define KVP_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KVP_NO_BLOCK        (-1)
#define KVP_MAX_PRIORITY    100
#define KVP_NUM_LEVELS      102 /* priorities 0..100, and behind them those that are protected */
#define KVP_PROTECTED_LEVEL 101
#define KVP_DEFAULT_LEVEL   35  /* TensorRT-LLM's default retention priority */
#define KVP_TTL_LEVEL       100 /* level of a block that was given a time-to-live and no priority */
#define KVP_NO_EXPIRY       INT64_MAX

/* The table keeps one row for each level behind those of the blocks, and row numbers are int32. */
#define KVP_MAX_BLOCKS (INT32_MAX - KVP_NUM_LEVELS)

#define KVP_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define KVP_UNLIKELY(condition) __builtin_expect(!!(condition), 0)
/* The empty asm is an effect that stays: GCC takes a function that does nothing but prefetch for one that does nothing,
 * and drops the calls. */
#define KVP_PREFETCH(address)                                                                                          \
    do {                                                                                                               \
        __builtin_prefetch((address), 1, 3);                                                                           \
        __asm__ volatile("");                                                                                          \
    } while (0)

#endif
