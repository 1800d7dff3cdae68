/* Blocks held ahead, beside the list of holds: which of their blocks nobody has asked for. */
#include "kvp/foresight.h"
#include "script.h"

#define BLOCKS 8
#define HOLDS  6

static struct {
    uint32_t number, count; /* number 0: none */
    int32_t ids[BLOCKS];
    bool is_open[BLOCKS]; /* nobody has asked for it since */
} holds[HOLDS];

static bool is_ahead(int32_t id) {
    for (int h = 0; h < HOLDS; h++)
        for (uint32_t i = 0; holds[h].number && i < holds[h].count; i++)
            if (holds[h].ids[i] == id && holds[h].is_open[i])
                return true;
    return false;
}

static void ask(int32_t id) {
    for (int h = 0; h < HOLDS; h++)
        for (uint32_t i = 0; i < holds[h].count; i++)
            if (holds[h].ids[i] == id)
                holds[h].is_open[i] = false;
}

static void run(void) {
    kvp_foresight foresight;
    uint64_t useful = 0, wasted = 0;
    KVP_EXPECT(kvp_foresight_init(&foresight, BLOCKS) == KVP_OK);
    if (take_below(2))
        foresight.number = UINT32_MAX - take_below(4);
    memset(holds, 0, sizeof holds);
    while (has_more()) {
        uint32_t what = take_byte(), at = what / 4 % HOLDS, mask;
        if (what % 4 == 0) {
            int32_t ids[3] = {(int32_t)take_below(BLOCKS), KVP_NO_BLOCK, (int32_t)take_below(BLOCKS)};
            for (int i = 0; i < 3; i += 2) {
                useful += is_ahead(ids[i]);
                ask(ids[i]);
            }
            kvp_foresight_hit(&foresight, ids, 3);
        } else if (!holds[at].number) { /* of some blocks, each once, as a prefix has them */
            mask = take_byte();
            holds[at].count = 0;
            for (int32_t id = 0; id < BLOCKS; id++)
                if (mask >> id & 1) {
                    holds[at].is_open[holds[at].count] = true;
                    holds[at].ids[holds[at].count++] = id;
                }
            holds[at].number = kvp_foresight_add(&foresight, holds[at].ids, holds[at].count);
            KVP_EXPECT(holds[at].number != 0);
        } else {
            kvp_foresight_end(&foresight, holds[at].ids, holds[at].count, holds[at].number);
            holds[at].number = 0;
            for (uint32_t i = 0; i < holds[at].count; i++)
                wasted += holds[at].is_open[i] && !is_ahead(holds[at].ids[i]);
        }
        int32_t count = 0;
        for (int32_t id = 0; id < BLOCKS; id++)
            count += is_ahead(id);
        KVP_EXPECT(foresight.count == count);
        KVP_EXPECT(foresight.useful == useful && foresight.wasted == wasted);
        KVP_EXPECT_SOUND(kvp_foresight_check(&foresight));
    }
    kvp_foresight_destroy(&foresight);
}
