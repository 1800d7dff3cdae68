#include "ctest.h"
#include "kvp/reuse_sampler.h"

static kvp_reuse_sampler sampler;
static const uint64_t secret[2] = {0x0123456789ABCDEF, 0x9E3779B97F4A7C15};

static void begin(double rate, int32_t num_blocks) {
    KVP_EXPECT(kvp_reuse_sampler_init(&sampler, rate, num_blocks, secret) == KVP_OK);
}

static void end(void) {
    KVP_EXPECT_SOUND(kvp_reuse_sampler_check(&sampler));
    kvp_reuse_sampler_destroy(&sampler);
}

static void request(uint64_t first, uint32_t n, uint32_t found, int64_t now) {
    uint64_t hashes[64];
    for (uint32_t i = 0; i < n; i++)
        hashes[i] = first + i;
    kvp_reuse_sampler_request(&sampler, hashes, n, found, now);
    KVP_EXPECT_SOUND(kvp_reuse_sampler_check(&sampler));
}

static void store(uint64_t first, uint32_t n, int64_t now) {
    for (uint32_t i = 0; i < n; i++)
        kvp_reuse_sampler_store(&sampler, first + i, now);
    KVP_EXPECT_SOUND(kvp_reuse_sampler_check(&sampler));
}

static uint64_t hits_within(uint32_t bins) {
    uint64_t sum = 0;
    for (uint32_t bin = 0; bin < bins; bin++)
        sum += sampler.stats.hits[bin];
    return sum;
}

KVP_TEST(the_first_block_of_a_request_is_its_newest) {
    begin(1, 64); /* one bin for each block */
    request(0, 4, 0, 0);
    KVP_EXPECT(hits_within(KVP_REUSE_BINS) == 0 && sampler.count == 4);
    request(0, 4, 0, 0);
    KVP_EXPECT(sampler.stats.sampled == 8 && sampler.stats.requested == 8);
    for (uint32_t bin = 0; bin < 4; bin++)
        KVP_EXPECT(sampler.stats.hits[bin] == 1);
    request(100, 10, 0, 0);
    request(0, 1, 0, 0);
    KVP_EXPECT(sampler.stats.hits[10] == 1 && hits_within(KVP_REUSE_BINS) == 5);
    end();
}

KVP_TEST(a_long_request_is_noticed_to_its_first_block) {
    static uint64_t hashes[500];
    begin(1, 256);
    for (uint32_t i = 0; i < 500; i++)
        hashes[i] = 1000 + i;
    for (int again = 0; again < 2; again++)
        kvp_reuse_sampler_request(&sampler, hashes, 500, 0, 0);
    KVP_EXPECT(sampler.count == 500 && hits_within(KVP_REUSE_BINS) == 500);
    for (uint32_t i = 0; i < 500; i++)
        KVP_EXPECT(sampler.owners[sampler.next - 1 - i] != 0);
    KVP_EXPECT(sampler.entries[sampler.owners[sampler.next - 1] - 1].hash == 1000);
    KVP_EXPECT(sampler.entries[sampler.owners[sampler.next - 500] - 1].hash == 1499);
    end();
}

KVP_TEST(what_was_asked_for_long_ago_is_forgotten) {
    begin(1, 2); /* follows 8 */
    request(0, 8, 0, 0);
    request(8, 3, 0, 0);
    KVP_EXPECT(sampler.count == 8);
    request(7, 1, 0, 0); /* the oldest three were 5, 6 and 7 */
    KVP_EXPECT(hits_within(KVP_REUSE_BINS) == 0);
    request(0, 1, 0, 0);
    KVP_EXPECT(hits_within(KVP_REUSE_BINS) == 1 && sampler.stats.hits[4 * KVP_REUSE_BINS / 8] == 1);
    end();
}

KVP_TEST(a_life_is_told_when_it_ends) {
    begin(1, 4);
    request(5, 1, 0, 1000);
    store(5, 1, 2000);
    request(5, 1, 1, 5000);
    request(5, 1, 1, 6000);
    kvp_reuse_sampler_remove(&sampler, 5, true, 10000);
    const kvp_reuse_stats *stats = &sampler.stats;
    KVP_EXPECT(stats->evicted == 1 && stats->lifetimes[kvp_age_class(8000)] == 1);
    KVP_EXPECT(stats->idle_ages[kvp_age_class(4000)] == 1 && stats->reuse_counts[2] == 1);
    request(5, 1, 0, 17000);
    KVP_EXPECT(stats->absences[kvp_age_class(7000)] == 1);
    request(5, 1, 0, 18000); /* still not there: it was missed once */
    KVP_EXPECT(stats->absences[kvp_age_class(8000)] == 0);
    end();
}

