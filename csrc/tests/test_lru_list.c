#include "ctest.h"
#include "kvp/lru_list.h"

#define NUM_BLOCKS 12
#define NUM_ENDS   2
#define NUM_ROWS   (NUM_BLOCKS + NUM_ENDS)

static kvp_block rows[NUM_ROWS];

static void clear_lists(void) {
    memset(rows, 0, sizeof rows);
    for (int32_t end = NUM_BLOCKS; end < NUM_ROWS; end++)
        kvp_lru_list_init(rows, end);
}

/* The list from oldest to newest is this, read both ways. */
static void expect_list(int32_t end, const int32_t *ids, int32_t n) {
    int32_t length, at = end;
    KVP_EXPECT_SOUND(kvp_lru_list_check(rows, NUM_ROWS, end, &length));
    KVP_EXPECT(length == n && kvp_lru_list_is_empty(rows, end) == (n == 0));
    for (int32_t i = 0; i < n; i++)
        KVP_EXPECT((at = rows[at].next) == ids[i]);
    KVP_EXPECT(rows[at].next == end);
    at = end;
    for (int32_t i = n; i-- > 0;)
        KVP_EXPECT((at = rows[at].prev) == ids[i]);
    KVP_EXPECT(rows[at].prev == end);
}

static void unlink_one(int32_t id) {
    kvp_lru_list_close(rows, rows[id].prev, rows[id].next);
}

KVP_TEST(the_newest_end_is_the_last_to_be_reached) {
    clear_lists();
    expect_list(NUM_BLOCKS, NULL, 0);
    kvp_lru_list_push_newest(rows, NUM_BLOCKS, 5);
    kvp_lru_list_push_newest(rows, NUM_BLOCKS, 0);
    kvp_lru_list_push_oldest(rows, NUM_BLOCKS, 7);
    expect_list(NUM_BLOCKS, (int32_t[]){7, 5, 0}, 3);
}

KVP_TEST(first_middle_last_and_only_blocks_are_unlinked) {
    clear_lists();
    for (int32_t id = 0; id < 4; id++)
        kvp_lru_list_push_newest(rows, NUM_BLOCKS, id);
    unlink_one(1);
    expect_list(NUM_BLOCKS, (int32_t[]){0, 2, 3}, 3);
    unlink_one(0);
    expect_list(NUM_BLOCKS, (int32_t[]){2, 3}, 2);
    unlink_one(3);
    expect_list(NUM_BLOCKS, (int32_t[]){2}, 1);
    unlink_one(2);
    expect_list(NUM_BLOCKS, NULL, 0);
}

KVP_TEST(an_unlinked_block_still_shows_where_it_was) {
    clear_lists();
    for (int32_t id = 0; id < 3; id++)
        kvp_lru_list_push_newest(rows, NUM_BLOCKS, id);
    unlink_one(1);
    KVP_EXPECT(rows[1].prev == 0 && rows[1].next == 2);
}

static void against_arrays(unsigned long long *state) {
    int32_t lists[NUM_ENDS][NUM_BLOCKS], counts[NUM_ENDS] = {0}, where[NUM_BLOCKS];
    clear_lists();
    for (int32_t id = 0; id < NUM_BLOCKS; id++)
        where[id] = -1;
    for (int step = 0; step < 5000; step++) {
        int32_t id = kvp_random_below(state, NUM_BLOCKS), w = where[id];
        if (w >= 0) {
            int32_t at = 0;
            while (lists[w][at] != id)
                at++;
            memmove(&lists[w][at], &lists[w][at + 1], (size_t)(--counts[w] - at) * sizeof(int32_t));
            unlink_one(id);
            where[id] = -1;
        } else {
            where[id] = w = kvp_random_below(state, NUM_ENDS);
            if (kvp_random_below(state, 2)) {
                lists[w][counts[w]++] = id;
                kvp_lru_list_push_newest(rows, NUM_BLOCKS + w, id);
            } else {
                memmove(&lists[w][1], &lists[w][0], (size_t)counts[w]++ * sizeof(int32_t));
                lists[w][0] = id;
                kvp_lru_list_push_oldest(rows, NUM_BLOCKS + w, id);
            }
        }
        for (int32_t end = 0; end < NUM_ENDS; end++)
            expect_list(NUM_BLOCKS + end, lists[end], counts[end]);
    }
}

KVP_TEST(two_lists_through_the_same_rows_are_what_two_arrays_say) {
    kvp_for_seeds(10, against_arrays);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    int32_t length;
    clear_lists();
    for (int32_t id = 0; id < 4; id++)
        kvp_lru_list_push_newest(rows, NUM_BLOCKS, id);
    KVP_EXPECT_BROKEN_BY(rows[2].next, NUM_ROWS, kvp_lru_list_check(rows, NUM_ROWS, NUM_BLOCKS, &length),
                         "a list link is out of range");
    KVP_EXPECT_BROKEN_BY(rows[2].next, KVP_PARKED, kvp_lru_list_check(rows, NUM_ROWS, NUM_BLOCKS, &length),
                         "a list link is out of range");
    KVP_EXPECT_BROKEN_BY(rows[2].prev, 0, kvp_lru_list_check(rows, NUM_ROWS, NUM_BLOCKS, &length),
                         "a list is linked one way only");
    KVP_EXPECT_BROKEN_BY(rows[3].next, 1, kvp_lru_list_check(rows, NUM_ROWS, NUM_BLOCKS, &length),
                         "a list is linked one way only");
    KVP_EXPECT_BROKEN_BY(rows[NUM_BLOCKS].prev, 1, kvp_lru_list_check(rows, NUM_ROWS, NUM_BLOCKS, &length),
                         "a list is linked one way only");
    /* Fewer rows than the list has: it cannot come back in time. */
    KVP_EXPECT_BROKEN(kvp_lru_list_check(rows, 4, NUM_BLOCKS, &length), "a list does not come back to its end");
}

int main(void) {
    KVP_RUN(the_newest_end_is_the_last_to_be_reached);
    KVP_RUN(first_middle_last_and_only_blocks_are_unlinked);
    KVP_RUN(an_unlinked_block_still_shows_where_it_was);
    KVP_RUN(two_lists_through_the_same_rows_are_what_two_arrays_say);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
