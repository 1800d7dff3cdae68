#include "ctest.h"
#include "kvp/block_copy.h"
#include "kvp/memory.h"

enum { NUM_BLOCKS = 24, NUM_LAYERS = 3 };

typedef struct side {
    kvp_block_memory memory;
    char *room;
    uint64_t bytes;
} side;

static kvp_layout layout_of(kvp_layout_kind kind, uint64_t num_blocks, uint64_t page_size, uint64_t alignment) {
    kvp_layout_config config = {.num_blocks = num_blocks,
                                .num_layers = NUM_LAYERS,
                                .outer_dim = 2,
                                .page_size = page_size,
                                .inner_dim = 1,
                                .item_size = 1,
                                .alignment = alignment,
                                .kind = kind};
    kvp_layout layout;
    const char *product;
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK);
    return layout;
}

static side made(kvp_layout layout) {
    side made = {.bytes = layout.num_parts * layout.part_bytes};
    uint64_t bases[2 * NUM_LAYERS];
    made.room = kvp_memory_new(made.bytes, 1);
    KVP_EXPECT(made.room != NULL);
    for (uint64_t part = 0; part < layout.num_parts; part++)
        bases[part] = (uintptr_t)(made.room + part * layout.part_bytes);
    KVP_EXPECT(kvp_block_memory_init(&made.memory, &layout, bases) == KVP_OK);
    return made;
}

static void unmade(side *self) {
    kvp_memory_free(self->room, self->bytes, 1);
    kvp_block_memory_destroy(&self->memory);
}

static void fill(side *self, unsigned long long *state) {
    for (uint64_t at = 0; at < self->bytes; at++)
        self->room[at] = (char)kvp_random(state);
}

/* One region at a time, without any thought. */
static void copy_slowly(const kvp_block_copy *copy) {
    for (uint64_t i = 0; i < copy->count; i++)
        for (uint64_t region = 0; region < 2 * NUM_LAYERS; region++)
            memcpy(kvp_block_memory_region(copy->to.memory, (uint64_t)kvp_block_list_id(&copy->to, i), region),
                   kvp_block_memory_region(copy->from.memory, (uint64_t)kvp_block_list_id(&copy->from, i), region),
                   copy->from.memory->layout.region_bytes);
}

/* Different ids below the bound, with neighbours among them. */
static void choose(int32_t *ids, uint64_t n, int32_t bound, unsigned long long *state) {
    bool is_taken[NUM_BLOCKS] = {false};
    for (uint64_t i = 0; i < n; i++) {
        int32_t id = i && kvp_random_below(state, 3) ? (ids[i - 1] + 1) % bound : kvp_random_below(state, bound);
        while (is_taken[id])
            id = (id + 1) % bound;
        is_taken[id] = true;
        ids[i] = id;
    }
}

