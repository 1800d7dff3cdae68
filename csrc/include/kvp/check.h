/*
 * What:      assertions of the core, compiled in only with -DKVP_CHECK=ON, and the form of every kvp_*_check().
 * Cost:      none in a release build.
 * Ownership: none.
 * Locking:   none.
 * Errors:    KVP_ASSERT aborts with file and line. A *_check() returns NULL when all invariants hold, otherwise a
 *            static sentence that names the one that does not.
 */
#ifndef KVP_CHECK_H
#define KVP_CHECK_H

/* Of a function that reads what others may write meanwhile, for who is content with what it was a moment ago. */
#if defined(__SANITIZE_THREAD__)
#define KVP_GUESS __attribute__((no_sanitize_thread, noinline, unused)) static
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KVP_GUESS __attribute__((no_sanitize("thread"), noinline, unused)) static
#endif
#endif
#ifndef KVP_GUESS
#define KVP_GUESS static inline
#endif

#ifdef KVP_CHECK
#include <stdio.h>
#include <stdlib.h>
#define KVP_ASSERT(condition)                                                                                          \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition), abort()))
#else
#define KVP_ASSERT(condition) ((void)0)
#endif

/* A sanitizer stands in for the allocator: gcc tells by macros, clang by features. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KVP_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define KVP_IS_SANITIZED 1
#endif
#endif
#ifndef KVP_IS_SANITIZED
#define KVP_IS_SANITIZED 0
#endif

/* Return the sentence from the enclosing *_check() unless the condition holds. */
#define KVP_REQUIRE(condition, sentence)                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return (sentence);                                                                                         \
    } while (0)

#endif
