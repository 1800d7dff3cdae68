/* Each invariant of the whole pool, broken on purpose, is named. Those of the structures are broken in their own
 * tests; here one of each shows that the pool's check calls theirs. */
#include "pool_fixture.h"

#define CHECK() kvp_pool_check(&pool, memset(scratch, 0, sizeof scratch))

#define BROKEN_BY(place, value, sentence) KVP_EXPECT_BROKEN_BY(place, value, CHECK(), sentence)

/* Bit fields have no address, nor a type of their own. */
#define BROKEN_BY_BITS(row, field, value, sentence)                                                                    \
    do {                                                                                                               \
        kvp_block was_row_ = (row);                                                                                    \
        (row).field = (value);                                                                                         \
        KVP_EXPECT_BROKEN(CHECK(), sentence);                                                                          \
        (row) = was_row_;                                                                                              \
        KVP_EXPECT_SOUND(CHECK());                                                                                     \
    } while (0)

/* 0: mutable. 1 and 2: held by one lease, 2 continues 1. 3 and 4: cached, 4 continues 3. The rest is empty. */
static kvp_lease *fresh, *held, *sparse;
static kvp_block *rows;

static void begin_mixed(bool keeps_duplicates) {
    begin_with(8, keeps_duplicates);
    rows = pool.table.rows;
    fresh = allocate(1);
    held = FILL(11, 12);
    release(FILL(13, 14));
    sparse = kvp_lease_new(2, false);
    kvp_pool_match_scattered(&pool, HASHES(99, 12), 2, 0, sparse);
    expect_sound();
}

static void end_mixed(void) {
    release(fresh);
    release(held);
    release(sparse);
    end();
}

KVP_TEST(a_wrong_count_of_blocks_is_named) {
    begin_mixed(false);
    BROKEN_BY(pool.empty.count, pool.empty.count - 1, "the empty blocks are miscounted");
    BROKEN_BY(pool.num_mutable, 2, "the mutable blocks are miscounted");
    BROKEN_BY(pool.num_active, 3, "the active blocks are miscounted");
    BROKEN_BY(pool.num_cached, 3, "the cached blocks are miscounted");
    BROKEN_BY(pool.empty.ids[0], 0, "a block on the empty stack is in use");
    BROKEN_BY(pool.empty.ids[0], 4, "a block on the empty stack is in use");
    end_mixed();
}

KVP_TEST(a_wrong_reference_is_named) {
    begin_mixed(false);
    BROKEN_BY(rows[1].refs, 3, "a block's references are not those that hold it");
    BROKEN_BY(rows[2].refs, 1, "a block's references are not those that hold it");
    BROKEN_BY(held->ids[0], 8, "a lease names what is not a block");
    BROKEN_BY(held->ids[0], -3, "a lease names what is not a block");
    BROKEN_BY(held->ids[0], 0, "a lease is of the wrong kind for its block");
    BROKEN_BY(fresh->ids[0], 1, "a lease is of the wrong kind for its block");
    BROKEN_BY(fresh->ids[0], 7, "a block's references are not those that hold it");
    BROKEN_BY(kvp_lease_gone(fresh)[0], 1, "a lease miscounts what it holds");
    BROKEN_BY(sparse->held, 2, "a lease miscounts what it holds");
    end_mixed();
}

KVP_TEST(a_second_owner_of_a_mutable_block_is_named) {
    begin_mixed(false);
    kvp_lease *other = allocate(1), *view = kvp_lease_new(1, false);
    kvp_segment part = {fresh, 0, 1, 1};
    KVP_EXPECT(kvp_pool_lend(&pool, &part, 0, view) == KVP_OK); /* which is none */
    KVP_EXPECT_SOUND(CHECK());
    BROKEN_BY(other->ids[0], fresh->ids[0], "a block without identity has more than one owner");
    BROKEN_BY(view->is_view, false, "a lease is of the wrong kind for its block");
    release(view);
    release(other);
    end_mixed();
}

KVP_TEST(a_wrong_list_of_leases_is_named) {
    begin_mixed(false);
    BROKEN_BY(pool.num_leases, 2, "the list of leases is longer than counted");
    BROKEN_BY(pool.num_leases, 4, "the list of leases is shorter than counted");
    BROKEN_BY(held->is_live, false, "a lease that holds nothing is among the live ones");
    BROKEN_BY(held->prev, NULL, "the list of leases is linked one way only");
    BROKEN_BY(pool.leases, held, "the list of leases is shorter than counted");
    end_mixed();
}

KVP_TEST(a_wrong_lineage_is_named) {
    begin_mixed(false);
    BROKEN_BY_BITS(rows[3], children, 2, "a block miscounts its children");
    BROKEN_BY(rows[4].lineage, KVP_ROOT, "a block miscounts its children");
    end_mixed();
}

KVP_TEST(a_cached_block_that_is_lost_is_named) {
    begin_mixed(false);
    kvp_priority_buckets_remove(&pool.eviction.buckets, 3);
    KVP_EXPECT_BROKEN(CHECK(), "a cached block is neither in a list nor parked");
    kvp_priority_buckets_add_newest(&pool.eviction.buckets, 3);
    KVP_EXPECT_SOUND(CHECK());
    end_mixed();
}

KVP_TEST(an_expiry_without_a_block_is_named) {
    begin_mixed(false);
    kvp_expiry_heap_set(&pool.expiries, 6, 10);
    KVP_EXPECT_BROKEN(CHECK(), "a block without identity has an expiry");
    kvp_expiry_heap_set(&pool.expiries, 6, KVP_NO_EXPIRY);
    KVP_EXPECT_SOUND(CHECK());
    end_mixed();
}