static void one_history(unsigned long long *state) {
    uint64_t page_size = (uint64_t)kvp_random_below(state, 200) + 1;
    side from = made(layout_of((kvp_layout_kind)kvp_random_below(state, 4), NUM_BLOCKS, page_size,
                               1ull << kvp_random_below(state, 7)));
    side to = made(layout_of((kvp_layout_kind)kvp_random_below(state, 4), NUM_BLOCKS - 4, page_size,
                             1ull << kvp_random_below(state, 7)));
    side model = made(to.memory.layout);
    int32_t from_ids[NUM_BLOCKS], to_ids[NUM_BLOCKS];
    uint64_t at, count = (uint64_t)kvp_random_below(state, NUM_BLOCKS - 3);
    bool is_to;
    fill(&from, state);
    fill(&to, state);
    memcpy(model.room, to.room, to.bytes);
    choose(to_ids, count, NUM_BLOCKS - 4, state);
    choose(from_ids, count, NUM_BLOCKS, state);
    for (uint64_t i = 1; i < count; i++) /* a source may be read more than once */
        if (kvp_random_below(state, 6) == 0)
            from_ids[i] = from_ids[i - 1];
    kvp_block_copy copy = {{&from.memory, kvp_random_below(state, 4) ? from_ids : NULL},
                           {&to.memory, kvp_random_below(state, 4) ? to_ids : NULL},
                           count};
    kvp_block_copy slow = copy;
    slow.to.memory = &model.memory;
    KVP_EXPECT(kvp_block_copy_prepare(&copy, &at, &is_to) == KVP_OK);
    KVP_EXPECT_SOUND(kvp_block_copy_check(&copy));
    copy_slowly(&slow);
    if (kvp_random_below(state, 2)) {
        kvp_block_copy_run(&copy, (unsigned)kvp_random_below(state, 6));
    } else {
        kvp_run runs[NUM_BLOCKS * NUM_LAYERS * 2];
        uint64_t num_runs = kvp_block_copy_runs(&copy, runs, NUM_BLOCKS * NUM_LAYERS * 2);
        KVP_EXPECT(kvp_block_copy_runs(&copy, NULL, 0) == num_runs && num_runs <= count * NUM_LAYERS * 2);
        for (uint64_t i = 0; i < num_runs; i++)
            memcpy(runs[i].to, runs[i].from, runs[i].bytes);
    }
    KVP_EXPECT(memcmp(to.room, model.room, to.bytes) == 0); /* the gaps and the other blocks, too */
    unmade(&from);
    unmade(&to);
    unmade(&model);
}

KVP_TEST(any_copy_between_any_layouts_is_that_of_one_region_at_a_time) {
    kvp_for_seeds(600, one_history);
}

/* Beyond the size from which copies go past the caches, with runs that begin and end anywhere. */
KVP_TEST(a_large_copy_is_exact_to_the_byte) {
    static const uint64_t page_sizes[] = {250001, 1 << 18};
    for (int i = 0; i < 2; i++)
        for (unsigned threads = 1; threads <= 3; threads += 2) {
            side from = made(layout_of(KVP_LAYOUT_LAYER_BLOCKS, NUM_BLOCKS, page_sizes[i], 1));
            side to = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, page_sizes[i], 8));
            side model = made(to.memory.layout);
            for (uint64_t at = 0; at < from.bytes; at += 8)
                memcpy(from.room + at, &(uint64_t){at * 0x9E3779B97F4A7C15ull}, 8);
            kvp_block_copy copy = {{&from.memory, NULL}, {&to.memory, NULL}, NUM_BLOCKS}, slow = copy;
            slow.to.memory = &model.memory;
            kvp_block_copy_run(&copy, threads);
            copy_slowly(&slow);
            KVP_EXPECT(memcmp(to.room, model.room, to.bytes) == 0);
            unmade(&from);
            unmade(&to);
            unmade(&model);
        }
}

KVP_TEST(what_lies_together_on_both_sides_is_one_run) {
    side contiguous = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, 16, 1));
    side packed = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, 16, 16));
    side layers = made(layout_of(KVP_LAYOUT_LAYER_BLOCKS, NUM_BLOCKS, 16, 1));
    side gaps = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, 16, 32));
    const int32_t ids[] = {3, 4, 5, 9, 10, 2};
    kvp_run runs[36];
    kvp_block_copy copy = {{&contiguous.memory, ids}, {&packed.memory, NULL}, 6};
    KVP_EXPECT(kvp_block_copy_runs(&copy, runs, 36) == 3);
    KVP_EXPECT(runs[0].bytes == 3 * 96 && runs[1].bytes == 2 * 96 && runs[2].bytes == 96);
    KVP_EXPECT(runs[1].from == contiguous.room + 9 * 96 && runs[1].to == packed.room + 3 * 96);
    copy.from.memory = &layers.memory;
    KVP_EXPECT(kvp_block_copy_runs(&copy, runs, 36) == 6 * NUM_LAYERS && runs[0].bytes == 32);
    copy.to.memory = &layers.memory;
    KVP_EXPECT(kvp_block_copy_runs(&copy, runs, 36) == 3 * NUM_LAYERS && runs[0].bytes == 3 * 32);
    copy.to.memory = &gaps.memory;
    KVP_EXPECT(kvp_block_copy_runs(&copy, runs, 36) == 36 && runs[0].bytes == 16);
    copy.count = 0;
    KVP_EXPECT(kvp_block_copy_runs(&copy, runs, 36) == 0);
    unmade(&contiguous);
    unmade(&packed);
    unmade(&layers);
    unmade(&gaps);
}

