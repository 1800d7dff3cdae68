/* Pools whose blocks belong to namespaces: what of others is neither found, nor shared, nor evicted beyond its turn. */
#include "kvp/sequence_batch.h"
#include "sequence_fixture.h"

enum { OWN = 1, OTHER = 2 };

static bool keeps_duplicates;

static void begin_spaces(int32_t num_blocks, kvp_policy_kind policy, double sampling) {
    kvp_pool_config config = {.num_blocks = num_blocks,
                              .keeps_duplicates = keeps_duplicates,
                              .event_capacity = 1024,
                              .secret = {1, 2},
                              .policy = policy,
                              .max_namespaces = 2,
                              .reuse_sampling = sampling,
                              .ghost_factor = 1};
    KVP_EXPECT(num_blocks <= MAX_BLOCKS && kvp_pool_init(&pool, &config) == KVP_OK);
    now = 0;
    KVP_EXPECT(kvp_pool_set_quota(&pool, OWN, 0, num_blocks, 0) == KVP_OK);
    KVP_EXPECT(kvp_pool_set_quota(&pool, OTHER, 0, num_blocks, 0) == KVP_OK);
    expect_sound();
}

static kvp_status try_allocate(kvp_lease *lease, uint8_t space) {
    lease->space = space;
    kvp_status status = kvp_pool_allocate(&pool, lease, now, evicted, MAX_BLOCKS, &num_evicted);
    expect_sound();
    return status;
}

static kvp_lease *allocate_in(uint8_t space, uint32_t n) {
    kvp_lease *lease = kvp_lease_new(n, true);
    KVP_EXPECT(try_allocate(lease, space) == KVP_OK);
    return lease;
}

#define FILL_IN(space, ...) register_with(allocate_in(space, COUNT(__VA_ARGS__)), of(HASHES(__VA_ARGS__)))

static kvp_lease *match_in(uint8_t space, const uint64_t *hashes, uint32_t n, bool is_scattered) {
    kvp_lease *lease = kvp_lease_new(n, false);
    lease->space = space;
    if (is_scattered)
        kvp_pool_match_scattered(&pool, hashes, n, now, lease);
    else
        kvp_pool_match(&pool, hashes, n, now, lease);
    expect_sound();
    return lease;
}

#define MATCH_IN(space, ...) match_in(space, HASHES(__VA_ARGS__), COUNT(__VA_ARGS__), false)
#define SCAN_IN(space, ...)  match_in(space, HASHES(__VA_ARGS__), COUNT(__VA_ARGS__), true)

static void limit(uint8_t space, int32_t floor, int32_t cap) {
    KVP_EXPECT(kvp_pool_set_quota(&pool, space, floor, cap, now) == KVP_OK);
    expect_sound();
}

KVP_TEST(what_others_registered_is_not_found) {
    begin_spaces(16, KVP_POLICY_LRU, 0);
    release(FILL_IN(OWN, 1, 2, 3));
    kvp_lease *found = MATCH_IN(OTHER, 1, 2, 3);
    KVP_EXPECT(found->count == 0 && !found->is_live);
    release(found);
    found = MATCH_IN(OWN, 1, 2, 3);
    KVP_EXPECT(found->count == 3);
    release(found);
    found = SCAN_IN(OTHER, 1, 3);
    KVP_EXPECT(found->held == 0 && found->ids[0] == KVP_NO_BLOCK && found->ids[1] == KVP_NO_BLOCK);
    release(found);
    end();
}

