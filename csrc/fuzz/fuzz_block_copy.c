/* Copies of any ids between any layouts: refused, or every byte is what it was at its source, and no other has changed. */
#include "kvp/block_checksum.h"
#include "kvp/block_copy.h"
#include "memory_script.h"

#define MOST 10

static void copy_plainly(const kvp_block_copy *copy, unsigned char *to_room) {
    for (uint64_t i = 0; i < copy->count; i++)
        for (uint64_t k = 0; k < kvp_layout_block_bytes(&copy->from.memory->layout); k++)
            to_room[byte_of(copy->to.memory, (uint64_t)kvp_block_list_id(&copy->to, i), k) - room] =
                *byte_of(copy->from.memory, (uint64_t)kvp_block_list_id(&copy->from, i), k);
}

static void take_copy(kvp_block_copy *copy, int32_t *from, int32_t *to) {
    uint32_t kind = take_byte();
    copy->count = kind % (MOST + 1);
    for (uint64_t i = 0; i < copy->count; i++) {
        from[i] = (int32_t)(take_byte() % 12) - 1;
        to[i] = (int32_t)(take_byte() % 12) - 1;
    }
    copy->from.ids = kind & 64 ? NULL : from;
    copy->to.ids = kind & 128 ? NULL : to;
}

static void run(void) {
    static unsigned char expected[ROOM];
    while (has_more()) {
        kvp_block_memory one, two;
        uint64_t num_layers = 1 + take_below(3), outer_dim = 1 + take_below(2), at;
        uint32_t threads = 1 + take_below(2);
        int32_t from[MOST], to[MOST];
        bool is_within = take_below(2), is_to;
        if (!take_memory(&one, num_layers, outer_dim))
            continue;
        if (!take_memory(&two, num_layers, outer_dim)) {
            kvp_block_memory_destroy(&one);
            continue;
        }
        kvp_block_copy copy = {.from = {.memory = &one}, .to = {.memory = is_within ? &one : &two}};
        take_copy(&copy, from, to);
        bool is_sound = kvp_block_memory_check(&one) == NULL && kvp_block_memory_check(&two) == NULL;
        kvp_status status = is_sound ? kvp_block_copy_prepare(&copy, &at, &is_to) : KVP_OVERLAP;
        KVP_EXPECT(status == KVP_OK || status == KVP_NO_SUCH || status == KVP_OVERLAP);
        if (status == KVP_OK) {
            KVP_EXPECT_SOUND(kvp_block_copy_check(&copy));
            fill_room();
            memcpy(expected, room, ROOM);
            copy_plainly(&copy, expected);
            kvp_block_copy_run(&copy, threads);
            KVP_EXPECT(memcmp(room, expected, ROOM) == 0);
            for (uint64_t i = 0; i < copy.count; i++)
                KVP_EXPECT(kvp_block_checksum(copy.from.memory, kvp_block_list_id(&copy.from, i)) ==
                           kvp_block_checksum(copy.to.memory, kvp_block_list_id(&copy.to, i)));
        }
        kvp_block_memory_destroy(&one);
        kvp_block_memory_destroy(&two);
    }
}
