#include "ctest.h"
#include "kvp/layout.h"

static const kvp_layout_kind kinds[] = {KVP_LAYOUT_CONTIGUOUS, KVP_LAYOUT_LAYER_BLOCKS, KVP_LAYOUT_LAYER_OUTERS,
                                        KVP_LAYOUT_SEPARATE};

static kvp_layout made(kvp_layout_config config) {
    kvp_layout layout;
    const char *product;
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK && product == NULL);
    KVP_EXPECT_SOUND(kvp_layout_check(&layout));
    return layout;
}

static kvp_layout_config small(kvp_layout_kind kind) {
    return (kvp_layout_config){.num_blocks = 5,
                               .num_layers = 3,
                               .outer_dim = 2,
                               .page_size = 4,
                               .inner_dim = 7,
                               .item_size = 2,
                               .alignment = 1,
                               .kind = kind};
}

/* Counted one region at a time, in the order in which the kind of layout says they lie. */
static void expect_place(const kvp_layout *layout, uint64_t block, uint64_t layer, uint64_t outer) {
    const kvp_layout_config *config = &layout->config;
    uint64_t number = 0, part = 0;
    switch (config->kind) {
    case KVP_LAYOUT_CONTIGUOUS:
        number = (block * config->num_layers + layer) * config->outer_dim + outer;
        break;
    case KVP_LAYOUT_LAYER_BLOCKS:
        part = layer;
        number = block * config->outer_dim + outer;
        break;
    case KVP_LAYOUT_LAYER_OUTERS:
        part = layer;
        number = outer * config->num_blocks + block;
        break;
    case KVP_LAYOUT_SEPARATE:
        part = layer * config->outer_dim + outer;
        number = block;
        break;
    }
    KVP_EXPECT(kvp_layout_part(layout, layer, outer) == part && part < layout->num_parts);
    KVP_EXPECT(kvp_layout_offset(layout, block, layer, outer) == number * layout->region_stride);
    KVP_EXPECT((number + 1) * layout->region_stride <= layout->part_bytes);
}

KVP_TEST(every_region_is_where_counting_puts_it) {
    for (size_t k = 0; k < 4; k++)
        for (uint64_t alignment = 1; alignment <= 256; alignment *= 16)
            for (uint64_t outer_dim = 1; outer_dim <= 2; outer_dim++) {
                kvp_layout_config config = small(kinds[k]);
                config.alignment = alignment;
                config.outer_dim = outer_dim;
                kvp_layout layout = made(config);
                KVP_EXPECT(layout.region_bytes == 56 && layout.region_stride % alignment == 0);
                KVP_EXPECT(kvp_layout_block_bytes(&layout) == 56 * 3 * outer_dim);
                for (uint64_t block = 0; block < 5; block++)
                    for (uint64_t layer = 0; layer < 3; layer++)
                        for (uint64_t outer = 0; outer < outer_dim; outer++)
                            expect_place(&layout, block, layer, outer);
            }
}

/* The regions of a span lie without a gap, and it could not be longer. */
KVP_TEST(spans_are_as_long_as_regions_lie_together) {
    for (size_t k = 0; k < 4; k++)
        for (uint64_t alignment = 1; alignment <= 64; alignment *= 64)
            for (uint64_t outer_dim = 1; outer_dim <= 2; outer_dim++)
                for (uint64_t num_layers = 1; num_layers <= 3; num_layers += 2)
                    for (uint64_t num_blocks = 1; num_blocks <= 5; num_blocks += 4) {
                        kvp_layout_config config = small(kinds[k]);
                        config.alignment = alignment;
                        config.outer_dim = outer_dim;
                        config.num_layers = num_layers;
                        config.num_blocks = num_blocks;
                        kvp_layout layout = made(config);
                        uint64_t span = 1, all = num_layers * outer_dim;
                        while (span < all && kvp_layout_part(&layout, span / outer_dim, span % outer_dim) == 0 &&
                               kvp_layout_offset(&layout, 0, span / outer_dim, span % outer_dim) == span * 56)
                            span++;
                        KVP_EXPECT(kvp_layout_span(&layout) == span);
                    }
}

KVP_TEST(offsets_are_exact_beyond_four_gigabytes) {
    for (size_t k = 0; k < 4; k++) {
        kvp_layout_config config = {.num_blocks = KVP_MAX_BLOCKS,
                                    .num_layers = 80,
                                    .outer_dim = 2,
                                    .page_size = 16,
                                    .inner_dim = 1024,
                                    .item_size = 2,
                                    .alignment = 256,
                                    .kind = kinds[k]};
        kvp_layout layout = made(config);
        expect_place(&layout, KVP_MAX_BLOCKS - 1, 79, 1);
        expect_place(&layout, 65536, 0, 0);
        expect_place(&layout, 131072, 40, 1);
        KVP_EXPECT(kvp_layout_offset(&layout, 131072, 0, 0) >= (uint64_t)1 << 32);
    }
}