static void expect_refused(const kvp_block_copy *copy, kvp_status status, uint64_t at, bool is_to) {
    uint64_t found = 999;
    bool is_found_to = !is_to;
    KVP_EXPECT(kvp_block_copy_prepare(copy, &found, &is_found_to) == status);
    KVP_EXPECT(found == at && is_found_to == is_to);
}

KVP_TEST(ids_out_of_range_and_blocks_written_twice_are_refused_by_their_place) {
    side one = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, 16, 1));
    side two = made(layout_of(KVP_LAYOUT_LAYER_OUTERS, NUM_BLOCKS - 4, 16, 1));
    const int32_t good[] = {0, 5, 7}, repeated[] = {4, 0, 4}, negative[] = {1, -1, 0}, beyond[] = {1, 2, NUM_BLOCKS};
    const int32_t beyond_two[] = {1, NUM_BLOCKS - 4, 2};
    kvp_block_copy copy = {{&one.memory, negative}, {&two.memory, good}, 3};
    expect_refused(&copy, KVP_NO_SUCH, 1, false);
    KVP_EXPECT_BROKEN(kvp_block_copy_check(&copy), "an id is not one of the source's");
    copy.from.ids = beyond;
    expect_refused(&copy, KVP_NO_SUCH, 2, false);
    copy.from.ids = repeated, copy.to.ids = beyond_two;
    expect_refused(&copy, KVP_NO_SUCH, 1, true);
    KVP_EXPECT_BROKEN(kvp_block_copy_check(&copy), "an id is not one of the destination's");
    copy.from.ids = good, copy.to.ids = repeated;
    expect_refused(&copy, KVP_OVERLAP, 2, true);
    copy.to.ids = NULL, copy.from.ids = NULL, copy.count = NUM_BLOCKS - 3;
    expect_refused(&copy, KVP_NO_SUCH, NUM_BLOCKS - 4, true);
    unmade(&one);
    unmade(&two);
}

KVP_TEST(within_a_memory_no_block_is_both_read_and_written) {
    side one = made(layout_of(KVP_LAYOUT_LAYER_BLOCKS, NUM_BLOCKS, 16, 1));
    side shifted = {.memory = {.bases = NULL}};
    const int32_t low[] = {0, 1, 2}, high[] = {10, 11, 12}, mixed[] = {10, 3, 1};
    kvp_block_copy copy = {{&one.memory, low}, {&one.memory, high}, 3};
    uint64_t at, bases[NUM_LAYERS];
    bool is_to;
    KVP_EXPECT(kvp_block_copy_prepare(&copy, &at, &is_to) == KVP_OK);
    copy.to.ids = mixed;
    expect_refused(&copy, KVP_OVERLAP, 1, false);
    copy.to.ids = low;
    expect_refused(&copy, KVP_OVERLAP, 0, false);
    for (uint64_t part = 0; part < NUM_LAYERS; part++)
        bases[part] = (uintptr_t)(one.memory.bases[part] + 1); /* the same memory, seen otherwise */
    KVP_EXPECT(kvp_block_memory_init(&shifted.memory, &one.memory.layout, bases) == KVP_OK);
    copy.to = (kvp_block_list){&shifted.memory, high};
    expect_refused(&copy, KVP_OVERLAP, 0, true);
    kvp_block_memory_destroy(&shifted.memory);
    unmade(&one);
}

