/* The stack of empty blocks, beside a plain array. */
#include "kvp/free_list.h"
#include "script.h"

#define MOST 40

static void run(void) {
    int32_t capacity = 1 + (int32_t)take_below(MOST), stack[MOST], out[MOST], count = 0, num_out = 0;
    uint8_t seen[MOST] = {0};
    kvp_free_list list;
    KVP_EXPECT(kvp_free_list_init(&list, capacity) == KVP_OK);
    while (count < capacity)
        stack[count] = capacity - 1 - count, count++;
    while (has_more()) {
        uint32_t what = take_byte();
        if (what == 0) {
            kvp_free_list_refill(&list);
            for (count = 0, num_out = 0; count < capacity; count++)
                stack[count] = capacity - 1 - count;
        } else if (what % 2 && count > 0) {
            out[num_out] = kvp_free_list_pop(&list);
            KVP_EXPECT(out[num_out] == stack[--count]);
            num_out++;
        } else if (num_out > 0) {
            int32_t at = (int32_t)(what / 2) % num_out, id = out[at];
            out[at] = out[--num_out];
            kvp_free_list_push(&list, id);
            stack[count++] = id;
        }
        KVP_EXPECT(list.count == count);
        KVP_EXPECT_SOUND(kvp_free_list_check(&list, seen));
    }
    kvp_free_list_destroy(&list);
}
