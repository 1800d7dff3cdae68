#include "pool_fixture.h"

/* Ask for a block; if it is not there, it is made. It is given back at once. */
static void use(uint64_t hash) {
    kvp_lease *lease = MATCH(hash);
    if (lease->count == 0) {
        kvp_lease_unshare(lease);
        lease = FILL(hash);
    }
    release(lease);
}

#define USE(...)                                                                                                       \
    for (uint32_t i = 0; i < COUNT(__VA_ARGS__); i++)                                                                  \
    use(HASHES(__VA_ARGS__)[i])

KVP_TEST(fifo_goes_by_arrival) {
    begin_as(4, false, KVP_POLICY_FIFO);
    USE(1, 2, 3, 1, 1, 4, 2);
    EXPECT_ORDER(1, 2, 3, 4);
    end();
}

KVP_TEST(fifo_takes_a_block_that_was_held_at_its_turn_as_soon_as_it_comes_back) {
    begin_as(3, false, KVP_POLICY_FIFO);
    USE(1, 2, 3);
    kvp_lease *held = MATCH(1);
    USE(4);
    KVP_EXPECT(!is_known(2) && is_known(1));
    release(held);
    EXPECT_ORDER(1, 3, 4);
    end();
}

KVP_TEST(lfu_goes_by_hits_and_then_by_recency) {
    begin_as(5, false, KVP_POLICY_LFU);
    USE(1, 2, 3, 4, 5, 1, 1, 2, 4, 3);
    EXPECT_ORDER(5, 2, 4, 3, 1);
    end();
}

KVP_TEST(lfu_forgets_the_hits_of_what_it_evicts) {
    begin_as(2, false, KVP_POLICY_LFU);
    USE(1, 1, 1, 2);
    release(allocate(2));
    USE(1, 2, 2);
    EXPECT_ORDER(1, 2);
    end();
}

KVP_TEST(lfu_counts_no_further_than_63) {
    begin_as(2, false, KVP_POLICY_LFU);
    for (int i = 0; i < 100; i++)
        USE(1);
    for (int i = 0; i < 64; i++)
        USE(2);
    EXPECT_ORDER(1, 2);
    end();
}

KVP_TEST(slru_evicts_on_probation_first_and_protects_four_fifths) {
    begin_as(5, false, KVP_POLICY_SLRU);
    USE(1, 2, 3, 4, 5, 1, 2, 3);
    EXPECT_ORDER(4, 5, 1, 2, 3);
    USE(1, 2, 3, 4, 5, 1, 2, 3, 4, 5); /* of five that were hit, the oldest goes back on probation */
    EXPECT_ORDER(1, 2, 3, 4, 5);
    end();
}

KVP_TEST(sieve_spares_what_was_hit_once_and_goes_on_from_where_it_was) {
    begin_as(4, false, KVP_POLICY_SIEVE);
    USE(1, 2, 3, 4, 1, 3);
    USE(5); /* the hand passes 1, evicts 2 */
    KVP_EXPECT(is_known(1) && !is_known(2));
    USE(6); /* passes 3, evicts 4 */
    KVP_EXPECT(is_known(1) && is_known(3) && !is_known(4));
    EXPECT_ORDER(5, 6, 1, 3);
    end();
}

KVP_TEST(s3fifo_lets_only_what_was_hit_twice_into_the_main_queue) {
    begin_as(10, false, KVP_POLICY_S3FIFO);
    USE(1, 2, 3, 4, 1, 1, 2);
    release(allocate(8)); /* the small queue is more than a tenth: 1 moves on, 2 and 3 go */
    EXPECT_EVICTED(2, 3);
    USE(3); /* remembered: at once into the main queue */
    USE(5);
    KVP_EXPECT(pool.num_cached == 4);
    EXPECT_ORDER(4, 1, 3, 5);
    end();
}

KVP_TEST(arc_gives_the_kind_whose_ghosts_come_back_more_room) {
    begin_as(4, false, KVP_POLICY_ARC);
    USE(1, 2, 1, 2, 3, 4); /* 1 and 2 again, 3 and 4 once */
    USE(5);                /* the target of those asked for once is 0: 3 goes */
    KVP_EXPECT(!is_known(3));
    USE(3); /* a ghost of those: the target is 1; 4 goes, 3 is of the other kind now */
    KVP_EXPECT(!is_known(4) && is_known(1) && is_known(5));
    EXPECT_ORDER(1, 2, 3, 5);
    end();
}

