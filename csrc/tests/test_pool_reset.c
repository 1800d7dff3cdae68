/* Reset of all, and of named blocks with what continues them. */
#include "pool_fixture.h"

static kvp_identity gone[MAX_BLOCKS];
static uint32_t num_gone;
static uint8_t outcomes[8];

static kvp_status reset_blocks_n(const uint64_t *hashes, uint32_t n, uint32_t max) {
    kvp_status status = kvp_pool_reset_blocks(&pool, hashes, n, outcomes, gone, max, &num_gone);
    expect_sound();
    return status;
}

#define RESET_BLOCKS(...) KVP_EXPECT(reset_blocks_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__), MAX_BLOCKS) == KVP_OK)

static void expect_gone_n(const uint64_t *hashes, uint32_t n) {
    KVP_EXPECT(num_gone == n);
    for (uint32_t i = 0; i < n; i++) {
        KVP_EXPECT(gone[i].hash == hashes[i] && !is_known(hashes[i]));
        KVP_EXPECT(i == 0 || gone[i - 1].id < gone[i].id);
    }
}

#define EXPECT_GONE(...) expect_gone_n(HASHES(__VA_ARGS__), COUNT(__VA_ARGS__))

KVP_TEST(a_reset_pool_is_as_new_but_for_its_generations) {
    begin(8);
    release(FILL(1, 2));
    release(FILL(3));
    release(MATCH(1, 2, 9));
    KVP_EXPECT(kvp_pool_reset(&pool, gone, MAX_BLOCKS, &num_gone) == KVP_OK);
    expect_sound();
    EXPECT_GONE(1, 2, 3);
    expect_counts(8, 0, 0, 0);
    KVP_EXPECT(pool.stats.resets == 3 && pool.table.rows[0].generation == 1);
    kvp_lease *all = allocate(8);
    for (int32_t i = 0; i < 8; i++)
        KVP_EXPECT(all->ids[i] == i);
    release(all);
    release(FILL(9)); /* the hint is forgotten */
    KVP_EXPECT(pool.table.rows[0].lineage == KVP_ROOT);
    end();
}

KVP_TEST(a_reset_is_one_event) {
    begin(8);
    release(FILL(1, 2));
    KVP_EXPECT(kvp_pool_reset(&pool, gone, MAX_BLOCKS, &num_gone) == KVP_OK);
    kvp_event events[4];
    uint64_t first;
    KVP_EXPECT(kvp_event_ring_read(&pool.events, 2, events, NULL, 4, &first) == 1 && first == 2);
    KVP_EXPECT(events[0].kind == KVP_EVENT_CLEARED && events[0].reason == KVP_REASON_RESET);
    KVP_EXPECT(events[0].id == KVP_NO_BLOCK);
    end();
}

KVP_TEST(a_reset_while_a_block_is_held_changes_nothing) {
    begin(8);
    release(FILL(1));
    kvp_lease *held = FILL(2);
    snapshot before = take_snapshot();
    KVP_EXPECT(kvp_pool_reset(&pool, gone, MAX_BLOCKS, &num_gone) == KVP_IN_USE);
    expect_unchanged(&before);
    release(held);
    held = allocate(1);
    before = take_snapshot();
    KVP_EXPECT(kvp_pool_reset(&pool, gone, MAX_BLOCKS, &num_gone) == KVP_IN_USE);
    expect_unchanged(&before);
    release(held);
    end();
}

KVP_TEST(a_reset_with_too_short_a_report_changes_nothing) {
    begin(8);
    release(FILL(1, 2, 3));
    snapshot before = take_snapshot();
    KVP_EXPECT(kvp_pool_reset(&pool, gone, 2, &num_gone) == KVP_RETRY && num_gone == 3);
    expect_unchanged(&before);
    KVP_EXPECT(reset_blocks_n(HASHES(1), 1, 2) == KVP_RETRY && num_gone == 3);
    expect_unchanged(&before);
    KVP_EXPECT(reset_blocks_n(HASHES(3), 1, 1) == KVP_OK && num_gone == 1); /* just long enough */
    KVP_EXPECT(kvp_pool_reset(&pool, gone, 2, &num_gone) == KVP_OK && num_gone == 2);
    end();
}

KVP_TEST(a_reset_forgets_parking_levels_and_expiries) {
    begin(4);
    kvp_registration low = of(HASHES(1)), high = below(HASHES(2), 1);
    low.level = 1;
    high.level = 90;
    high.expiry = 1000;
    release(register_with(allocate(1), low));
    release(register_with(allocate(1), high));
    release(FILL(3));
    release(allocate(2));
    KVP_EXPECT(kvp_block_is_parked(&pool.table.rows[0]));
    KVP_EXPECT(kvp_pool_reset(&pool, gone, MAX_BLOCKS, &num_gone) == KVP_OK);
    expect_sound();
    KVP_EXPECT(pool.expiries.count == 0);
    release(FILL(1));
    EXPECT_ORDER(1);
    end();
}

KVP_TEST(a_reset_block_takes_what_continues_it_along) {
    begin(8);
    release(FILL(1, 2, 3));
    release(FILL_BELOW(2, 4));
    release(FILL(5));
    RESET_BLOCKS(2);
    KVP_EXPECT(outcomes[0] == KVP_RESET_DONE);
    EXPECT_GONE(2, 3, 4);
    KVP_EXPECT(is_known(1) && is_known(5) && pool.stats.resets == 3);
    kvp_lease *next = allocate(3); /* pushed in ascending order of id */
    KVP_EXPECT(next->ids[0] == 3 && next->ids[1] == 2 && next->ids[2] == 1);
    release(next);
    end();
}

