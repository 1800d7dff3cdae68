/* The protected blocks, beside a set. */
#include "kvp/protection.h"
#include "script.h"

#define BLOCKS 16

static bool is_in[BLOCKS];

static void replace(kvp_protection *protection) {
    bool was_in[BLOCKS];
    int32_t dropped, start;
    memcpy(was_in, is_in, sizeof was_in);
    memset(is_in, 0, sizeof is_in);
    kvp_protection_begin(protection);
    for (uint32_t n = take_below(2 * BLOCKS); n > 0; n--) {
        int32_t id = (int32_t)take_below(BLOCKS);
        kvp_protection_add(protection, id);
        is_in[id] = true;
    }
    start = kvp_protection_end(protection, &dropped);
    for (int32_t i = 0; i < dropped; i++) {
        int32_t id = protection->ids[start + i];
        KVP_EXPECT(was_in[id] && !is_in[id]);
        was_in[id] = false;
    }
    for (int32_t id = 0; id < BLOCKS; id++)
        KVP_EXPECT(!was_in[id] || is_in[id]);
}

static void run(void) {
    kvp_protection protection;
    KVP_EXPECT(kvp_protection_init(&protection, BLOCKS) == KVP_OK);
    if (take_below(2))
        protection.epoch = UINT32_MAX - take_below(4); /* the numbers begin anew */
    memset(is_in, 0, sizeof is_in);
    while (has_more()) {
        uint32_t what = take_byte();
        int32_t id = (int32_t)(what / 8) % BLOCKS;
        if (what == 0) {
            kvp_protection_clear(&protection);
            memset(is_in, 0, sizeof is_in);
        } else if (what % 4) {
            replace(&protection);
        } else {
            kvp_protection_drop(&protection, id);
            is_in[id] = false;
        }
        for (id = 0; id < BLOCKS; id++)
            KVP_EXPECT(kvp_protection_has(&protection, id) == is_in[id]);
        KVP_EXPECT_SOUND(kvp_protection_check(&protection));
    }
    kvp_protection_destroy(&protection);
}
