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

#ifdef KVP_CHECK
#include <stdio.h>
#include <stdlib.h>
#define KVP_ASSERT(condition)                                                                                          \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition), abort()))
#else
#define KVP_ASSERT(condition) ((void)0)
#endif

/* Return the sentence from the enclosing *_check() unless the condition holds. */
#define KVP_REQUIRE(condition, sentence)                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return (sentence);                                                                                         \
    } while (0)

#endif
