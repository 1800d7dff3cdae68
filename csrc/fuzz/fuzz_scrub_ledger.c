/* Blocks that go from namespace to namespace: under no rule but `never` does one see the bytes of another, and filling a
 * block changes no byte of the others. */
#include "kvp/scrub_ledger.h"
#include "memory_script.h"

#define BLOCKS 6

static kvp_block_memory memory;
static int held_by[BLOCKS]; /* namespace + 1; 0: nobody */

static void write_block(int32_t id, uint8_t mark) {
    for (uint64_t k = 0; k < kvp_layout_block_bytes(&memory.layout); k++)
        *byte_of(&memory, (uint64_t)id, k) = mark;
}

static void fill(kvp_scrub_ledger *ledger, const int32_t *dirty, uint64_t n) {
    static unsigned char expected[ROOM];
    memcpy(expected, room, ROOM);
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < kvp_layout_block_bytes(&memory.layout); k++)
            expected[byte_of(&memory, (uint64_t)dirty[i], k) - room] = 0;
    kvp_scrub_blocks(&memory, dirty, n);
    KVP_EXPECT(memcmp(room, expected, ROOM) == 0);
    KVP_EXPECT_SOUND(kvp_scrub_ledger_check(ledger));
}

static void hand_out(kvp_scrub_ledger *ledger, const int32_t *ids, uint32_t n, uint8_t space) {
    int32_t dirty[BLOCKS];
    uint64_t count = kvp_scrub_ledger_arriving(ledger, ids, n, space, NULL);
    KVP_EXPECT(kvp_scrub_ledger_arriving(ledger, ids, n, space, dirty) == count && count <= n);
    fill(ledger, dirty, count);
    kvp_scrub_ledger_own(ledger, ids, n, space);
    for (uint32_t i = 0; i < n; i++) {
        uint8_t seen = *byte_of(&memory, (uint64_t)ids[i], 0);
        bool may_be_own = ledger->rule == KVP_SCRUB_NAMESPACES && seen == space + 1;
        KVP_EXPECT(ledger->rule == KVP_SCRUB_NEVER || seen == 0 || may_be_own);
        write_block(ids[i], (uint8_t)(space + 1));
        held_by[ids[i]] = space + 1;
    }
}

static void take_back(kvp_scrub_ledger *ledger, const int32_t *ids, uint32_t n) {
    int32_t dirty[BLOCKS];
    uint64_t count = kvp_scrub_ledger_leaving(ledger, ids, n, dirty);
    fill(ledger, dirty, count);
    if (ledger->rule == KVP_SCRUB_FREE)
        kvp_scrub_ledger_clean(ledger, ids, n);
    for (uint32_t i = 0; i < n; i++)
        held_by[ids[i]] = 0;
}

static void run(void) {
    kvp_layout_config config = {.num_blocks = BLOCKS,
                                .num_layers = 2,
                                .outer_dim = 2,
                                .page_size = 2,
                                .inner_dim = 2,
                                .item_size = 2,
                                .alignment = UINT64_C(1) << take_below(5),
                                .kind = (kvp_layout_kind)take_below(4)};
    kvp_scrub_ledger ledger;
    kvp_layout layout;
    const char *product;
    uint64_t places[4];
    bool is_zeroed = take_below(2);
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK && layout.num_parts <= 4);
    for (uint64_t part = 0; part < layout.num_parts; part++)
        places[part] = (uintptr_t)(room + part * (layout.part_bytes + 16));
    KVP_EXPECT(layout.num_parts * (layout.part_bytes + 16) <= ROOM);
    KVP_EXPECT(kvp_block_memory_init(&memory, &layout, places) == KVP_OK);
    KVP_EXPECT(kvp_scrub_ledger_init(&ledger, BLOCKS, (kvp_scrub_rule)take_below(4), is_zeroed) == KVP_OK);
    fill_room();
    for (int32_t id = 0; is_zeroed && id < BLOCKS; id++)
        write_block(id, 0);
    memset(held_by, 0, sizeof held_by);
    while (has_more()) {
        uint32_t what = take_byte(), n = 0;
        bool gives = what & 128;
        int32_t ids[BLOCKS];
        for (int32_t id = 0; id < BLOCKS; id++)
            if (what >> id & 1 && (held_by[id] > 0) == gives)
                ids[n++] = id;
        if (gives)
            take_back(&ledger, ids, n);
        else
            hand_out(&ledger, ids, n, (uint8_t)take_below(200));
    }
    kvp_scrub_ledger_destroy(&ledger);
    kvp_block_memory_destroy(&memory);
}
