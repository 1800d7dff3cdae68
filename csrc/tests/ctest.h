/* What the C tests share: a check that does not vanish in a release build, and a line for each test. */
#ifndef KVP_CTEST_H
#define KVP_CTEST_H

#include <stdio.h>
#include <stdlib.h>

#define KVP_EXPECT(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: expected %s\n", __FILE__, __LINE__, #condition);                                   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A structure's *_check() found nothing. */
#define KVP_EXPECT_SOUND(call)                                                                                         \
    do {                                                                                                               \
        const char *broken_ = (call);                                                                                  \
        if (broken_) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, broken_);                                    \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define KVP_TEST(name) static void name(void)
#define KVP_RUN(name)                                                                                                  \
    do {                                                                                                               \
        name();                                                                                                        \
        printf("ok %s\n", #name);                                                                                      \
    } while (0)

/* A small seeded generator (splitmix64), so that a failing history repeats. */
static inline unsigned long long kvp_random(unsigned long long *state) {
    unsigned long long z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

#endif
