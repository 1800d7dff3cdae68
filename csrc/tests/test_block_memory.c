#include "ctest.h"
#include "kvp/block_memory.h"

enum { NUM_BLOCKS = 4, NUM_LAYERS = 3, REGION = 10 };

static char room[1][4096];

static kvp_layout layout_of(kvp_layout_kind kind, uint64_t alignment) {
    kvp_layout_config config = {.num_blocks = NUM_BLOCKS,
                                .num_layers = NUM_LAYERS,
                                .outer_dim = 2,
                                .page_size = 5,
                                .inner_dim = 1,
                                .item_size = 2,
                                .alignment = alignment,
                                .kind = kind};
    kvp_layout layout;
    const char *product;
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK);
    return layout;
}

/* Parts of `bytes` each, one behind the other from `start` on. */
static kvp_block_memory made(const kvp_layout *layout, char *start) {
    uint64_t bases[2 * NUM_LAYERS];
    kvp_block_memory memory;
    for (uint64_t part = 0; part < layout->num_parts; part++)
        bases[part] = (uintptr_t)(start + part * layout->part_bytes);
    KVP_EXPECT(kvp_block_memory_init(&memory, layout, bases) == KVP_OK);
    KVP_EXPECT_SOUND(kvp_block_memory_check(&memory));
    return memory;
}

KVP_TEST(no_two_regions_share_a_byte_and_pieces_are_the_regions_in_order) {
    for (int kind = 0; kind < 4; kind++)
        for (uint64_t alignment = 1; alignment <= 16; alignment *= 16) {
            kvp_layout layout = layout_of((kvp_layout_kind)kind, alignment);
            kvp_block_memory memory = made(&layout, room[0]);
            memset(room[0], 0, sizeof room[0]);
            for (uint64_t block = 0; block < NUM_BLOCKS; block++) {
                kvp_piece pieces[2 * NUM_LAYERS] = {{NULL, 0}}, first;
                uint64_t count = kvp_block_memory_pieces(&memory, block, pieces, 2 * NUM_LAYERS), at = 0;
                KVP_EXPECT(kvp_block_memory_pieces(&memory, block, &first, 1) == count);
                KVP_EXPECT(first.start == pieces[0].start && first.bytes == pieces[0].bytes);
                KVP_EXPECT(alignment > 1 ? count == 2 * NUM_LAYERS : kind > 0 || count == 1);
                for (uint64_t i = 0; i < count; i++)
                    for (uint64_t byte = 0; byte < pieces[i].bytes; byte++, at++) {
                        char *region = kvp_block_memory_region(&memory, block, at / REGION);
                        KVP_EXPECT(pieces[i].start + byte == region + at % REGION);
                        KVP_EXPECT(region == kvp_block_memory_at(&memory, block, at / REGION / 2, at / REGION % 2));
                        KVP_EXPECT(++pieces[i].start[byte] == 1);
                    }
                KVP_EXPECT(at == 2 * NUM_LAYERS * REGION);
            }
            kvp_block_memory_destroy(&memory);
            KVP_EXPECT(memory.bases == NULL);
        }
}

KVP_TEST(memories_overlap_from_the_first_common_byte_on) {
    for (int kind = 0; kind < 4; kind++) {
        kvp_layout layout = layout_of((kvp_layout_kind)kind, 1);
        uint64_t all = layout.num_parts * layout.part_bytes;
        kvp_block_memory one = made(&layout, room[0] + 1000), behind = made(&layout, room[0] + 1000 + all),
                         before = made(&layout, room[0] + 1000 - all), touching = made(&layout, room[0] + 999 + all),
                         again = made(&layout, room[0] + 1000);
        KVP_EXPECT(!kvp_block_memory_overlaps(&one, &behind) && !kvp_block_memory_overlaps(&behind, &one));
        KVP_EXPECT(!kvp_block_memory_overlaps(&one, &before) && !kvp_block_memory_overlaps(&before, &one));
        KVP_EXPECT(kvp_block_memory_overlaps(&one, &touching) && kvp_block_memory_overlaps(&touching, &one));
        KVP_EXPECT(kvp_block_memory_is_same(&one, &again) && kvp_block_memory_overlaps(&one, &again));
        KVP_EXPECT(!kvp_block_memory_is_same(&one, &touching));
        kvp_block_memory_destroy(&one);
        kvp_block_memory_destroy(&behind);
        kvp_block_memory_destroy(&before);
        kvp_block_memory_destroy(&touching);
        kvp_block_memory_destroy(&again);
    }
}