KVP_TEST(what_is_taken_back_was_not_evicted) {
    begin(1, 4);
    store(5, 1, 0);
    kvp_reuse_sampler_remove(&sampler, 5, false, 5000);
    kvp_reuse_sampler_remove(&sampler, 5, true, 6000); /* it is not there */
    kvp_reuse_sampler_remove(&sampler, 9, true, 6000); /* nor was this ever */
    KVP_EXPECT(sampler.stats.evicted == 0);
    end();
}

KVP_TEST(what_is_computed_again_unasked_is_new) {
    begin(1, 4);
    store(1, 1, 0);
    kvp_reuse_sampler_remove(&sampler, 1, true, 1);
    store(2, 3, 2);
    store(1, 1, 3);
    KVP_EXPECT(sampler.entries[0].hash == 1 && kvp_reuse_sampler_depth(&sampler, 0) == 0);
    request(1, 1, 1, 4);
    for (uint32_t class = 0; class < KVP_AGE_CLASSES; class++)
        KVP_EXPECT(sampler.stats.absences[class] == 0);
    end();
}

KVP_TEST(a_copy_of_what_is_there_begins_no_life) {
    begin(1, 4);
    store(1, 1, 0);
    store(1, 1, 5000);
    kvp_reuse_sampler_remove(&sampler, 1, true, 9000);
    KVP_EXPECT(sampler.stats.lifetimes[kvp_age_class(9000)] == 1);
    end();
}

KVP_TEST(a_share_of_the_hashes_is_followed) {
    begin(0.125, 4096);
    for (uint64_t first = 0; first < 64000; first += 64)
        request(first * 0x2545F4914F6CDD1D, 64, 0, 0);
    KVP_EXPECT(sampler.stats.requested == 64000);
    KVP_EXPECT(sampler.stats.sampled > 7000 && sampler.stats.sampled < 9000);
    end();
}

KVP_TEST(all_is_forgotten_but_the_counts) {
    begin(1, 4);
    request(0, 5, 0, 0);
    request(0, 5, 0, 0);
    kvp_reuse_sampler_clear(&sampler);
    KVP_EXPECT(sampler.count == 0 && sampler.stats.sampled == 10 && hits_within(KVP_REUSE_BINS) == 5);
    request(0, 5, 0, 0);
    KVP_EXPECT(sampler.count == 5 && hits_within(KVP_REUSE_BINS) == 5);
    end();
}

KVP_TEST(ages_fall_into_classes) {
    KVP_EXPECT(kvp_age_class(-5) == 0 && kvp_age_class(0) == 0 && kvp_age_class(1023) == 0);
    KVP_EXPECT(kvp_age_class(1024) == 1 && kvp_age_class(1279) == 1 && kvp_age_class(1280) == 2);
    KVP_EXPECT(kvp_age_class(2047) == 4 && kvp_age_class(2048) == 5);
    KVP_EXPECT(kvp_age_class(INT64_MAX) == KVP_AGE_CLASSES - 1);
}

/* Beside an array of the hashes in the order in which they were asked for. */
static void history(unsigned long long *state) {
    enum { FOLLOWED = 16 };
    uint64_t order[FOLLOWED + 1];
    uint32_t known = 0;
    uint64_t hits[KVP_REUSE_BINS] = {0};
    begin(1, FOLLOWED / KVP_REUSE_HORIZON);
    for (int step = 0; step < 600; step++) {
        uint64_t first = kvp_random(state) % 30;
        uint32_t n = 1 + (uint32_t)(kvp_random(state) % 5);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t at = 0; at < known; at++)
                if (order[at] == first + i)
                    hits[at * KVP_REUSE_BINS / FOLLOWED]++;
        for (uint32_t i = n; i-- > 0;) {
            uint32_t at = 0;
            while (at < known && order[at] != first + i)
                at++;
            if (at == known && known < FOLLOWED)
                known++;
            else if (at == known)
                at--;
            memmove(order + 1, order, at * sizeof *order);
            order[0] = first + i;
        }
        request(first, n, 0, step);
        KVP_EXPECT(memcmp(hits, sampler.stats.hits, sizeof hits) == 0 && sampler.count == known);
    }
    end();
}

