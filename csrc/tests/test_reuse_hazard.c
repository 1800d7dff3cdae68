#include "../src/policies/reuse_hazard.h"
#include "ctest.h"

#define SECOND INT64_C(1000000000)

static kvp_reuse_hazard hazard;
static const uint64_t secret[2] = {0x0123456789ABCDEF, 0x9E3779B97F4A7C15};
static uint64_t next_hash;

static void begin(void) {
    KVP_EXPECT(kvp_reuse_hazard_init(&hazard, secret) == KVP_OK);
    kvp_reuse_hazard_clear(&hazard);
    next_hash = 1;
}

static void end(void) {
    KVP_EXPECT_SOUND(kvp_reuse_hazard_check(&hazard));
    kvp_reuse_hazard_destroy(&hazard);
}

/* One block a second of the class is released for `seconds`; each is asked for `after` seconds later, or never. */
static void feed(uint32_t class, int64_t seconds, int64_t after) {
    uint64_t first = next_hash;
    for (int64_t second = 0; second < seconds; second++) {
        if (after > 0 && second >= after)
            kvp_reuse_hazard_reuse(&hazard, first + (uint64_t)(second - after), second * SECOND);
        kvp_reuse_hazard_watch(&hazard, next_hash++, class, second * SECOND);
        if (second % 64 == 63)
            kvp_reuse_hazard_refresh(&hazard, SECOND, second * SECOND);
    }
}

KVP_TEST(ages_are_half_octaves) {
    KVP_EXPECT(kvp_hazard_age(-5) == 0 && kvp_hazard_age(0) == 0 && kvp_hazard_age((1 << 20) - 1) == 0);
    KVP_EXPECT(kvp_hazard_age(1 << 20) == 1 && kvp_hazard_age((3 << 19) - 1) == 1 && kvp_hazard_age(3 << 19) == 2);
    KVP_EXPECT(kvp_hazard_age((1 << 21) - 1) == 2 && kvp_hazard_age(1 << 21) == 3);
    KVP_EXPECT(kvp_hazard_age(INT64_MAX) == KVP_HAZARD_AGES - 1);
    uint32_t before = 0;
    for (int64_t age = 1; age < INT64_MAX / 3; age += age / 7 + 1) {
        KVP_EXPECT(kvp_hazard_age(age) >= before);
        before = kvp_hazard_age(age);
    }
}

KVP_TEST(nothing_is_worth_anything_before_something_was_seen) {
    begin();
    KVP_EXPECT(kvp_reuse_hazard_worth(&hazard, 3, 5 * SECOND) == 0);
    kvp_reuse_hazard_refresh(&hazard, SECOND, 10 * SECOND);
    KVP_EXPECT(kvp_reuse_hazard_worth(&hazard, 3, 5 * SECOND) == 0);
    end();
}

KVP_TEST(worth_is_reuses_for_each_second_of_room) {
    begin();
    feed(0, 4000, 60);
    feed(1, 4000, 0); /* never asked for */
    float at_once = kvp_reuse_hazard_worth(&hazard, 0, 0);
    /* Every block comes back after 60 s: to keep it from the beginning costs 60 s a hit, from its 40th second 20. */
    KVP_EXPECT(at_once > 0.010f && at_once < 0.024f);
    float later = kvp_reuse_hazard_worth(&hazard, 0, 45 * SECOND);
    KVP_EXPECT(later > 0.025f && later < 0.12f);
    KVP_EXPECT(kvp_reuse_hazard_worth(&hazard, 0, 300 * SECOND) < at_once / 4);
    KVP_EXPECT(kvp_reuse_hazard_worth(&hazard, 1, 0) < at_once / 8);
    end();
}

KVP_TEST(a_class_that_was_not_seen_is_worth_what_all_are) {
    begin();
    feed(0, 1000, 30);
    KVP_EXPECT(kvp_reuse_hazard_worth(&hazard, 77, 0) == hazard.all.worth[0] && hazard.all.worth[0] > 0);
    end();
}

KVP_TEST(exposure_is_all_the_time_that_blocks_were_watched) {
    begin();
    double expected = 0, sum = 0;
    int64_t ends[600];
    for (int64_t i = 0; i < 600; i++) {
        ends[i] = i % 3 == 0 ? (i + 7 + i % 50) * SECOND : 2000 * SECOND;
        kvp_reuse_hazard_watch(&hazard, 1 + (uint64_t)i, (uint32_t)i % 5, i * SECOND);
        for (int64_t j = 0; j <= i; j++)
            if (ends[j] == i * SECOND)
                kvp_reuse_hazard_reuse(&hazard, 1 + (uint64_t)j, i * SECOND);
    }
    for (int64_t i = 0; i < 600; i++)
        expected += (double)((ends[i] < 600 * SECOND ? ends[i] : 900 * SECOND) - i * SECOND) * 1e-9;
    KVP_EXPECT_SOUND(kvp_reuse_hazard_check(&hazard));
    /* Refreshes weaken what is known: there is only one here, which weakens after it has counted. */
    kvp_reuse_hazard_refresh(&hazard, SECOND, 900 * SECOND);
    for (uint32_t age = 0; age < KVP_HAZARD_AGES; age++)
        sum += (double)hazard.all.exposure[age];
    KVP_EXPECT(sum > 0.985 * expected && sum < 1.0 * expected);
    end();
}

KVP_TEST(the_ring_forgets_the_oldest_and_counts_what_it_lasted) {
    begin();
    for (uint64_t i = 0; i < 3 * KVP_OBSERVATIONS + 100; i++) {
        kvp_reuse_hazard_watch(&hazard, 1 + i, (uint32_t)(i % KVP_HAZARD_CLASSES), (int64_t)i * SECOND / 100);
        if (i % 7 == 3)
            kvp_reuse_hazard_reuse(&hazard, i - 1, (int64_t)i * SECOND / 100);
        if (i % 1000 == 0) {
            kvp_reuse_hazard_refresh(&hazard, SECOND, (int64_t)i * SECOND / 100);
            if (i % 16000 == 0)
                KVP_EXPECT_SOUND(kvp_reuse_hazard_check(&hazard));
        }
    }
    KVP_EXPECT(hazard.ring.newest - hazard.ring.oldest <= KVP_OBSERVATIONS);
    end();
}

KVP_TEST(time_that_goes_back_does_no_harm) {
    begin();
    kvp_reuse_hazard_watch(&hazard, 1, 0, 100 * SECOND);
    kvp_reuse_hazard_watch(&hazard, 2, 0, 50 * SECOND);
    kvp_reuse_hazard_refresh(&hazard, SECOND, 70 * SECOND);
    kvp_reuse_hazard_reuse(&hazard, 1, 60 * SECOND);
    kvp_reuse_hazard_refresh(&hazard, SECOND, 40 * SECOND);
    end();
}

int main(void) {
    KVP_RUN(ages_are_half_octaves);
    KVP_RUN(nothing_is_worth_anything_before_something_was_seen);
    KVP_RUN(worth_is_reuses_for_each_second_of_room);
    KVP_RUN(a_class_that_was_not_seen_is_worth_what_all_are);
    KVP_RUN(exposure_is_all_the_time_that_blocks_were_watched);
    KVP_RUN(the_ring_forgets_the_oldest_and_counts_what_it_lasted);
    KVP_RUN(time_that_goes_back_does_no_harm);
    return 0;
}
