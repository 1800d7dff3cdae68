/* The tokens of blocks, beside a copy of what was set. */
#include "kvp/block_tokens.h"
#include "script.h"

#define BLOCKS 9
#define MOST   8

static void run(void) {
    kvp_block_tokens tokens;
    uint32_t block_size = take_below(MOST + 1), told[BLOCKS][MOST];
    bool is_known[BLOCKS] = {false};
    KVP_EXPECT(kvp_block_tokens_init(&tokens, BLOCKS, block_size) == KVP_OK);
    while (has_more()) {
        int32_t id = (int32_t)take_below(BLOCKS);
        if (block_size > 0) {
            is_known[id] = take_below(4) > 0;
            for (uint32_t i = 0; i < MOST; i++)
                told[id][i] = (uint32_t)take_number(1 + i % 4);
            kvp_block_tokens_set(&tokens, id, is_known[id] ? told[id] : NULL);
        }
        for (id = 0; id < BLOCKS; id++) {
            const uint32_t *kept = kvp_block_tokens_get(&tokens, id);
            KVP_EXPECT((kept != NULL) == is_known[id]);
            KVP_EXPECT(!kept || memcmp(kept, told[id], block_size * sizeof *kept) == 0);
        }
        KVP_EXPECT_SOUND(kvp_block_tokens_check(&tokens));
    }
    kvp_block_tokens_destroy(&tokens);
}