KVP_TEST(distances_are_those_of_a_list) {
    kvp_for_seeds(20, history);
}

KVP_TEST(what_is_broken_is_named) {
    begin(1, 4);
    request(0, 8, 0, 0);
    request(3, 2, 0, 0);
    store(1, 1, 0);
    kvp_reuse_sampler_remove(&sampler, 1, true, 5);
    uint32_t position = sampler.entries[0].position;
    KVP_EXPECT_BROKEN_BY(sampler.count, 17u, kvp_reuse_sampler_check(&sampler),
                         "more blocks are followed than there is room for");
    KVP_EXPECT_BROKEN_BY(sampler.next, position, kvp_reuse_sampler_check(&sampler), "a position is out of its range");
    KVP_EXPECT_BROKEN_BY(sampler.oldest, position + 1, kvp_reuse_sampler_check(&sampler),
                         "a position is out of its range");
    KVP_EXPECT_BROKEN_BY(sampler.fresh, 0u, kvp_reuse_sampler_check(&sampler),
                         "a block that is followed does not know its position");
    KVP_EXPECT_BROKEN_BY(sampler.entries[0].position, position + 1, kvp_reuse_sampler_check(&sampler),
                         "a block that is followed does not know its position");
    KVP_EXPECT_BROKEN_BY(sampler.entries[0].hash, 77ull, kvp_reuse_sampler_check(&sampler),
                         "a block that is followed is not found");
    KVP_EXPECT_BROKEN_BY(sampler.limit, 0ull, kvp_reuse_sampler_check(&sampler), "a block is followed by mistake");
    KVP_EXPECT_BROKEN_BY(sampler.tree[1], 7u, kvp_reuse_sampler_check(&sampler), "positions are miscounted");
    KVP_EXPECT_BROKEN_BY(sampler.count, 7u, kvp_reuse_sampler_check(&sampler),
                         "blocks that are followed are miscounted");
    KVP_EXPECT_BROKEN_BY(sampler.stats.sampled, 1ull, kvp_reuse_sampler_check(&sampler),
                         "more blocks were asked for again than were asked for");
    KVP_EXPECT_BROKEN_BY(sampler.stats.sampled, sampler.stats.requested + 1, kvp_reuse_sampler_check(&sampler),
                         "more blocks were asked for again than were asked for");
    KVP_EXPECT_BROKEN_BY(sampler.stats.found, sampler.stats.requested + 1, kvp_reuse_sampler_check(&sampler),
                         "more blocks were asked for again than were asked for");
    KVP_EXPECT_BROKEN_BY(sampler.stats.idle_ages[3], sampler.stats.idle_ages[3] + 1, kvp_reuse_sampler_check(&sampler),
                         "evictions are miscounted");
    KVP_EXPECT_BROKEN_BY(sampler.stats.reuse_counts[3], sampler.stats.reuse_counts[3] + 1,
                         kvp_reuse_sampler_check(&sampler), "evictions are miscounted");
    KVP_EXPECT_BROKEN_BY(sampler.stats.evicted, 3ull, kvp_reuse_sampler_check(&sampler), "evictions are miscounted");
    end();
}

int main(void) {
    KVP_RUN(the_first_block_of_a_request_is_its_newest);
    KVP_RUN(a_long_request_is_noticed_to_its_first_block);
    KVP_RUN(what_was_asked_for_long_ago_is_forgotten);
    KVP_RUN(a_life_is_told_when_it_ends);
    KVP_RUN(what_is_taken_back_was_not_evicted);
    KVP_RUN(what_is_computed_again_unasked_is_new);
    KVP_RUN(a_copy_of_what_is_there_begins_no_life);
    KVP_RUN(a_share_of_the_hashes_is_followed);
    KVP_RUN(all_is_forgotten_but_the_counts);
    KVP_RUN(ages_fall_into_classes);
    KVP_RUN(distances_are_those_of_a_list);
    KVP_RUN(what_is_broken_is_named);
    return 0;
}