KVP_TEST(a_scattered_match_leaves_out_what_is_not_there_not_ours_or_beyond_the_room) {
    begin_spaces(16, KVP_POLICY_LRU, 0);
    release(FILL_IN(OWN, 1, 2, 3));
    release(FILL_IN(OWN, 7));
    release(FILL_IN(OTHER, 8));
    kvp_lease *held = allocate_in(OWN, 1);
    limit(OWN, 0, 5); /* one is held, so that four can be: 3 needs 1 and 2 as well */
    kvp_lease *found = SCAN_IN(OWN, 8, 3, 77, 7, 2);
    KVP_EXPECT(found->held == 3 && found->ids[0] == KVP_NO_BLOCK && found->ids[2] == KVP_NO_BLOCK);
    KVP_EXPECT(found->ids[1] != KVP_NO_BLOCK && found->ids[3] != KVP_NO_BLOCK && found->ids[4] != KVP_NO_BLOCK);
    release(found);
    release(held);
    held = allocate_in(OWN, 2);
    KVP_EXPECT(pool.namespaces->quotas[OWN].held == 2);
    found = SCAN_IN(OWN, 3, 7); /* two cannot be held with three more and one more */
    KVP_EXPECT(found->held == 1 && found->ids[1] == KVP_NO_BLOCK);
    release(found);
    release(held);
    end();
}

KVP_TEST(a_prefix_is_found_as_far_as_there_is_room) {
    begin_spaces(16, KVP_POLICY_LRU, 0);
    release(FILL_IN(OWN, 1, 2, 3, 4));
    kvp_lease *held = allocate_in(OWN, 1);
    limit(OWN, 0, 5);
    kvp_lease *more = allocate_in(OTHER, 1);
    limit(OWN, 0, 4);
    KVP_EXPECT(pool.namespaces->quotas[OWN].cached == 3); /* one beyond the cap went */
    kvp_lease *found = MATCH_IN(OWN, 1, 2, 3, 4);
    KVP_EXPECT(found->count == 3);
    release(found);
    release(held);
    held = allocate_in(OWN, 1);
    kvp_lease *two = MATCH_IN(OWN, 1, 2);
    KVP_EXPECT(two->count == 2);
    kvp_lease *ahead = kvp_lease_new(3, false);
    ahead->space = OTHER;
    kvp_pool_hold_ahead(&pool, HASHES(1, 2, 3), 3, now, ahead);
    KVP_EXPECT(ahead->count == 0);
    expect_sound();
    release(ahead);
    release(two);
    release(more);
    release(held);
    end();
}

KVP_TEST(what_a_namespace_has_no_room_for_is_not_found_and_not_upgraded) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    release(FILL_IN(OWN, 1, 2));
    int32_t id = kvp_hash_index_find(&pool.index, 2);
    uint32_t generation = pool.table.rows[id].generation;
    kvp_lease *others = allocate_in(OTHER, 6);
    limit(OTHER, 7, 8); /* and so one of the two is promised to others */
    kvp_lease *found = MATCH_IN(OWN, 1, 2), *upgraded = kvp_lease_new(1, false);
    KVP_EXPECT(found->count == 1);
    release(found);
    KVP_EXPECT(kvp_pool_upgrade(&pool, id, generation, 2, now, upgraded) == KVP_NOT_ENOUGH && !upgraded->is_live);
    limit(OTHER, 6, 8);
    KVP_EXPECT(kvp_pool_upgrade(&pool, id, generation, 2, now, upgraded) == KVP_OK && upgraded->space == OWN);
    expect_sound();
    release(upgraded);
    release(others);
    end();
}

KVP_TEST(a_namespace_pins_only_its_own) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    release(FILL_IN(OWN, 1, 2));
    release(FILL_IN(OTHER, 3));
    kvp_lease *pin = kvp_lease_new(2, false);
    int32_t wanted;
    pin->space = OWN;
    KVP_EXPECT(kvp_pool_pin(&pool, HASHES(2, 3), 2, 8, now, pin, &wanted) == KVP_OK && wanted == 2);
    KVP_EXPECT(pin->held == 1 && pin->ids[1] == KVP_NO_BLOCK);
    expect_sound();
    release(pin);
    end();
}

static kvp_status try_register(kvp_lease *lease, const uint64_t *hashes, uint32_t *at) {
    kvp_segment segment = {lease, 0, 1, lease->count};
    kvp_registration registration = of(hashes);
    kvp_lease *filled = kvp_lease_new(lease->count, false);
    registration.segments = &segment;
    registration.num_segments = 1;
    kvp_status status = kvp_pool_register(&pool, &registration, now, filled, at);
    expect_sound();
    if (status == KVP_OK)
        release(filled);
    else
        kvp_lease_unshare(filled);
    return status;
}

