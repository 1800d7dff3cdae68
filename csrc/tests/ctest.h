/* What the C tests share: checks that do not vanish in a release build and that print the seed of a random history,
 * and a line for each test. KVP_SEED=n in the environment repeats the history of one seed, KVP_SEEDS=n runs n at most. */
#ifndef KVP_CTEST_H
#define KVP_CTEST_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long kvp_seed; /* of the history that runs; 0: none does */

static inline void kvp_fail(const char *file, int line, const char *what, const char *why) {
    fprintf(stderr, "%s:%d: %s%s\n", file, line, what, why);
    if (kvp_seed)
        fprintf(stderr, "repeat with KVP_SEED=%llu\n", kvp_seed);
    exit(1);
}

#define KVP_EXPECT(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            kvp_fail(__FILE__, __LINE__, "expected ", #condition);                                                     \
    } while (0)

/* A structure's *_check() found nothing. */
#define KVP_EXPECT_SOUND(call)                                                                                         \
    do {                                                                                                               \
        const char *broken_ = (call);                                                                                  \
        if (broken_)                                                                                                   \
            kvp_fail(__FILE__, __LINE__, #call ": ", broken_);                                                         \
    } while (0)

/* A structure's *_check() names this very invariant. */
#define KVP_EXPECT_BROKEN(call, sentence)                                                                              \
    do {                                                                                                               \
        const char *broken_ = (call);                                                                                  \
        if (!broken_ || strcmp(broken_, sentence) != 0)                                                                \
            kvp_fail(__FILE__, __LINE__, "expected '" sentence "', got: ", broken_ ? broken_ : "nothing");             \
    } while (0)

/* The check names the invariant while `place` has a wrong value, and is content again when it has the old one. */
#define KVP_EXPECT_BROKEN_BY(place, value, call, sentence)                                                             \
    do {                                                                                                               \
        __typeof__(place) was_ = (place);                                                                              \
        (place) = (value);                                                                                             \
        KVP_EXPECT_BROKEN(call, sentence);                                                                             \
        (place) = was_;                                                                                                \
        KVP_EXPECT_SOUND(call);                                                                                        \
    } while (0)

#define KVP_TEST(name) static void name(void)
#define KVP_RUN(name)                                                                                                  \
    do {                                                                                                               \
        name();                                                                                                        \
        printf("ok %s\n", #name);                                                                                      \
    } while (0)

/* Call history(random state) for seeds 1 to count, or for the one of KVP_SEED. */
static inline void kvp_for_seeds(unsigned count, void (*history)(unsigned long long *state)) {
    const char *only = getenv("KVP_SEED"), *most = getenv("KVP_SEEDS");
    count = most && strtoul(most, NULL, 10) < count ? (unsigned)strtoul(most, NULL, 10) : count;
    unsigned long long first = only ? strtoull(only, NULL, 10) : 1;
    for (kvp_seed = first; kvp_seed < (only ? first + 1 : first + count); kvp_seed++) {
        unsigned long long state = kvp_seed;
        history(&state);
    }
    kvp_seed = 0;
}

/* A small seeded generator (splitmix64), so that a failing history repeats. */
static inline unsigned long long kvp_random(unsigned long long *state) {
    unsigned long long z = (*state += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
}

/* In [0, bound). */
static inline int32_t kvp_random_below(unsigned long long *state, int32_t bound) {
    return (int32_t)(kvp_random(state) % (unsigned long long)bound);
}

#endif
