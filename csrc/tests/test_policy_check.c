/* Each invariant of the policies that can be reached from outside them, broken on purpose, is named. */
#include "../src/policies/block_lists.h"
#include "pool_fixture.h"

static kvp_policy *policy;
static kvp_block *rows;
static kvp_lease *held;
static int32_t first, second, third; /* cached: the first is the oldest */

/* Three cached blocks in one list, one that is held, and one of another level. */
static void begin_policy(kvp_policy_kind kind) {
    kvp_registration high = of(HASHES(5));
    high.level = 80;
    begin_as(8, false, kind);
    policy = pool.eviction.policy;
    rows = pool.table.rows;
    release(FILL(1, 2, 3));
    held = FILL(4);
    release(register_with(allocate(1), high));
    third = kvp_hash_index_find(&pool.index, 1); /* a release gives the last block back first */
    second = kvp_hash_index_find(&pool.index, 2);
    first = kvp_hash_index_find(&pool.index, 3);
}

static void end_policy(void) {
    release(held);
    end();
}

static void expect_broken(const char *sentence, int line) {
    const char *broken = kvp_policy_check(policy);
    if (!broken || strcmp(broken, sentence) != 0)
        kvp_fail(__FILE__, line, broken ? broken : "nothing", " was found");
}

/* As KVP_EXPECT_BROKEN_BY, with a sentence that may depend on the policy. */
#define BROKEN(place, value, sentence)                                                                                 \
    do {                                                                                                               \
        __typeof__(place) was_ = (place);                                                                              \
        (place) = (value);                                                                                             \
        expect_broken(sentence, __LINE__);                                                                             \
        (place) = was_;                                                                                                \
        KVP_EXPECT_SOUND(kvp_policy_check(policy));                                                                    \
    } while (0)

/* Bit fields have no address, nor a type of their own. */
#define BROKEN_ROW(row, field, value, sentence)                                                                        \
    do {                                                                                                               \
        kvp_block was_row_ = (row);                                                                                    \
        (row).field = (value);                                                                                         \
        KVP_EXPECT_BROKEN(kvp_policy_check(policy), sentence);                                                         \
        (row) = was_row_;                                                                                              \
        KVP_EXPECT_SOUND(kvp_policy_check(policy));                                                                    \
    } while (0)

static const kvp_policy_kind of_lists[] = {KVP_POLICY_FIFO,  KVP_POLICY_LFU, KVP_POLICY_SLRU,     KVP_POLICY_S3FIFO,
                                           KVP_POLICY_SIEVE, KVP_POLICY_ARC, KVP_POLICY_MULTI_LRU};
enum { NUM_OF_LISTS = sizeof of_lists / sizeof *of_lists };

KVP_TEST(a_wrong_list_of_blocks_is_named_whatever_the_policy) {
    for (int k = 0; k < NUM_OF_LISTS; k++) {
        begin_policy(of_lists[k]);
        kvp_block_lists *lists = (kvp_block_lists *)policy;
        int32_t end_of_list = policy->first_end + lists->list_of[first];
        KVP_EXPECT(rows[end_of_list].next == first && rows[first].next == second && rows[second].next == third);
        BROKEN(lists->lengths[lists->list_of[first]], 2, "a list of a policy is miscounted");
        BROKEN(lists->lengths[60], 1,
               of_lists[k] == KVP_POLICY_LFU ? "the bitmap of frequencies disagrees with a list"
                                             : "a list of a policy is miscounted");
        BROKEN(policy->count, 4, "a policy miscounts its blocks");
        BROKEN(rows[second].prev, third, "a list is linked one way only");
        BROKEN(rows[second].refs, 1, "a policy miscounts its blocks");
        BROKEN(rows[second].lineage, KVP_UNREGISTERED, "a block without identity is in a list of a policy");
        BROKEN_ROW(rows[second], level, 36, "a block of another level is in a list of a policy");
        BROKEN(lists->list_of[second], 1,
               of_lists[k] == KVP_POLICY_S3FIFO ? "a block is in the wrong queue"
                                                : "a block is in another list of the policy than it says");
        BROKEN(lists->list_of[kvp_hash_index_find(&pool.index, 5)], 0,
               "a block that a policy has linked is in no list");
        end_policy();
    }
}

KVP_TEST(the_end_of_a_list_in_another_is_named) {
    begin_policy(KVP_POLICY_FIFO);
    kvp_block_lists *lists = (kvp_block_lists *)policy;
    int32_t strange = policy->first_end + 5; /* a row, but of no block */
    kvp_lru_list_push_newest(rows, policy->first_end, strange);
    lists->lengths[0]++;
    KVP_EXPECT_BROKEN(kvp_policy_check(policy), "a block without identity is in a list of a policy");
    kvp_lru_list_close(rows, rows[strange].prev, rows[strange].next);
    kvp_lru_list_init(rows, strange);
    lists->lengths[0]--;
    end_policy();
}