KVP_TEST(what_others_registered_is_refused_and_the_blocks_stay_mutable) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    release(FILL_IN(OTHER, 5));
    kvp_lease *fresh = allocate_in(OWN, 2);
    uint32_t at;
    KVP_EXPECT(try_register(fresh, HASHES(4, 5), &at) == KVP_FOREIGN && at == 1);
    KVP_EXPECT(fresh->is_live && fresh->held == 2 && !is_known(4));
    KVP_EXPECT(try_register(fresh, HASHES(4, 6), &at) == KVP_OK && !fresh->is_live);
    kvp_lease_unshare(fresh);
    end();
}

KVP_TEST(blocks_of_two_namespaces_are_not_registered_together) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    kvp_lease *one = allocate_in(OWN, 1), *two = allocate_in(OTHER, 1), *filled = kvp_lease_new(2, false);
    kvp_segment segments[] = {{one, 0, 1, 1}, {two, 0, 1, 1}};
    kvp_registration registration = of(HASHES(1, 2));
    uint32_t at;
    registration.segments = segments;
    registration.num_segments = 2;
    KVP_EXPECT(kvp_pool_register(&pool, &registration, now, filled, &at) == KVP_FOREIGN && at == 1);
    KVP_EXPECT(one->held == 1 && two->held == 1);
    release(one);
    release(two);
    kvp_lease_unshare(filled);
    end();
}

KVP_TEST(a_block_does_not_continue_one_of_another_namespace) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    release(FILL_IN(OTHER, 1));
    release(register_with(allocate_in(OWN, 1), below(HASHES(2), 1)));
    release(register_with(allocate_in(OTHER, 1), below(HASHES(3), 1)));
    KVP_EXPECT(kvp_block_parent(&pool.table.rows[kvp_hash_index_find(&pool.index, 2)]) == KVP_NO_BLOCK);
    KVP_EXPECT(kvp_block_parent(&pool.table.rows[kvp_hash_index_find(&pool.index, 3)]) ==
               kvp_hash_index_find(&pool.index, 1));
    end();
}

KVP_TEST(who_is_at_its_cap_evicts_its_own_though_there_are_empty_blocks) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    limit(OWN, 0, 2);
    release(FILL_IN(OWN, 1));
    release(FILL_IN(OWN, 2));
    kvp_lease *fresh = allocate_in(OWN, 1);
    EXPECT_EVICTED(1);
    KVP_EXPECT(pool.empty.count == 6 && is_known(2));
    kvp_lease *second = allocate_in(OWN, 1);
    EXPECT_EVICTED(2);
    KVP_EXPECT(pool.empty.count == 6);
    kvp_lease *third = kvp_lease_new(1, true);
    KVP_EXPECT(try_allocate(third, OWN) == KVP_NOT_ENOUGH);
    kvp_lease_unshare(third);
    release(fresh);
    release(second);
    end();
}

KVP_TEST(a_reset_of_all_empties_every_namespace_and_what_is_followed) {
    begin_spaces(8, KVP_POLICY_SIEVE, 1.0);
    release(FILL_IN(OWN, 1, 2));
    release(FILL_IN(OTHER, 3));
    release(FILL(4));
    KVP_EXPECT(pool.sampler->count == 4 && pool.namespaces->quotas[OWN].cached == 2);
    kvp_identity gone[MAX_BLOCKS];
    uint32_t count;
    KVP_EXPECT(kvp_pool_reset(&pool, gone, MAX_BLOCKS, &count) == KVP_OK && count == 4);
    expect_sound();
    KVP_EXPECT(pool.sampler->count == 0 && pool.namespaces->quotas[OWN].cached == 0 && pool.empty.count == 8);
    KVP_EXPECT(pool.namespaces->quotas[OWN].cap == 8 && pool.namespaces->count == 3);
    end();
}

