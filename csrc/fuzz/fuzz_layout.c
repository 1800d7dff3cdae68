/* Layouts of any sizes: too large, or every region lies within its part, and no two on the same bytes. */
#include "kvp/layout.h"
#include "script.h"

#define FEW 6

/* The k-th region of a layout, from its smallest and its largest indices on. */
static uint64_t index_of(uint32_t k, uint64_t count) {
    return k % 2 ? count - 1 - k / 2 % count : k / 2 % count;
}

static void expect_apart(const kvp_layout *layout, const uint32_t one[3], const uint32_t two[3]) {
    const kvp_layout_config *config = &layout->config;
    uint64_t places[2][2];
    bool is_same = true;
    for (int i = 0; i < 2; i++) {
        const uint32_t *k = i ? two : one;
        uint64_t block = index_of(k[0], config->num_blocks), layer = index_of(k[1], config->num_layers);
        uint64_t outer = index_of(k[2], config->outer_dim);
        places[i][0] = kvp_layout_part(layout, layer, outer);
        places[i][1] = kvp_layout_offset(layout, block, layer, outer);
        KVP_EXPECT(places[i][0] < layout->num_parts);
        KVP_EXPECT(places[i][1] + layout->region_bytes <= layout->part_bytes);
        is_same = is_same && block == index_of(one[0], config->num_blocks) &&
                  layer == index_of(one[1], config->num_layers) && outer == index_of(one[2], config->outer_dim);
    }
    uint64_t low = places[0][1] < places[1][1] ? places[0][1] : places[1][1];
    uint64_t high = places[0][1] < places[1][1] ? places[1][1] : places[0][1];
    KVP_EXPECT(is_same || places[0][0] != places[1][0] || high - low >= layout->region_bytes);
}

static uint64_t take_count(void) {
    uint64_t count = take_size();
    return count ? count : 1;
}

static void run(void) {
    while (has_more()) {
        kvp_layout_config config = {.num_blocks = take_count(),
                                    .num_layers = take_count(),
                                    .outer_dim = take_count(),
                                    .page_size = take_count(),
                                    .inner_dim = take_count(),
                                    .item_size = take_count(),
                                    .alignment = UINT64_C(1) << take_below(63),
                                    .kind = (kvp_layout_kind)take_below(4)};
        kvp_layout layout;
        const char *product;
        if (kvp_layout_init(&layout, &config, &product) != KVP_OK) {
            KVP_EXPECT(product != NULL);
            continue;
        }
        KVP_EXPECT_SOUND(kvp_layout_check(&layout));
        uint64_t span = kvp_layout_span(&layout), regions = config.num_layers * config.outer_dim;
        KVP_EXPECT(span == 1 || span == config.outer_dim || span == regions);
        KVP_EXPECT(kvp_layout_block_bytes(&layout) <= layout.num_parts * layout.part_bytes);
        for (uint32_t pair = 0; pair < FEW; pair++) {
            uint32_t one[3] = {take_byte(), take_byte(), take_byte()}, two[3] = {take_byte(), take_byte(), take_byte()};
            expect_apart(&layout, one, two);
        }
    }
}