/* Parts of two memories, in turn. */
KVP_TEST(memories_between_each_other_do_not_overlap) {
    kvp_layout layout = layout_of(KVP_LAYOUT_LAYER_BLOCKS, 1);
    uint64_t bases[2][NUM_LAYERS];
    for (uint64_t part = 0; part < 2 * NUM_LAYERS; part++)
        bases[part % 2][part / 2] = (uintptr_t)(room[0] + part * layout.part_bytes);
    kvp_block_memory one, two;
    KVP_EXPECT(kvp_block_memory_init(&one, &layout, bases[0]) == KVP_OK);
    KVP_EXPECT(kvp_block_memory_init(&two, &layout, bases[1]) == KVP_OK);
    KVP_EXPECT(!kvp_block_memory_overlaps(&one, &two));
    two.bases[0]--;
    KVP_EXPECT(kvp_block_memory_overlaps(&one, &two));
    kvp_block_memory_destroy(&one);
    kvp_block_memory_destroy(&two);
}

KVP_TEST(the_same_bytes_in_another_order_are_not_the_same_memory) {
    kvp_layout blocks = layout_of(KVP_LAYOUT_LAYER_BLOCKS, 1), outers = layout_of(KVP_LAYOUT_LAYER_OUTERS, 1);
    kvp_block_memory one = made(&blocks, room[0]), two = made(&outers, room[0]);
    KVP_EXPECT(!kvp_block_memory_is_same(&one, &two) && kvp_block_memory_overlaps(&one, &two));
    kvp_block_memory_destroy(&one);
    kvp_block_memory_destroy(&two);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_layout layout = layout_of(KVP_LAYOUT_LAYER_BLOCKS, 1);
    kvp_block_memory memory = made(&layout, room[0]);
    KVP_EXPECT_BROKEN_BY(memory.layout.part_bytes, 1, kvp_block_memory_check(&memory),
                         "the bytes of a part are not those of its regions");
    KVP_EXPECT_BROKEN_BY(memory.bases[1], NULL, kvp_block_memory_check(&memory),
                         "a part wraps around the end of the address space");
    KVP_EXPECT_BROKEN_BY(memory.bases[0], NULL, kvp_block_memory_check(&memory),
                         "a part wraps around the end of the address space");
    KVP_EXPECT_BROKEN_BY(memory.bases[1], (char *)UINTPTR_MAX, kvp_block_memory_check(&memory),
                         "a part wraps around the end of the address space");
    KVP_EXPECT_BROKEN_BY(memory.bases[2], memory.bases[0] + 1, kvp_block_memory_check(&memory), "two parts overlap");
    kvp_block_memory_destroy(&memory);
}

KVP_TEST(memories_that_differ_in_any_measure_are_not_the_same) {
    kvp_layout layout = layout_of(KVP_LAYOUT_LAYER_BLOCKS, 1);
    kvp_block_memory one = made(&layout, room[0]), two = one;
    KVP_EXPECT(kvp_block_memory_is_same(&one, &two));
    uint64_t *measures[] = {&two.layout.num_parts,    &two.layout.region_bytes,    &two.layout.block_stride,
                            &two.layout.layer_stride, &two.layout.outer_stride,    &two.layout.config.num_layers,
                            &two.layout.layer_parts,  &two.layout.config.outer_dim};
    for (size_t i = 0; i < sizeof measures / sizeof *measures; i++) {
        ++*measures[i];
        KVP_EXPECT(!kvp_block_memory_is_same(&one, &two) && !kvp_block_memory_is_same(&two, &one));
        --*measures[i];
    }
    KVP_EXPECT(kvp_block_memory_is_same(&one, &two));
    kvp_block_memory_destroy(&one);
}

int main(void) {
    KVP_RUN(no_two_regions_share_a_byte_and_pieces_are_the_regions_in_order);
    KVP_RUN(memories_overlap_from_the_first_common_byte_on);
    KVP_RUN(memories_between_each_other_do_not_overlap);
    KVP_RUN(the_same_bytes_in_another_order_are_not_the_same_memory);
    KVP_RUN(the_check_names_each_broken_invariant);
    KVP_RUN(memories_that_differ_in_any_measure_are_not_the_same);
    return 0;
}