KVP_TEST(a_reset_of_blocks_is_counted_in_their_namespace) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    release(FILL_IN(OWN, 1, 2));
    release(FILL_IN(OTHER, 3));
    kvp_identity gone[MAX_BLOCKS];
    uint8_t outcomes[2];
    uint32_t count;
    KVP_EXPECT(kvp_pool_reset_blocks(&pool, HASHES(2, 3), 2, outcomes, gone, MAX_BLOCKS, &count) == KVP_OK);
    KVP_EXPECT(count == 2 && outcomes[0] == KVP_RESET_DONE && outcomes[1] == KVP_RESET_DONE);
    KVP_EXPECT(pool.namespaces->quotas[OWN].cached == 1 && pool.namespaces->quotas[OTHER].cached == 0);
    end();
}

/* Each namespace has an order of its own; a hit and the time are told to the one that has the block. */
KVP_TEST(every_policy_serves_each_namespace_by_itself) {
    for (int kind = KVP_POLICY_LRU; kind < KVP_NUM_POLICIES; kind++) {
        /* A queue of the new that is less than a tenth is spared, and arrival is all that FIFO knows. */
        bool goes_by_hits = kind != KVP_POLICY_FIFO && kind != KVP_POLICY_S3FIFO;
        begin_spaces(16, (kvp_policy_kind)kind, 0);
        release(FILL_IN(OWN, 1));
        release(FILL_IN(OTHER, 2));
        release(FILL_IN(OWN, 3));
        release(FILL_IN(OTHER, 4));
        now = 1000000;
        for (int i = 0; i < 2; i++) {
            release(MATCH_IN(OWN, 1));
            release(SCAN_IN(OTHER, 99, 2));
        }
        int32_t ids[3];
        KVP_EXPECT(kvp_pool_touch(&pool, HASHES(1, 2, 98), 3, ids) == 2);
        expect_sound();
        limit(OTHER, 0, 1);
        KVP_EXPECT(pool.namespaces->quotas[OTHER].cached == 1 && pool.namespaces->quotas[OWN].cached == 2);
        KVP_EXPECT(is_known(2) == goes_by_hits);
        limit(OWN, 0, 1);
        KVP_EXPECT(is_known(1) == goes_by_hits);
        KVP_EXPECT(pool.stats.evictions_for_pressure == 2);
        end();
    }
}

KVP_TEST(a_wrong_account_of_a_namespace_is_named) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    kvp_lease *held = FILL_IN(OWN, 1, 2);
    release(FILL_IN(OTHER, 3));
#define EXPECT_NAMED(sentence)                                                                                         \
    do {                                                                                                               \
        KVP_EXPECT_BROKEN(kvp_pool_check(&pool, scratch), sentence);                                                   \
        memset(scratch, 0, sizeof scratch);                                                                            \
    } while (0)
    kvp_quota *quotas = pool.namespaces->quotas;
    quotas[OWN].held++;
    EXPECT_NAMED("what a namespace holds is miscounted");
    quotas[OWN].held--;
    quotas[OTHER].cached++;
    EXPECT_NAMED("what a namespace has cached is miscounted");
    quotas[OTHER].cached--;
    pool.namespaces->of[held->ids[0]] = OTHER;
    EXPECT_NAMED("a block continues one of another namespace");
    pool.namespaces->of[held->ids[0]] = OWN;
    pool.namespaces->count = 2; /* a block of a namespace that there is not */
    EXPECT_NAMED("a cached block is neither in a list nor parked");
    pool.namespaces->count = 3;
    pool.namespaces->promised++;
    EXPECT_NAMED("what is promised to namespaces is miscounted");
    pool.namespaces->promised--;
    pool.has_orders = false;
    EXPECT_NAMED("what a pool has beside the ordinary is not known");
    pool.has_orders = true;
    pool.has_extras = false;
    EXPECT_NAMED("what a pool has beside the ordinary is not known");
    pool.has_extras = true;
    kvp_eviction *order = &pool.namespaces->orders[OTHER - 1];
    uint64_t was = order->buckets.occupied[0];
    order->buckets.occupied[0] = ~was;
    EXPECT_NAMED("the bitmap of levels disagrees with a list");
    order->buckets.occupied[0] = was;
    release(held);
    end();
}

