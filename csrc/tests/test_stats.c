#include "ctest.h"
#include "kvp/stats.h"

KVP_TEST(new_counters_are_sound) {
    kvp_stats stats = {0};
    KVP_EXPECT_SOUND(kvp_stats_check(&stats));
}

KVP_TEST(counters_may_be_equal_at_their_bounds) {
    kvp_stats stats = {.allocations = 7,
                       .allocations_from_empty = 4,
                       .evictions = 3,
                       .registrations = 5,
                       .duplicates = 5,
                       .match_hashes_requested = 6,
                       .match_blocks_returned = 6,
                       .scan_hashes_requested = 2,
                       .scan_blocks_returned = 2};
    KVP_EXPECT_SOUND(kvp_stats_check(&stats));
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_stats stats = {0};
    KVP_EXPECT_BROKEN_BY(stats.allocations, 1, kvp_stats_check(&stats),
                         "allocations are not those from empty blocks and those by eviction");
    KVP_EXPECT_BROKEN_BY(stats.evictions, 1, kvp_stats_check(&stats),
                         "allocations are not those from empty blocks and those by eviction");
    KVP_EXPECT_BROKEN_BY(stats.match_blocks_returned, 1, kvp_stats_check(&stats), "more blocks matched than asked for");
    KVP_EXPECT_BROKEN_BY(stats.scan_blocks_returned, 1, kvp_stats_check(&stats), "more blocks scanned than asked for");
    KVP_EXPECT_BROKEN_BY(stats.duplicates, 1, kvp_stats_check(&stats), "more duplicates than registrations");
    KVP_EXPECT_BROKEN_BY(stats.evictions_for_pressure, 1, kvp_stats_check(&stats),
                         "more evictions for pressure than ahead");
    KVP_EXPECT_BROKEN_BY(stats.corruptions, 1, kvp_stats_check(&stats),
                         "a finalizer met a reference count that contradicts it");
}

int main(void) {
    KVP_RUN(new_counters_are_sound);
    KVP_RUN(counters_may_be_equal_at_their_bounds);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
