/* Times of blocks, beside an array that is searched for the first. */
#include "kvp/expiry_heap.h"
#include "script.h"

#define BLOCKS 24

static int64_t times[BLOCKS];

static int32_t first_until(int64_t now) {
    int32_t first = KVP_NO_BLOCK;
    for (int32_t id = 0; id < BLOCKS; id++)
        if (times[id] != KVP_NO_EXPIRY && times[id] <= now && (first == KVP_NO_BLOCK || times[id] < times[first]))
            first = id;
    return first;
}

static void run(void) {
    kvp_expiry_heap heap;
    KVP_EXPECT(kvp_expiry_heap_init(&heap, BLOCKS) == KVP_OK);
    for (int32_t id = 0; id < BLOCKS; id++)
        times[id] = KVP_NO_EXPIRY;
    while (has_more()) {
        uint32_t what = take_byte();
        int32_t id = (int32_t)take_below(BLOCKS);
        int64_t time = what & 8 ? (int64_t)take_number(8) : (int64_t)take_byte();
        if (what == 0) {
            kvp_expiry_heap_clear(&heap);
            for (id = 0; id < BLOCKS; id++)
                times[id] = KVP_NO_EXPIRY;
        } else if (what % 4 == 0) {
            id = kvp_expiry_heap_pop_until(&heap, time);
            KVP_EXPECT(id == first_until(time));
            if (id != KVP_NO_BLOCK)
                times[id] = KVP_NO_EXPIRY;
        } else {
            times[id] = what % 4 == 1 ? KVP_NO_EXPIRY : time;
            kvp_expiry_heap_set(&heap, id, times[id]);
        }
        for (id = 0; id < BLOCKS; id++)
            KVP_EXPECT(kvp_expiry_heap_time(&heap, id) == times[id]);
        KVP_EXPECT_SOUND(kvp_expiry_heap_check(&heap));
    }
    kvp_expiry_heap_destroy(&heap);
}
