#include "ctest.h"
#include "kvp/expiry_heap.h"

#define CAPACITY 40

static kvp_expiry_heap new_heap(void) {
    kvp_expiry_heap heap;
    KVP_EXPECT(kvp_expiry_heap_init(&heap, CAPACITY) == KVP_OK);
    return heap;
}

KVP_TEST(a_new_heap_has_no_times) {
    kvp_expiry_heap heap = new_heap();
    KVP_EXPECT_SOUND(kvp_expiry_heap_check(&heap));
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, INT64_MAX) == KVP_NO_BLOCK);
    for (int32_t id = 0; id < CAPACITY; id++)
        KVP_EXPECT(kvp_expiry_heap_time(&heap, id) == KVP_NO_EXPIRY);
    kvp_expiry_heap_destroy(&heap);
    KVP_EXPECT(heap.heap == NULL && heap.slots == NULL && heap.times == NULL);
}

KVP_TEST(blocks_come_out_soonest_first_and_ties_by_id) {
    kvp_expiry_heap heap = new_heap();
    kvp_expiry_heap_set(&heap, 9, 20);
    kvp_expiry_heap_set(&heap, 7, 20);
    kvp_expiry_heap_set(&heap, 8, 10);
    kvp_expiry_heap_set(&heap, 3, -5);
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, -6) == KVP_NO_BLOCK);
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, 20) == 3);
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, 10) == 8);
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, 19) == KVP_NO_BLOCK);
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, 20) == 7);
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, 20) == 9);
    KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, 20) == KVP_NO_BLOCK);
    kvp_expiry_heap_destroy(&heap);
}

KVP_TEST(a_time_can_be_moved_both_ways_and_taken_away) {
    kvp_expiry_heap heap = new_heap();
    for (int32_t id = 0; id < 5; id++)
        kvp_expiry_heap_set(&heap, id, 10 * (id + 1));
    kvp_expiry_heap_set(&heap, 4, 5);
    kvp_expiry_heap_set(&heap, 0, 100);
    kvp_expiry_heap_set(&heap, 2, KVP_NO_EXPIRY);
    kvp_expiry_heap_set(&heap, 2, KVP_NO_EXPIRY);
    KVP_EXPECT_SOUND(kvp_expiry_heap_check(&heap));
    KVP_EXPECT(kvp_expiry_heap_time(&heap, 2) == KVP_NO_EXPIRY && kvp_expiry_heap_time(&heap, 0) == 100);
    const int32_t order[] = {4, 1, 3, 0};
    for (int i = 0; i < 4; i++)
        KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, 1000) == order[i]);
    KVP_EXPECT(heap.count == 0);
    kvp_expiry_heap_destroy(&heap);
}

KVP_TEST(a_cleared_heap_forgets_all_and_takes_new_times) {
    kvp_expiry_heap heap = new_heap();
    for (int32_t id = 0; id < CAPACITY; id++)
        kvp_expiry_heap_set(&heap, id, CAPACITY - id);
    kvp_expiry_heap_clear(&heap);
    KVP_EXPECT_SOUND(kvp_expiry_heap_check(&heap));
    KVP_EXPECT(heap.count == 0);
    kvp_expiry_heap_set(&heap, 1, 3);
    for (int32_t id = 0; id < CAPACITY; id++)
        KVP_EXPECT(kvp_expiry_heap_time(&heap, id) == (id == 1 ? 3 : KVP_NO_EXPIRY));
    kvp_expiry_heap_destroy(&heap);
}

static void against_an_array(unsigned long long *state) {
    kvp_expiry_heap heap = new_heap();
    int64_t times[CAPACITY];
    for (int32_t id = 0; id < CAPACITY; id++)
        times[id] = KVP_NO_EXPIRY;
    for (int step = 0; step < 5000; step++) {
        int32_t id = kvp_random_below(state, CAPACITY);
        if (kvp_random_below(state, 4)) {
            times[id] = kvp_random_below(state, 5) ? kvp_random_below(state, 50) : KVP_NO_EXPIRY;
            kvp_expiry_heap_set(&heap, id, times[id]);
        } else {
            int64_t now = kvp_random_below(state, 50);
            int32_t first = KVP_NO_BLOCK;
            for (int32_t b = 0; b < CAPACITY; b++)
                if (times[b] <= now && (first == KVP_NO_BLOCK || times[b] < times[first]))
                    first = b;
            KVP_EXPECT(kvp_expiry_heap_pop_until(&heap, now) == first);
            if (first != KVP_NO_BLOCK)
                times[first] = KVP_NO_EXPIRY;
        }
        KVP_EXPECT_SOUND(kvp_expiry_heap_check(&heap));
        int32_t count = 0;
        for (int32_t b = 0; b < CAPACITY; b++) {
            KVP_EXPECT(kvp_expiry_heap_time(&heap, b) == times[b]);
            count += times[b] != KVP_NO_EXPIRY;
        }
        KVP_EXPECT(heap.count == count);
    }
    kvp_expiry_heap_destroy(&heap);
}

KVP_TEST(it_keeps_the_times_that_an_array_keeps) {
    kvp_for_seeds(10, against_an_array);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_expiry_heap heap = new_heap();
    for (int32_t id = 0; id < 10; id++)
        kvp_expiry_heap_set(&heap, id, id);
    KVP_EXPECT_BROKEN_BY(heap.count, CAPACITY + 1, kvp_expiry_heap_check(&heap),
                         "the expiry heap's count is out of range");
    KVP_EXPECT_BROKEN_BY(heap.count, -1, kvp_expiry_heap_check(&heap), "the expiry heap's count is out of range");
    KVP_EXPECT_BROKEN_BY(heap.heap[5], CAPACITY, kvp_expiry_heap_check(&heap),
                         "the expiry heap holds what is not a block");
    KVP_EXPECT_BROKEN_BY(heap.slots[5], 0, kvp_expiry_heap_check(&heap),
                         "a block does not know its place in the expiry heap");
    KVP_EXPECT_BROKEN_BY(heap.times[9], 3, kvp_expiry_heap_check(&heap), "the expiry heap is out of order");
    kvp_expiry_heap_destroy(&heap);
}

int main(void) {
    KVP_RUN(a_new_heap_has_no_times);
    KVP_RUN(blocks_come_out_soonest_first_and_ties_by_id);
    KVP_RUN(a_time_can_be_moved_both_ways_and_taken_away);
    KVP_RUN(a_cleared_heap_forgets_all_and_takes_new_times);
    KVP_RUN(it_keeps_the_times_that_an_array_keeps);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