static void start_in(uint8_t space, kvp_sequence *sequence, const uint32_t *tokens, uint64_t n) {
    begin_sequence(sequence, SIZE, tokens, n);
    sequence->lease->space = space;
    KVP_EXPECT(kvp_sequence_open(sequence, &pool, 0, now) == KVP_OK);
    compute(sequence, sequence->num_cached, n);
    expect_whole(sequence);
}

#define START_IN(space, into, ...) start_in(space, into, TOKENS(__VA_ARGS__), NUM_TOKENS(__VA_ARGS__))

KVP_TEST(a_request_neither_finds_nor_shares_what_others_computed) {
    begin_spaces(16, KVP_POLICY_LRU, 0);
    kvp_sequence one, two, three;
    START_IN(OWN, &one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    kvp_sequence_commit(&one, &pool, 9);
    KVP_EXPECT(one.lease->registered == 2);
    START_IN(OTHER, &two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(two.num_cached == 0);
    kvp_sequence_commit(&two, &pool, 9);
    expect_whole(&two);
    KVP_EXPECT(two.lease->registered == 0); /* the hash is another's: it stays without identity */
    START_IN(OWN, &three, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(three.num_cached == 8);
    finish(&one);
    finish(&two);
    finish(&three);
    end();
}

KVP_TEST(a_request_continues_the_copy_of_another_as_far_as_there_is_room) {
    for (int32_t floor = 0; floor <= 11; floor += 11) {
        kvp_sequence request;
        keeps_duplicates = true;
        begin_spaces(16, KVP_POLICY_LRU, 0);
        START_IN(OWN, &request, 1, 2, 3, 4, 5, 6, 7, 8, 9);
        release(FILL_IN(OWN, 100, 101));
        release(register_with(allocate_in(OWN, 1), below(HASHES(request.hashes[0]), 101)));
        int32_t older = kvp_hash_index_find(&pool.index, request.hashes[0]);
        limit(OTHER, floor, 16); /* beside the request's three blocks it has room for thirteen, or for two */
        kvp_sequence_commit(&request, &pool, 9);
        expect_whole(&request);
        KVP_EXPECT(request.lease->registered == 2 && request.lease->ids[0] != older);
        int32_t parent = kvp_block_parent(&pool.table.rows[request.lease->ids[1]]);
        KVP_EXPECT(parent == (floor == 0 ? older : KVP_NO_BLOCK));
        KVP_EXPECT(pool.namespaces->quotas[OWN].held == (floor == 0 ? 6 : 3));
        finish(&request);
        end();
        keeps_duplicates = false;
    }
}

KVP_TEST(a_copy_needs_room_in_its_namespace_and_what_is_given_back_makes_some) {
    begin_spaces(16, KVP_POLICY_LRU, 0);
    kvp_sequence one, two;
    int32_t copy[2];
    uint32_t num_copies;
    START_IN(OWN, &one, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    kvp_sequence_commit(&one, &pool, 9);
    START_IN(OWN, &two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(two.num_cached == 8 && pool.namespaces->quotas[OWN].held == 4);
    limit(OWN, 0, 4);
    /* The block of the ninth token goes, and the copy of half the second takes its room. */
    KVP_EXPECT(kvp_sequence_truncate(&two, &pool, 6, now, copy, &num_copies) == KVP_OK && num_copies == 1);
    copy_block(copy[0], copy[1]);
    expect_whole(&two);
    finish(&two);
    START_IN(OWN, &two, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    KVP_EXPECT(kvp_sequence_truncate(&two, &pool, 8, now, copy, &num_copies) == KVP_OK && num_copies == 0);
    limit(OWN, 0, 3);
    KVP_EXPECT(kvp_sequence_truncate(&two, &pool, 6, now, copy, &num_copies) == KVP_NOT_ENOUGH);
    expect_whole(&two);
    finish(&one);
    finish(&two);
    end();
}

KVP_TEST(rows_are_refused_by_the_room_of_their_own_namespace) {
    enum { ROWS = 4 };
    begin_spaces(16, KVP_POLICY_LRU, 0);
    kvp_sequence_batch batch;
    kvp_sequence rows[ROWS];
    int32_t refused[ROWS];
    uint32_t num_refused;
    KVP_EXPECT(kvp_sequence_batch_init(&batch, ROWS, 8, 64) == KVP_OK);
    for (int i = 0; i < ROWS; i++) {
        uint32_t tokens[SIZE] = {10u * (uint32_t)i + 1, 2, 3, 4};
        start_in(i % 2 ? OTHER : OWN, &rows[i], tokens, SIZE);
        kvp_sequence_batch_add(&batch, &rows[i]);
    }
    limit(OWN, 0, 3); /* two are held: a block for one of its two rows */
    kvp_step step = {TOKENS(5, 5, 5, 5), NULL, 1};
    KVP_EXPECT(kvp_sequence_batch_write(&batch, &step) == KVP_OK);
    kvp_quota before = pool.namespaces->quotas[OWN];
    KVP_EXPECT(kvp_sequence_batch_append(&batch, &pool, &step, false, now, refused, &num_refused) == KVP_NOT_ENOUGH);
    KVP_EXPECT(num_refused == 1 && refused[0] == 2);
    KVP_EXPECT(memcmp(&before, &pool.namespaces->quotas[OWN], sizeof before) == 0);
    expect_sound();
    KVP_EXPECT(kvp_sequence_batch_append(&batch, &pool, &step, true, now, refused, &num_refused) == KVP_OK);
    KVP_EXPECT(num_refused == 1 && refused[0] == 2);
    KVP_EXPECT(batch.lengths[0] == 5 && batch.lengths[1] == 5 && batch.lengths[2] == 4 && batch.lengths[3] == 5);
    expect_sound();
    KVP_EXPECT_SOUND(kvp_sequence_batch_check(&batch));
    for (int i = 0; i < ROWS; i++) {
        kvp_sequence_batch_remove(&batch, 0);
        finish(&rows[i == 0 ? 0 : ROWS - i]);
    }
    kvp_sequence_batch_destroy(&batch);
    end();
}

KVP_TEST(a_quota_that_others_leave_no_room_for_changes_nothing) {
    begin_spaces(8, KVP_POLICY_LRU, 0);
    release(FILL_IN(OWN, 1, 2));
    kvp_lease *others = allocate_in(OTHER, 5);
    KVP_EXPECT(kvp_pool_set_quota(&pool, OWN, 4, 8, 77) == KVP_NOT_ENOUGH);
    KVP_EXPECT(pool.namespaces->quotas[OWN].floor == 0 && pool.now == 0 && is_known(2));
    limit(OWN, 3, 8);
    release(others);
    end();
}

int main(void) {
    KVP_RUN(what_others_registered_is_not_found);
    KVP_RUN(a_scattered_match_leaves_out_what_is_not_there_not_ours_or_beyond_the_room);
    KVP_RUN(a_prefix_is_found_as_far_as_there_is_room);
    KVP_RUN(what_a_namespace_has_no_room_for_is_not_found_and_not_upgraded);
    KVP_RUN(a_namespace_pins_only_its_own);
    KVP_RUN(what_others_registered_is_refused_and_the_blocks_stay_mutable);
    KVP_RUN(blocks_of_two_namespaces_are_not_registered_together);
    KVP_RUN(a_block_does_not_continue_one_of_another_namespace);
    KVP_RUN(who_is_at_its_cap_evicts_its_own_though_there_are_empty_blocks);
    KVP_RUN(a_reset_of_all_empties_every_namespace_and_what_is_followed);
    KVP_RUN(a_reset_of_blocks_is_counted_in_their_namespace);
    KVP_RUN(every_policy_serves_each_namespace_by_itself);
    KVP_RUN(a_wrong_account_of_a_namespace_is_named);
    KVP_RUN(a_request_neither_finds_nor_shares_what_others_computed);
    KVP_RUN(a_request_continues_the_copy_of_another_as_far_as_there_is_room);
    KVP_RUN(a_copy_needs_room_in_its_namespace_and_what_is_given_back_makes_some);
    KVP_RUN(rows_are_refused_by_the_room_of_their_own_namespace);
    KVP_RUN(a_quota_that_others_leave_no_room_for_changes_nothing);
    return 0;
}
