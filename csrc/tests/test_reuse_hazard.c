#include "../src/policies/reuse_hazard.h"
#include "ctest.h"

#define SECOND INT64_C(1000000000)

#define DIGEST UINT64_C(0xb28e4a3d8b1cea04) /* of what_is_learned_depends_on_the_calls_alone */

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

/* By an observation that ends, or by its cohort. */
KVP_TEST(exposure_is_told_apart_by_age_and_class) {
    begin();
    for (int64_t i = 0; i < 300; i++)
        kvp_reuse_hazard_watch(&hazard, 1 + (uint64_t)i, (uint32_t)i % 3, 0);
    kvp_reuse_hazard_reuse(&hazard, 1, 4 * SECOND);
    kvp_reuse_hazard_reuse(&hazard, 2, 16 * SECOND);
    kvp_reuse_hazard_refresh(&hazard, SECOND, 64 * SECOND);
    static const int64_t lasted[3][2] = {{4, 99}, {16, 99}, {64, 100}};
    for (uint32_t class = 0; class < 3; class++) {
        double sum = 0, hits = 0;
        for (uint32_t age = 0; age < KVP_HAZARD_AGES; age++) {
            sum += (double)hazard.classes[class].exposure[age];
            hits += (double)hazard.classes[class].hits[age];
        }
        double expected = 0.992 * (double)(class < 2 ? lasted[class][0] + 64 * 99 : 64 * 100);
        KVP_EXPECT(sum > expected * 0.9999 && sum < expected * 1.0001);
        KVP_EXPECT(class < 2 ? hits > 0.991 && hits < 0.993 : hits == 0);
    }
    KVP_EXPECT(hazard.classes[0].hits[kvp_hazard_age(4 * SECOND)] > 0.99f);
    KVP_EXPECT(hazard.classes[1].hits[kvp_hazard_age(16 * SECOND)] > 0.99f);
    KVP_EXPECT(hazard.classes[0].exposure[kvp_hazard_age(64 * SECOND) + 1] == 0);
    KVP_EXPECT(!hazard.classes[3].is_used && hazard.seen_all > 297 && hazard.seen_all < 298);
    end();
}

/* Of what was learned from a fixed history, every bit: it depends on the calls alone, not on machine and compiler. */
KVP_TEST(what_is_learned_depends_on_the_calls_alone) {
    uint64_t digest = 0;
    for (int round = 0; round < 2; round++) {
        unsigned long long state = 5;
        int64_t time = round * 123 * SECOND;
        digest = 0;
        if (round == 0)
            begin();
        else
            kvp_reuse_hazard_clear(&hazard);
        for (uint64_t i = 1; i < 120000; i++) {
            uint32_t class = (uint32_t)kvp_random_below(&state, 6);
            time += kvp_random_below(&state, 20000) * INT64_C(10000);
            kvp_reuse_hazard_watch(&hazard, i, class * class, time);
            if (i > 2000 && kvp_random_below(&state, 3) == 0)
                kvp_reuse_hazard_reuse(&hazard, i - (uint64_t)kvp_random_below(&state, 40 << class), time);
            if (i % 500 == 0) {
                kvp_reuse_hazard_refresh(&hazard, kvp_random_below(&state, 3000) * INT64_C(1000000), time);
                for (uint32_t c = 0; c < KVP_HAZARD_CLASSES; c++)
                    for (uint32_t age = 0; age < KVP_HAZARD_AGES; age++) {
                        float worth = c < 27 ? hazard.classes[c].worth[age] : hazard.all.worth[age];
                        uint32_t bits;
                        memcpy(&bits, &worth, sizeof bits);
                        digest = (digest ^ bits) * 0x9E3779B97F4A7C15u;
                        digest ^= digest >> 29;
                    }
            }
        }
        KVP_EXPECT_SOUND(kvp_reuse_hazard_check(&hazard));
        if (digest != DIGEST)
            fprintf(stderr, "%#018llx\n", (unsigned long long)digest);
        KVP_EXPECT(digest == DIGEST);
    }
    end();
}

KVP_TEST(the_check_names_each_broken_invariant) {
#define BROKEN(place, value, sentence) KVP_EXPECT_BROKEN_BY(place, value, kvp_reuse_hazard_check(&hazard), sentence)
    begin();
    for (uint64_t i = 1; i <= 600; i++)
        kvp_reuse_hazard_watch(&hazard, i, (uint32_t)i % 7, (int64_t)i);
    kvp_reuse_hazard_reuse(&hazard, 300, 700);
    BROKEN(hazard.ring.count, 598, "a ring of hashes is miscounted");
    BROKEN(hazard.cohorts[0].num_live, 254, "a cohort miscounts its observations");
    BROKEN(hazard.cohorts[1].live[2], 1, "a cohort miscounts its observations");
    BROKEN(hazard.cohorts[2].live[KVP_HAZARD_CLASSES - 1], 1, "a cohort miscounts its observations");
    BROKEN(hazard.classes[0].hits[0], -1, "a class was seen less than never");
    BROKEN(hazard.classes[KVP_HAZARD_CLASSES - 1].exposure[KVP_HAZARD_AGES - 1], -1,
           "a class was seen less than never");
    kvp_hash_ring_entry was = hazard.ring.entries[5];
    hazard.ring.entries[5].value = KVP_HAZARD_CLASSES;
    KVP_EXPECT_BROKEN(kvp_reuse_hazard_check(&hazard), "an observation is of no class");
    hazard.ring.entries[5] = was;
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
    KVP_RUN(exposure_is_told_apart_by_age_and_class);
    KVP_RUN(what_is_learned_depends_on_the_calls_alone);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
