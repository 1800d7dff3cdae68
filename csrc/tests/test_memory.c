#include "ctest.h"
#include "kvp/check.h"
#include "kvp/memory.h"

#include <unistd.h>

typedef void *allocator(size_t count, size_t size);

static allocator *const allocators[] = {kvp_memory_new, kvp_memory_new_lazy};

KVP_TEST(sizes_that_overflow_are_refused) {
    for (int i = 0; i < 2; i++) {
        KVP_EXPECT(allocators[i](SIZE_MAX, 2) == NULL);
        KVP_EXPECT(allocators[i](2, SIZE_MAX) == NULL);
        KVP_EXPECT(allocators[i]((size_t)1 << 32, (size_t)1 << 32) == NULL);
        KVP_EXPECT(allocators[i](SIZE_MAX, 1) == NULL);
        KVP_EXPECT(allocators[i](SIZE_MAX / 2 + 1, 1) == NULL);
    }
}

#if !KVP_IS_SANITIZED /* these end the process instead */
KVP_TEST(more_than_the_system_has_is_refused) {
    for (int i = 0; i < 2; i++)
        KVP_EXPECT(allocators[i](SIZE_MAX / 4, 1) == NULL);
}
#endif

/* On both sides of the sizes from which pages are mapped and from which they are huge. */
KVP_TEST(arrays_are_zero_aligned_and_writable_to_their_last_byte) {
    static const size_t sizes[] = {1,       63,      64,      65,      4096,    (1 << 20) - 64, (1 << 20) - 63,
                                   1 << 20, 1050000, 2 << 20, 2097153, 5 << 20, 6000001};
    for (int i = 0; i < 2; i++) {
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
            unsigned char *bytes = allocators[i](sizes[s], 1);
            KVP_EXPECT(bytes != NULL && (uintptr_t)bytes % 64 == 0);
            for (size_t at = 0; at < sizes[s]; at++)
                KVP_EXPECT(bytes[at] == 0);
            memset(bytes, 0xAB, sizes[s]);
            KVP_EXPECT(bytes[sizes[s] - 1] == 0xAB);
            kvp_memory_free(bytes, sizes[s], 1);
        }
    }
}

KVP_TEST(a_zero_count_gives_room_for_one) {
    for (int i = 0; i < 2; i++) {
        uint64_t *one = allocators[i](0, sizeof *one);
        KVP_EXPECT(one != NULL && *one == 0);
        *one = 1;
        kvp_memory_free(one, 0, sizeof *one);
    }
}

KVP_TEST(freeing_nothing_is_allowed) {
    kvp_memory_free(NULL, 1, 1);
    kvp_memory_free_raw(NULL);
}

KVP_TEST(raw_memory_is_writable) {
    char *raw = kvp_memory_new_raw(100);
    KVP_EXPECT(raw != NULL);
    memset(raw, 1, 100);
    kvp_memory_free_raw(raw);
}

static long address_space_pages(void) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm && fscanf(statm, "%ld", &pages) != 1)
        pages = 0;
    if (statm)
        fclose(statm);
    return pages;
}

/* A mapping is cut to begin on a huge page: what is cut off must go back, and so must the rest when it is freed. The
 * leak checker does not watch mappings, so the address space is measured instead. */
KVP_TEST(mappings_go_back_whole) {
    static const size_t sizes[] = {1 << 20, 3000001, 2 << 20, (4 << 20) + 1};
    long before = 0;
    for (int round = 0; round < 110; round++) {
        if (round == 10) /* what the C library and a sanitizer keep for themselves is there by now */
            before = address_space_pages();
        for (int i = 0; i < 2; i++)
            for (int s = 0; s < 4; s++)
                kvp_memory_free(allocators[i](sizes[s], 1), sizes[s], 1);
    }
    long grown = (address_space_pages() - before) * sysconf(_SC_PAGESIZE);
    KVP_EXPECT(grown < (16 << 20)); /* 800 cuts of up to 2 MB each, were they lost */
}

int main(void) {
    KVP_RUN(sizes_that_overflow_are_refused);
#if !KVP_IS_SANITIZED
    KVP_RUN(more_than_the_system_has_is_refused);
#endif
    KVP_RUN(arrays_are_zero_aligned_and_writable_to_their_last_byte);
    KVP_RUN(a_zero_count_gives_room_for_one);
    KVP_RUN(freeing_nothing_is_allowed);
    KVP_RUN(raw_memory_is_writable);
    KVP_RUN(mappings_go_back_whole);
    return 0;
}