KVP_TEST(multi_lru_goes_by_how_often_a_hash_was_asked_for_even_before_it_was_evicted) {
    begin_as(8, false, KVP_POLICY_MULTI_LRU);
    USE(1, 1, 1, 1); /* 4 times: the second list */
    USE(2, 3);
    EXPECT_ORDER(2, 3, 1);
    USE(1, 2, 3); /* 5, 2 and 2 times */
    EXPECT_ORDER(2, 3, 1);
    USE(2, 1, 3); /* 3, 6 and 3 times */
    EXPECT_ORDER(2, 1, 3);
    end();
}

/* Under every policy: held blocks, matches, duplicates, levels, times to live, resets; and everything checked after each
 * step. A parent that were evicted before its child would break the check of the table. */
static void run_history(kvp_policy_kind kind, bool keeps_duplicates, uint64_t seed) {
    begin_as(24, keeps_duplicates, kind);
    kvp_lease *held[12] = {0};
    uint64_t state = seed;
    for (int step = 0; step < 1500; step++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        uint32_t dice = (uint32_t)(state >> 33), n = 1 + dice % 5, place = (dice >> 4) % 12;
        uint64_t family = 1 + (dice >> 8) % 5, hashes[6];
        for (uint32_t i = 0; i < 6; i++) /* families of chains that part at their third block */
            hashes[i] = 1000 * family + (i < 2 ? i : 10 * (1 + (dice >> 12) % 4) + i);
        now += (dice >> 16) % 3 * 1000000;
        if (held[place]) {
            kvp_lease *lease = held[place];
            held[place] = NULL;
            KVP_EXPECT(kvp_pool_release_hinted(&pool, lease, (dice >> 20) % KVP_NUM_HINTS) == KVP_OK);
            kvp_lease_unshare(lease);
        } else if ((dice >> 18) % 16 == 0) {
            int32_t ids[6];
            (void)kvp_pool_touch(&pool, hashes, n, ids);
        } else if ((dice >> 18) % 64 == 1) {
            kvp_identity identities[MAX_BLOCKS];
            uint8_t outcomes[6];
            uint32_t count;
            KVP_EXPECT(kvp_pool_reset_blocks(&pool, hashes + 1, n, outcomes, identities, MAX_BLOCKS, &count) == KVP_OK);
        } else {
            kvp_lease *found = match_n(hashes, n), *fresh;
            uint32_t left = n - found->count;
            if (left == 0 || (int32_t)left > kvp_pool_available(&pool)) {
                held[place] = found;
                continue;
            }
            fresh = allocate(left);
            kvp_registration registration = of(hashes + found->count);
            registration.has_parent = found->count > 0;
            registration.parent = found->count > 0 ? hashes[found->count - 1] : 0;
            if ((dice >> 21) % 4 == 0)
                registration.level = (int)((dice >> 23) % 101);
            if ((dice >> 22) % 4 == 0)
                registration.expiry = now + 3000000;
            held[place] = register_with(fresh, registration);
            release(found);
        }
        expect_sound();
    }
    for (int i = 0; i < 12; i++)
        if (held[i])
            release(held[i]);
    kvp_identity identities[MAX_BLOCKS];
    uint32_t count;
    release(allocate((uint32_t)kvp_pool_available(&pool)));
    KVP_EXPECT(pool.num_cached == 0);
    KVP_EXPECT(kvp_pool_reset(&pool, identities, MAX_BLOCKS, &count) == KVP_OK && count == 0);
    end();
}

KVP_TEST(every_policy_keeps_a_pool_sound) {
    for (int kind = KVP_POLICY_LRU; kind < KVP_NUM_POLICIES; kind++)
        for (uint64_t seed = 1; seed <= 6; seed++)
            run_history((kvp_policy_kind)kind, seed % 2, seed);
}

int main(void) {
    KVP_RUN(fifo_goes_by_arrival);
    KVP_RUN(fifo_takes_a_block_that_was_held_at_its_turn_as_soon_as_it_comes_back);
    KVP_RUN(lfu_goes_by_hits_and_then_by_recency);
    KVP_RUN(lfu_forgets_the_hits_of_what_it_evicts);
    KVP_RUN(lfu_counts_no_further_than_63);
    KVP_RUN(slru_evicts_on_probation_first_and_protects_four_fifths);
    KVP_RUN(sieve_spares_what_was_hit_once_and_goes_on_from_where_it_was);
    KVP_RUN(s3fifo_lets_only_what_was_hit_twice_into_the_main_queue);
    KVP_RUN(arc_gives_the_kind_whose_ghosts_come_back_more_room);
    KVP_RUN(multi_lru_goes_by_how_often_a_hash_was_asked_for_even_before_it_was_evicted);
    KVP_RUN(every_policy_keeps_a_pool_sound);
    return 0;
}
