#include "ctest.h"
#include "kvp/latency.h"

#include <string.h>
#include <time.h>

static kvp_latency latency;

static uint64_t sum(kvp_call call) {
    uint64_t all = 0;
    for (int i = 0; i < KVP_LATENCY_CLASSES; i++)
        all += latency.counts[call][i];
    return all;
}

static void call_times(kvp_call call, int times) {
    for (int i = 0; i < times; i++)
        kvp_latency_end(&latency, call, kvp_latency_begin(&latency));
    KVP_EXPECT_SOUND(kvp_latency_check(&latency));
}

KVP_TEST(one_call_in_a_period_is_timed) {
    kvp_latency_init(&latency, 8);
    call_times(KVP_CALL_MATCH, 7);
    KVP_EXPECT(sum(KVP_CALL_MATCH) == 0);
    call_times(KVP_CALL_MATCH, 1);
    KVP_EXPECT(sum(KVP_CALL_MATCH) == 1);
    call_times(KVP_CALL_MATCH, 80);
    KVP_EXPECT(sum(KVP_CALL_MATCH) == 11 && sum(KVP_CALL_ALLOCATE) == 0);
    kvp_latency_init(&latency, 1);
    call_times(KVP_CALL_APPEND, 5);
    KVP_EXPECT(sum(KVP_CALL_APPEND) == 5 && sum(KVP_CALL_MATCH) == 0);
}

KVP_TEST(a_restart_forgets_what_was_timed_and_a_copy_has_it) {
    kvp_latency copy;
    kvp_latency_init(&latency, 1);
    call_times(KVP_CALL_MATCH, 3);
    kvp_latency_read(&latency, &copy);
    KVP_EXPECT(copy.period == 1 && copy.totals[KVP_CALL_MATCH] == latency.totals[KVP_CALL_MATCH]);
    KVP_EXPECT(memcmp(copy.counts, latency.counts, sizeof copy.counts) == 0 && sum(KVP_CALL_MATCH) == 3);
    kvp_latency_restart(&latency, 2);
    KVP_EXPECT(latency.period == 2 && sum(KVP_CALL_MATCH) == 0 && latency.totals[KVP_CALL_MATCH] == 0);
    call_times(KVP_CALL_MATCH, 4);
    KVP_EXPECT(sum(KVP_CALL_MATCH) == 2);
}

KVP_TEST(a_call_that_began_before_the_timing_ended_is_not_counted) {
    kvp_latency_init(&latency, 1);
    int64_t start = kvp_latency_begin(&latency);
    kvp_latency_restart(&latency, 0);
    kvp_latency_end(&latency, KVP_CALL_MATCH, start);
    KVP_EXPECT(start != 0 && sum(KVP_CALL_MATCH) == 0);
    KVP_EXPECT_SOUND(kvp_latency_check(&latency));
}

KVP_TEST(nothing_is_timed_without_a_period) {
    kvp_latency_init(&latency, 0);
    call_times(KVP_CALL_MATCH, 1000);
    atomic_store(&latency.countdown, 1); /* as after four thousand million calls */
    call_times(KVP_CALL_MATCH, 1000);
    KVP_EXPECT(sum(KVP_CALL_MATCH) == 0 && latency.totals[KVP_CALL_MATCH] == 0);
}

static int64_t steady_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* A call that began 2^i ns ago is in class i + 1, or in a later one if this took long. */
KVP_TEST(a_call_is_in_the_class_of_its_time) {
    for (int i = 0; i < 45; i++) {
        kvp_latency_init(&latency, 1);
        int64_t before = steady_now();
        kvp_latency_stop(&latency, KVP_CALL_OPEN, before - (INT64_C(1) << i));
        int64_t longest = steady_now() - before + (INT64_C(1) << i);
        int lowest = i + 1 < KVP_LATENCY_CLASSES ? i + 1 : KVP_LATENCY_CLASSES - 1, found = 0;
        while (latency.counts[KVP_CALL_OPEN][found] == 0)
            found++;
        KVP_EXPECT(found >= lowest && (found == KVP_LATENCY_CLASSES - 1 || longest >= INT64_C(1) << (found - 1)));
        KVP_EXPECT(latency.totals[KVP_CALL_OPEN] >= UINT64_C(1) << i);
        KVP_EXPECT(latency.totals[KVP_CALL_OPEN] <= (uint64_t)longest);
        KVP_EXPECT_SOUND(kvp_latency_check(&latency));
    }
}

KVP_TEST(a_clock_that_went_back_is_no_time) {
    kvp_latency_init(&latency, 1);
    kvp_latency_stop(&latency, KVP_CALL_OPEN, steady_now() + INT64_C(1000000000));
    KVP_EXPECT(latency.counts[KVP_CALL_OPEN][0] == 1 && latency.totals[KVP_CALL_OPEN] == 0);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_latency_init(&latency, 1);
    call_times(KVP_CALL_OPEN, 3);
    KVP_EXPECT_BROKEN_BY(latency.counts[KVP_CALL_OPEN][39], 1, kvp_latency_check(&latency),
                         "calls took less time together than each by itself");
    latency.totals[KVP_CALL_OPEN] = UINT64_C(1) << 40;
    KVP_EXPECT_BROKEN_BY(latency.period, 0, kvp_latency_check(&latency), "calls were timed that nobody asked to time");
}

int main(void) {
    KVP_RUN(one_call_in_a_period_is_timed);
    KVP_RUN(a_restart_forgets_what_was_timed_and_a_copy_has_it);
    KVP_RUN(a_call_that_began_before_the_timing_ended_is_not_counted);
    KVP_RUN(nothing_is_timed_without_a_period);
    KVP_RUN(a_call_is_in_the_class_of_its_time);
    KVP_RUN(a_clock_that_went_back_is_no_time);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
