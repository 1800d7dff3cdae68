#include "ctest.h"
#include "kvp/free_list.h"

#define CAPACITY 16

static uint8_t seen[CAPACITY];

static kvp_free_list new_list(void) {
    kvp_free_list list;
    KVP_EXPECT(kvp_free_list_init(&list, CAPACITY) == KVP_OK);
    return list;
}

KVP_TEST(a_new_list_gives_ids_from_0_on) {
    kvp_free_list list = new_list();
    KVP_EXPECT(list.count == CAPACITY);
    KVP_EXPECT_SOUND(kvp_free_list_check(&list, seen));
    for (int32_t id = 0; id < CAPACITY; id++)
        KVP_EXPECT(kvp_free_list_pop(&list) == id);
    KVP_EXPECT(list.count == 0);
    KVP_EXPECT_SOUND(kvp_free_list_check(&list, seen));
    kvp_free_list_destroy(&list);
    KVP_EXPECT(list.ids == NULL);
}

KVP_TEST(blocks_pushed_last_to_first_come_out_in_their_order) {
    kvp_free_list list = new_list();
    int32_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = kvp_free_list_pop(&list);
    for (int i = 3; i-- > 0;)
        kvp_free_list_push(&list, ids[i]);
    for (int i = 0; i < 3; i++)
        KVP_EXPECT(kvp_free_list_pop(&list) == ids[i]);
    kvp_free_list_destroy(&list);
}

KVP_TEST(a_refilled_list_is_as_new) {
    kvp_free_list list = new_list();
    for (int i = 0; i < 5; i++)
        kvp_free_list_pop(&list);
    kvp_free_list_push(&list, 3);
    kvp_free_list_push(&list, 0);
    kvp_free_list_refill(&list);
    for (int32_t id = 0; id < CAPACITY; id++)
        KVP_EXPECT(kvp_free_list_pop(&list) == id);
    kvp_free_list_destroy(&list);
}

static void against_an_array(unsigned long long *state) {
    kvp_free_list list = new_list();
    int32_t stack[CAPACITY], count = 0, out[CAPACITY], num_out = 0;
    for (int32_t id = CAPACITY; id-- > 0;)
        stack[count++] = id;
    for (int step = 0; step < 5000; step++) {
        bool pops = kvp_random_below(state, 2);
        if (pops && count > 0) {
            out[num_out++] = stack[--count];
            KVP_EXPECT(kvp_free_list_pop(&list) == stack[count]);
        } else if (!pops && num_out > 0) {
            int32_t which = kvp_random_below(state, num_out);
            stack[count++] = out[which];
            kvp_free_list_push(&list, out[which]);
            out[which] = out[--num_out];
        }
        KVP_EXPECT(list.count == count && memcmp(list.ids, stack, (size_t)count * sizeof *stack) == 0);
        KVP_EXPECT_SOUND(kvp_free_list_check(&list, seen));
    }
    kvp_free_list_destroy(&list);
}

KVP_TEST(it_is_the_stack_that_an_array_says_it_is) {
    kvp_for_seeds(10, against_an_array);
}

KVP_TEST(the_check_names_each_broken_invariant_and_leaves_its_scratch_clear) {
    kvp_free_list list = new_list();
    const uint8_t clear[CAPACITY] = {0};
    KVP_EXPECT_BROKEN_BY(list.count, CAPACITY + 1, kvp_free_list_check(&list, seen),
                         "the empty stack's count is out of range");
    KVP_EXPECT_BROKEN_BY(list.count, -1, kvp_free_list_check(&list, seen), "the empty stack's count is out of range");
    KVP_EXPECT_BROKEN_BY(list.ids[4], CAPACITY, kvp_free_list_check(&list, seen),
                         "the empty stack holds what is not a block");
    KVP_EXPECT_BROKEN_BY(list.ids[4], KVP_NO_BLOCK, kvp_free_list_check(&list, seen),
                         "the empty stack holds what is not a block");
    KVP_EXPECT_BROKEN_BY(list.ids[4], list.ids[9], kvp_free_list_check(&list, seen),
                         "the empty stack holds a block twice");
    KVP_EXPECT(memcmp(seen, clear, CAPACITY) == 0);
    kvp_free_list_destroy(&list);
}

int main(void) {
    KVP_RUN(a_new_list_gives_ids_from_0_on);
    KVP_RUN(blocks_pushed_last_to_first_come_out_in_their_order);
    KVP_RUN(a_refilled_list_is_as_new);
    KVP_RUN(it_is_the_stack_that_an_array_says_it_is);
    KVP_RUN(the_check_names_each_broken_invariant_and_leaves_its_scratch_clear);
    return 0;
}