KVP_TEST(blocks_of_other_sizes_do_not_pass_the_check) {
    side one = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, 16, 1));
    side two = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, 17, 1));
    kvp_block_copy copy = {{&one.memory, NULL}, {&two.memory, NULL}, 1};
    KVP_EXPECT_BROKEN(kvp_block_copy_check(&copy), "the blocks of the two sides are not of the same sizes");
    two.memory.layout.region_bytes = one.memory.layout.region_bytes;
    two.memory.layout.config.num_layers++;
    KVP_EXPECT_BROKEN(kvp_block_copy_check(&copy), "the blocks of the two sides are not of the same sizes");
    two.memory.layout.config.num_layers--;
    two.memory.layout.config.outer_dim++;
    KVP_EXPECT_BROKEN(kvp_block_copy_check(&copy), "the blocks of the two sides are not of the same sizes");
    two.memory.layout.config.outer_dim--;
    KVP_EXPECT_SOUND(kvp_block_copy_check(&copy));
    unmade(&one);
    unmade(&two);
}

/* Within one memory, what is read must not be written: below, above and between what is. */
KVP_TEST(blocks_beside_those_that_are_written_may_be_read) {
    side one = made(layout_of(KVP_LAYOUT_CONTIGUOUS, NUM_BLOCKS, 16, 1));
    static const int32_t beside[] = {1, 20, 6}, into[] = {5, 9, 7}, among[] = {1, 20, 9};
    kvp_block_copy copy = {{&one.memory, beside}, {&one.memory, into}, 3};
    uint64_t at;
    bool is_to;
    KVP_EXPECT(kvp_block_copy_prepare(&copy, &at, &is_to) == KVP_OK);
    copy.from.ids = among;
    KVP_EXPECT(kvp_block_copy_prepare(&copy, &at, &is_to) == KVP_OVERLAP && at == 2 && !is_to);
    unmade(&one);
}

/* Runs of less than a line, of so much in all that it goes past the caches. */
KVP_TEST(many_small_blocks_are_copied_past_the_caches_and_nothing_beside_them) {
    enum { BLOCKS = 850000, BYTES = 40, STRIDE = 64 };
    kvp_layout_config config = {.num_blocks = BLOCKS,
                                .num_layers = 1,
                                .outer_dim = 1,
                                .page_size = BYTES,
                                .inner_dim = 1,
                                .item_size = 1,
                                .alignment = STRIDE};
    kvp_layout layout;
    const char *product;
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK);
    side from = made(layout), to = made(layout);
    for (uint64_t at = 0; at < from.bytes; at++)
        from.room[at] = (char)(at * 7 + at / STRIDE);
    kvp_block_copy copy = {{&from.memory, NULL}, {&to.memory, NULL}, BLOCKS};
    kvp_block_copy_run(&copy, 1);
    for (uint64_t block = 0; block < BLOCKS; block++) {
        const char *was = from.room + block * STRIDE, *is = to.room + block * STRIDE;
        KVP_EXPECT(memcmp(was, is, BYTES) == 0 && is[BYTES] == 0 && is[STRIDE - 1] == 0);
    }
    unmade(&from);
    unmade(&to);
}

int main(void) {
    KVP_RUN(any_copy_between_any_layouts_is_that_of_one_region_at_a_time);
    KVP_RUN(a_large_copy_is_exact_to_the_byte);
    KVP_RUN(what_lies_together_on_both_sides_is_one_run);
    KVP_RUN(ids_out_of_range_and_blocks_written_twice_are_refused_by_their_place);
    KVP_RUN(within_a_memory_no_block_is_both_read_and_written);
    KVP_RUN(blocks_of_other_sizes_do_not_pass_the_check);
    KVP_RUN(blocks_beside_those_that_are_written_may_be_read);
    KVP_RUN(many_small_blocks_are_copied_past_the_caches_and_nothing_beside_them);
    return 0;
}
