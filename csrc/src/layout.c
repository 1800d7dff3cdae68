#include "kvp/layout.h"

#include "kvp/check.h"

#include <string.h>

static bool multiply(uint64_t a, uint64_t b, uint64_t *product) {
    return !__builtin_mul_overflow(a, b, product) && *product <= INT64_MAX;
}

/* Neither is more than 2**63, so that their sum less one fits. */
static bool round_up(uint64_t bytes, uint64_t alignment, uint64_t *rounded) {
    *rounded = (bytes + (alignment - 1)) & ~(alignment - 1);
    return *rounded <= INT64_MAX;
}

/* Once all products are known to fit. */
static void set_strides(kvp_layout *self) {
    const kvp_layout_config *config = &self->config;
    uint64_t stride = self->region_stride;
    self->num_parts = 1;
    switch (config->kind) {
    case KVP_LAYOUT_CONTIGUOUS:
        self->outer_stride = stride;
        self->layer_stride = stride * config->outer_dim;
        self->block_stride = self->layer_stride * config->num_layers;
        break;
    case KVP_LAYOUT_LAYER_BLOCKS:
        self->layer_parts = 1;
        self->num_parts = config->num_layers;
        self->outer_stride = stride;
        self->block_stride = stride * config->outer_dim;
        break;
    case KVP_LAYOUT_LAYER_OUTERS:
        self->layer_parts = 1;
        self->num_parts = config->num_layers;
        self->block_stride = stride;
        self->outer_stride = stride * config->num_blocks;
        break;
    case KVP_LAYOUT_SEPARATE:
        self->layer_parts = config->outer_dim;
        self->outer_parts = 1;
        self->num_parts = config->num_layers * config->outer_dim;
        self->block_stride = stride;
        break;
    }
}

kvp_status kvp_layout_init(kvp_layout *self, const kvp_layout_config *config, const char **product) {
    kvp_layout made = {.config = *config};
    uint64_t elements, regions, all_regions, all_bytes;
    *product = "page_size * inner_dim";
    if (!multiply(config->page_size, config->inner_dim, &elements))
        return KVP_TOO_LARGE;
    *product = "page_size * inner_dim * itemsize";
    if (!multiply(elements, config->item_size, &made.region_bytes))
        return KVP_TOO_LARGE;
    *product = "region_stride";
    if (!round_up(made.region_bytes, config->alignment, &made.region_stride))
        return KVP_TOO_LARGE;
    *product = "num_layers * outer_dim";
    if (!multiply(config->num_layers, config->outer_dim, &regions))
        return KVP_TOO_LARGE;
    *product = "num_blocks * num_layers * outer_dim";
    if (!multiply(config->num_blocks, regions, &all_regions))
        return KVP_TOO_LARGE;
    *product = "num_blocks * num_layers * outer_dim * region_stride";
    if (!multiply(all_regions, made.region_stride, &all_bytes))
        return KVP_TOO_LARGE;
    *product = NULL;
    set_strides(&made);
    made.part_bytes = all_bytes / made.num_parts;
    *self = made;
    KVP_ASSERT(kvp_layout_check(self) == NULL);
    return KVP_OK;
}

uint64_t kvp_layout_span(const kvp_layout *self) {
    const kvp_layout_config *config = &self->config;
    if (config->outer_dim > 1 && self->outer_stride != self->region_bytes)
        return 1;
    bool is_whole = config->num_layers == 1 || self->layer_stride == config->outer_dim * self->region_bytes;
    return is_whole ? config->outer_dim * config->num_layers : config->outer_dim;
}

const char *kvp_layout_check(const kvp_layout *self) {
    const kvp_layout_config *config = &self->config;
    KVP_REQUIRE(config->alignment && !(config->alignment & (config->alignment - 1)),
                "the alignment is not a power of two");
    KVP_REQUIRE(self->region_bytes && self->region_bytes == config->page_size * config->inner_dim * config->item_size,
                "the bytes of a region are not the product of its sizes");
    KVP_REQUIRE(self->region_stride >= self->region_bytes &&
                    self->region_stride - self->region_bytes < config->alignment &&
                    self->region_stride % config->alignment == 0,
                "the stride of regions is not their bytes, rounded up");
    kvp_layout expected = {
        .config = self->config, .region_bytes = self->region_bytes, .region_stride = self->region_stride};
    set_strides(&expected);
    KVP_REQUIRE(self->block_stride == expected.block_stride && self->layer_stride == expected.layer_stride &&
                    self->outer_stride == expected.outer_stride,
                "a stride is not the next inner one times its count");
    KVP_REQUIRE(self->num_parts == expected.num_parts && self->layer_parts == expected.layer_parts &&
                    self->outer_parts == expected.outer_parts,
                "the parts are not those of the kind of layout");
    uint64_t regions = config->num_blocks * config->num_layers * config->outer_dim;
    KVP_REQUIRE(self->part_bytes == regions / self->num_parts * self->region_stride,
                "the bytes of a part are not those of its regions");
    KVP_REQUIRE(self->part_bytes <= INT64_MAX / self->num_parts, "the parts are together more than 63 bits can count");
    return NULL;
}