KVP_TEST(a_registered_block_out_of_the_index_is_named) {
    begin_mixed(false);
    kvp_hash_index_remove(&pool.index, 4);
    rows[4].is_indexed = 0;
    KVP_EXPECT_BROKEN(CHECK(), "a registered block is not in the index");
    rows[4].is_indexed = 1;
    KVP_EXPECT(kvp_hash_index_insert(&pool.index, 4) == KVP_OK);
    KVP_EXPECT_SOUND(CHECK());
    end_mixed();
}

/* 0, 3 and 4 become copies of one hash, 3 and 4 in two rings that should be one. */
KVP_TEST(a_wrong_ring_of_copies_is_named) {
    begin_mixed(true);
    kvp_lease *copy = FILL(14), *further = FILL(14);
    int32_t b = copy->ids[0], c = further->ids[0];
    KVP_EXPECT(b == 5 && c == 6);
    kvp_copies a_was = pool.copies[4], b_was = pool.copies[b];
    BROKEN_BY(pool.copies[4].older, 4, "copies are linked one way only");
    BROKEN_BY(pool.copies[b].newer, b, "copies are linked one way only");
    BROKEN_BY(rows[b].hash, 77, "a copy has another hash");
    pool.copies[4] = (kvp_copies){4, 4};
    KVP_EXPECT_BROKEN(CHECK(), "a copy belongs to no hash");
    pool.copies[4] = a_was;
    pool.copies[3] = (kvp_copies){b, 4};
    KVP_EXPECT_BROKEN(CHECK(), "copies are linked one way only");
    pool.copies[3] = (kvp_copies){3, 3};
    pool.copies[b] = b_was;
    KVP_EXPECT_SOUND(CHECK());
    release(copy);
    release(further);
    end_mixed();
}

KVP_TEST(the_checks_of_all_structures_are_called) {
    begin_mixed(false);
    kvp_expiry_heap_set(&pool.expiries, 3, 10);
    BROKEN_BY(rows[4].lineage, 4 + KVP_PARENT_BASE, "a block's parent is not a block");
    BROKEN_BY(pool.empty.ids[0], pool.empty.ids[1], "the empty stack holds a block twice");
    BROKEN_BY(pool.eviction.buckets.occupied[0], 0, "the bitmap of levels disagrees with a list");
    BROKEN_BY(pool.index.count, 3, "the index miscounts its entries");
    BROKEN_BY(pool.expiries.heap[0], -1, "the expiry heap holds what is not a block");
    BROKEN_BY(pool.hints.entries[0], ((kvp_hint){1, 2}), "a hint is in the wrong place");
    BROKEN_BY(pool.protection.count, -1, "more blocks are protected than there are");
    BROKEN_BY(pool.events.entries[0].kind, 0, "an event has no kind");
    BROKEN_BY(pool.stats.duplicates, 100, "more duplicates than registrations");
    end_mixed();
}

KVP_TEST(a_policy_that_miscounts_its_blocks_is_named) {
    for (int kind = KVP_POLICY_FIFO; kind < KVP_NUM_POLICIES; kind++) {
        begin_as(8, false, (kvp_policy_kind)kind);
        kvp_lease *first = FILL(11, 12);
        release(FILL(13, 14));
        BROKEN_BY(pool.eviction.policy->count, 1, "a policy miscounts its blocks");
        release(first);
        end();
    }
}

KVP_TEST(the_check_leaves_its_scratch_clear) {
    static const uint8_t zero[sizeof scratch];
    begin_mixed(false);
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, scratch));
    KVP_EXPECT(memcmp(scratch, zero, sizeof scratch) == 0);
    end_mixed();
}

KVP_TEST(a_chain_that_is_none_is_named) {
    begin_mixed(false);
    KVP_EXPECT(held->is_chain && !sparse->is_chain);
    BROKEN_BY(rows[held->ids[1]].lineage, KVP_ROOT, "the blocks of a chain do not continue each other");
    end_mixed();
}

KVP_TEST(a_pin_that_does_not_hold_its_block_is_named) {
    begin_mixed(false);
    kvp_lease *pin = kvp_lease_new(1, false);
    int32_t wanted;
    KVP_EXPECT(kvp_pool_pin(&pool, HASHES(13), 1, 8, now, pin, &wanted) == KVP_OK);
    KVP_EXPECT_SOUND(CHECK());
    BROKEN_BY(pin->ids[0], held->ids[1], "a block's references are not those that hold it");
    release(pin);
    end_mixed();
}

int main(void) {
    KVP_RUN(a_wrong_count_of_blocks_is_named);
    KVP_RUN(a_wrong_reference_is_named);
    KVP_RUN(a_second_owner_of_a_mutable_block_is_named);
    KVP_RUN(a_wrong_list_of_leases_is_named);
    KVP_RUN(a_wrong_lineage_is_named);
    KVP_RUN(a_cached_block_that_is_lost_is_named);
    KVP_RUN(an_expiry_without_a_block_is_named);
    KVP_RUN(a_registered_block_out_of_the_index_is_named);
    KVP_RUN(a_wrong_ring_of_copies_is_named);
    KVP_RUN(the_checks_of_all_structures_are_called);
    KVP_RUN(a_policy_that_miscounts_its_blocks_is_named);
    KVP_RUN(the_check_leaves_its_scratch_clear);
    KVP_RUN(a_chain_that_is_none_is_named);
    KVP_RUN(a_pin_that_does_not_hold_its_block_is_named);
    return 0;
}