static void expect_too_large(kvp_layout_config config, const char *expected) {
    kvp_layout layout, before;
    memset(&layout, 0x5A, sizeof layout);
    before = layout;
    const char *product = NULL;
    for (size_t k = 0; k < 4; k++) {
        config.kind = kinds[k];
        KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_TOO_LARGE);
        KVP_EXPECT(product && strcmp(product, expected) == 0);
        KVP_EXPECT(memcmp(&layout, &before, sizeof layout) == 0);
    }
}

KVP_TEST(each_product_that_is_too_large_is_named_and_changes_nothing) {
    kvp_layout_config one = {.num_blocks = 1,
                             .num_layers = 1,
                             .outer_dim = 1,
                             .page_size = 1,
                             .inner_dim = 1,
                             .item_size = 1,
                             .alignment = 1};
    kvp_layout_config config = one;
    config.page_size = (uint64_t)1 << 32, config.inner_dim = (uint64_t)1 << 32; /* beyond 64 bits */
    expect_too_large(config, "page_size * inner_dim");
    config.inner_dim = (uint64_t)1 << 31; /* beyond 63 */
    expect_too_large(config, "page_size * inner_dim");
    config.inner_dim = (uint64_t)1 << 30, config.item_size = 2;
    expect_too_large(config, "page_size * inner_dim * itemsize");
    config = one;
    config.page_size = ((uint64_t)1 << 62) + 1, config.alignment = (uint64_t)1 << 62;
    expect_too_large(config, "region_stride");
    config.page_size = INT64_MAX, config.alignment = 2;
    expect_too_large(config, "region_stride");
    config = one;
    config.num_layers = (uint64_t)1 << 62, config.outer_dim = 2;
    expect_too_large(config, "num_layers * outer_dim");
    config.num_layers = (uint64_t)1 << 40, config.num_blocks = (uint64_t)1 << 22;
    expect_too_large(config, "num_blocks * num_layers * outer_dim");
    config.num_blocks = (uint64_t)1 << 20, config.page_size = 4;
    expect_too_large(config, "num_blocks * num_layers * outer_dim * region_stride");
}

KVP_TEST(what_just_fits_is_taken) {
    kvp_layout_config config = {.num_blocks = 1,
                                .num_layers = 1,
                                .outer_dim = 1,
                                .page_size = INT64_MAX,
                                .inner_dim = 1,
                                .item_size = 1,
                                .alignment = 1};
    for (size_t k = 0; k < 4; k++) {
        config.kind = kinds[k];
        KVP_EXPECT(made(config).part_bytes == INT64_MAX);
    }
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_layout layout = made(small(KVP_LAYOUT_LAYER_OUTERS));
    KVP_EXPECT_BROKEN_BY(layout.config.alignment, 3, kvp_layout_check(&layout), "the alignment is not a power of two");
    KVP_EXPECT_BROKEN_BY(layout.config.alignment, 0, kvp_layout_check(&layout), "the alignment is not a power of two");
    KVP_EXPECT_BROKEN_BY(layout.region_bytes, 0, kvp_layout_check(&layout),
                         "the bytes of a region are not the product of its sizes");
    KVP_EXPECT_BROKEN_BY(layout.region_stride, 55, kvp_layout_check(&layout),
                         "the stride of regions is not their bytes, rounded up");
    KVP_EXPECT_BROKEN_BY(layout.block_stride, 57, kvp_layout_check(&layout),
                         "a stride is not the next inner one times its count");
    KVP_EXPECT_BROKEN_BY(layout.layer_stride, 57, kvp_layout_check(&layout),
                         "a stride is not the next inner one times its count");
    KVP_EXPECT_BROKEN_BY(layout.layer_parts, 7, kvp_layout_check(&layout),
                         "the parts are not those of the kind of layout");
    KVP_EXPECT_BROKEN_BY(layout.outer_parts, 7, kvp_layout_check(&layout),
                         "the parts are not those of the kind of layout");
    KVP_EXPECT_BROKEN_BY(layout.config.alignment, 16, kvp_layout_check(&layout),
                         "the stride of regions is not their bytes, rounded up");
    KVP_EXPECT_BROKEN_BY(layout.region_bytes, 57, kvp_layout_check(&layout),
                         "the bytes of a region are not the product of its sizes");
    KVP_EXPECT_BROKEN_BY(layout.region_stride, 57, kvp_layout_check(&layout),
                         "the stride of regions is not their bytes, rounded up");
    KVP_EXPECT_BROKEN_BY(layout.outer_stride, 56, kvp_layout_check(&layout),
                         "a stride is not the next inner one times its count");
    KVP_EXPECT_BROKEN_BY(layout.num_parts, 4, kvp_layout_check(&layout),
                         "the parts are not those of the kind of layout");
    KVP_EXPECT_BROKEN_BY(layout.part_bytes, 1, kvp_layout_check(&layout),
                         "the bytes of a part are not those of its regions");
}

int main(void) {
    KVP_RUN(every_region_is_where_counting_puts_it);
    KVP_RUN(spans_are_as_long_as_regions_lie_together);
    KVP_RUN(offsets_are_exact_beyond_four_gigabytes);
    KVP_RUN(each_product_that_is_too_large_is_named_and_changes_nothing);
    KVP_RUN(what_just_fits_is_taken);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