KVP_TEST(a_block_of_a_kind_that_there_is_not_is_named) {
    begin_policy(KVP_POLICY_ARC);
    BROKEN(((kvp_block_lists *)policy)->marks[first], 2, "a block is of no kind");
    BROKEN(((kvp_block_lists *)policy)->marks[pool.table.num_blocks - 1], 2, "a block is of no kind");
    BROKEN(((kvp_block_lists *)policy)->marks[0], 2, "a block is of no kind");
    end_policy();
    begin_policy(KVP_POLICY_S3FIFO);
    BROKEN(((kvp_block_lists *)policy)->marks[first], 4, "a block is in the wrong queue");
    end_policy();
}

KVP_TEST(a_broken_segment_of_the_adaptive_policy_is_named) {
    begin_policy(KVP_POLICY_ADAPTIVE);
    int32_t empty = pool.empty.ids[0], active = held->ids[0];
    KVP_EXPECT(rows[first].next == second && rows[second].next == third && rows[third].next == KVP_NO_BLOCK);
    BROKEN(rows[second].prev, third, "a segment is linked one way only");
    BROKEN(rows[first].prev, second, "a segment is linked one way only");
    BROKEN(rows[second].next, KVP_NO_BLOCK, "a segment is shorter than it says");
    BROKEN(rows[second].next, pool.table.num_blocks, "a segment names what is not a block");
    BROKEN(rows[second].next, -7, "a segment names what is not a block");
    BROKEN(rows[second].next, empty, "a block of a segment is not cached");
    BROKEN(rows[second].next, active, "a block of a segment is not cached");
    BROKEN(rows[second].refs, 1, "a block of a segment is not cached");
    BROKEN(rows[second].next, kvp_hash_index_find(&pool.index, 5), "a block is in another segment than it says");
    BROKEN(rows[second].next, first, "a segment is linked one way only");
    BROKEN(policy->count, 4, "a policy miscounts its blocks");
    end_policy();
}

/* The oldest is continued by the others, and set aside: it goes first when they have gone. */
KVP_TEST(a_broken_list_of_blocks_that_go_first_is_named) {
    begin_as(4, false, KVP_POLICY_ADAPTIVE);
    policy = pool.eviction.policy;
    rows = pool.table.rows;
    release(FILL(1));
    now += 1000000000;
    kvp_lease *child = FILL_BELOW(1, 2);
    int32_t parent = kvp_hash_index_find(&pool.index, 1);
    release(child);
    kvp_eviction_remove(&pool.eviction, parent);
    kvp_eviction_add_next(&pool.eviction, parent);
    expect_sound();
    KVP_EXPECT(rows[policy->first_end].next == parent);
    BROKEN(rows[parent].refs, 1, "a block that goes first is not known to");
    BROKEN(rows[parent].prev, 2, "a list is linked one way only");
    int32_t other = kvp_hash_index_find(&pool.index, 2);
    kvp_block was = rows[other];
    kvp_lru_list_push_newest(rows, policy->first_end, other);
    KVP_EXPECT_BROKEN(kvp_policy_check(policy), "a block that goes first is not known to");
    kvp_lru_list_close(rows, rows[other].prev, rows[other].next);
    rows[other] = was;
    kvp_lru_list_push_newest(rows, policy->first_end, policy->first_end + 9);
    KVP_EXPECT_BROKEN(kvp_policy_check(policy), "a block that goes first is not known to");
    kvp_lru_list_close(rows, parent, policy->first_end);
    kvp_lru_list_init(rows, policy->first_end + 9);
    EXPECT_ORDER(2, 1);
    end();
}

KVP_TEST(more_blocks_protected_than_may_be_are_named) {
    begin_policy(KVP_POLICY_SLRU);
    BROKEN(((kvp_block_lists *)policy)->lengths[1], pool.table.num_blocks + 1, "more blocks are protected than may be");
    end_policy();
}

int main(void) {
    KVP_RUN(a_wrong_list_of_blocks_is_named_whatever_the_policy);
    KVP_RUN(the_end_of_a_list_in_another_is_named);
    KVP_RUN(a_block_of_a_kind_that_there_is_not_is_named);
    KVP_RUN(a_broken_segment_of_the_adaptive_policy_is_named);
    KVP_RUN(a_broken_list_of_blocks_that_go_first_is_named);
    KVP_RUN(more_blocks_protected_than_may_be_are_named);
    return 0;
}