KVP_TEST(a_child_with_a_lower_id_than_its_parent_goes_too) {
    begin(4);
    kvp_lease *low = allocate(1);
    release(FILL(1));
    release(register_with(low, below(HASHES(2), 1)));
    KVP_EXPECT(pool.table.rows[0].hash == 2);
    RESET_BLOCKS(1);
    EXPECT_GONE(2, 1);
    expect_counts(4, 0, 0, 0);
    end();
}

KVP_TEST(each_hash_gets_its_own_outcome) {
    begin(8);
    release(FILL(1));
    kvp_lease *held = FILL(2, 3);
    release(FILL(4, 5));
    RESET_BLOCKS(9, 2, 1, 3, 1, 4, 5);
    static const uint8_t expected[] = {KVP_RESET_NOT_FOUND, KVP_RESET_HELD, KVP_RESET_DONE, KVP_RESET_HELD,
                                       KVP_RESET_DONE,      KVP_RESET_DONE, KVP_RESET_DONE};
    KVP_EXPECT(memcmp(outcomes, expected, sizeof expected) == 0);
    EXPECT_GONE(1, 4, 5);
    KVP_EXPECT(is_known(2) && is_known(3));
    release(held);
    end();
}

KVP_TEST(the_cached_descendants_of_a_held_block_stay) {
    begin(8);
    kvp_lease *held = FILL(1);
    release(FILL_BELOW(1, 2));
    RESET_BLOCKS(1);
    KVP_EXPECT(outcomes[0] == KVP_RESET_HELD && num_gone == 0 && is_known(2));
    RESET_BLOCKS(2);
    EXPECT_GONE(2);
    release(held);
    end();
}

KVP_TEST(a_reset_of_no_known_hash_changes_nothing) {
    begin(8);
    release(FILL(1, 2));
    snapshot before = take_snapshot();
    KVP_EXPECT(reset_blocks_n(HASHES(8, 9), 2, 0) == KVP_OK && num_gone == 0);
    KVP_EXPECT(reset_blocks_n(NULL, 0, 0) == KVP_OK && num_gone == 0);
    expect_unchanged(&before);
    end();
}

KVP_TEST(a_parent_freed_of_its_last_child_is_unparked) {
    begin(4);
    kvp_registration low = of(HASHES(1)), high = below(HASHES(2), 1);
    low.level = 1;
    high.level = 90;
    release(register_with(allocate(1), low));
    release(register_with(allocate(1), high));
    release(FILL(3));
    release(allocate(2));
    EXPECT_EVICTED(3);
    KVP_EXPECT(kvp_block_is_parked(&pool.table.rows[0]));
    RESET_BLOCKS(2);
    EXPECT_GONE(2);
    KVP_EXPECT(!kvp_block_is_parked(&pool.table.rows[0]));
    EXPECT_ORDER(1);
    end();
}

KVP_TEST(a_parked_block_can_be_reset_by_name) {
    begin(4);
    kvp_registration low = of(HASHES(1)), high = below(HASHES(2), 1);
    low.level = 1;
    high.level = 90;
    release(register_with(allocate(1), low));
    release(register_with(allocate(1), high));
    release(FILL(3));
    release(allocate(2));
    KVP_EXPECT(kvp_block_is_parked(&pool.table.rows[0]));
    RESET_BLOCKS(1);
    EXPECT_GONE(1, 2);
    expect_counts(4, 0, 0, 0);
    end();
}

KVP_TEST(all_copies_of_a_hash_are_reset_unless_one_is_held) {
    begin_with(8, true);
    release(FILL(1));
    kvp_lease *held = FILL(1);
    RESET_BLOCKS(1);
    KVP_EXPECT(outcomes[0] == KVP_RESET_HELD && num_gone == 0);
    release(held);
    RESET_BLOCKS(1);
    KVP_EXPECT(num_gone == 2 && gone[0].hash == 1 && gone[1].hash == 1 && gone[0].id == 0 && gone[1].id == 1);
    KVP_EXPECT(!is_known(1) && pool.events.next == 2); /* stored once, removed once */
    end();
}

/* 3 has a copy below 1 and one below 2: only the one whose prefix goes is reset. */
KVP_TEST(a_copy_below_another_parent_is_spared) {
    begin_with(8, true);
    release(FILL(1));
    release(FILL(2));
    release(FILL_BELOW(1, 3));
    kvp_lease *other = FILL_BELOW(2, 3);
    RESET_BLOCKS(1);
    KVP_EXPECT(num_gone == 2 && gone[0].hash == 1 && gone[1].hash == 3 && gone[1].id == 2);
    kvp_lease *hit = MATCH(3);
    KVP_EXPECT(hit->held == 1 && hit->ids[0] == other->ids[0]);
    release(hit);
    release(other);
    end();
}

int main(void) {
    KVP_RUN(a_reset_pool_is_as_new_but_for_its_generations);
    KVP_RUN(a_reset_is_one_event);
    KVP_RUN(a_reset_while_a_block_is_held_changes_nothing);
    KVP_RUN(a_reset_with_too_short_a_report_changes_nothing);
    KVP_RUN(a_reset_forgets_parking_levels_and_expiries);
    KVP_RUN(a_reset_block_takes_what_continues_it_along);
    KVP_RUN(a_child_with_a_lower_id_than_its_parent_goes_too);
    KVP_RUN(each_hash_gets_its_own_outcome);
    KVP_RUN(the_cached_descendants_of_a_held_block_stay);
    KVP_RUN(a_reset_of_no_known_hash_changes_nothing);
    KVP_RUN(a_parent_freed_of_its_last_child_is_unparked);
    KVP_RUN(a_parked_block_can_be_reset_by_name);
    KVP_RUN(all_copies_of_a_hash_are_reset_unless_one_is_held);
    KVP_RUN(a_copy_below_another_parent_is_spared);
    return 0;
}
