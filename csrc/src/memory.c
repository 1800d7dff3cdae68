#define _GNU_SOURCE
#include "kvp/memory.h"

#include "kvp/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Tests make the n-th allocation fail by defining this to a function of their own. */
#ifndef KVP_MEMORY_REFUSED
#define KVP_MEMORY_REFUSED() 0
#endif

#define ALIGNMENT ((size_t)64)
#define HUGE_PAGE ((size_t)2 << 20)

#if KVP_IS_SANITIZED
#define MAP_THRESHOLD SIZE_MAX /* the sanitizers see the bounds of malloc, not those of a mapping */
#else
#define MAP_THRESHOLD ((size_t)1 << 20)
#endif

static bool rounded_bytes(size_t count, size_t size, size_t *bytes) {
    if (__builtin_mul_overflow(count ? count : 1, size, bytes) || *bytes > SIZE_MAX / 2)
        return false;
    *bytes = (*bytes + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    return true;
}

static void *new_mapping(size_t bytes, bool populate) {
    size_t slack = bytes >= HUGE_PAGE ? HUGE_PAGE : 0;
    char *start = mmap(NULL, bytes + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    if (slack) { /* begin on a huge page, and give back what lies before and behind */
        size_t before = (HUGE_PAGE - (uintptr_t)start % HUGE_PAGE) % HUGE_PAGE;
        size_t page = 4096;
        size_t behind = (slack - before) & ~(page - 1);
        if (before)
            munmap(start, before);
        start += before;
        size_t kept = (bytes + page - 1) & ~(page - 1);
        if (behind && kept < bytes + slack - before)
            munmap(start + kept, bytes + slack - before - kept);
#ifdef MADV_HUGEPAGE
        if (populate)
            (void)madvise(start, bytes, MADV_HUGEPAGE);
#endif
    }
#ifdef MADV_POPULATE_WRITE
    if (populate)
        (void)madvise(start, bytes, MADV_POPULATE_WRITE); /* kernels before 5.14 fault in at first use instead */
#endif
    return start;
}

static void *new_array(size_t count, size_t size, bool populate) {
    size_t bytes;
    if (!rounded_bytes(count, size, &bytes) || KVP_MEMORY_REFUSED())
        return NULL;
    if (bytes >= MAP_THRESHOLD)
        return new_mapping(bytes, populate);
    void *memory = aligned_alloc(ALIGNMENT, bytes);
    if (memory)
        memset(memory, 0, bytes);
    return memory;
}

void *kvp_memory_new(size_t count, size_t size) {
    return new_array(count, size, true);
}

void *kvp_memory_new_lazy(size_t count, size_t size) {
    return new_array(count, size, false);
}

void kvp_memory_free(void *memory, size_t count, size_t size) {
    size_t bytes;
    if (!memory || !rounded_bytes(count, size, &bytes))
        return;
    if (bytes >= MAP_THRESHOLD)
        munmap(memory, bytes);
    else
        free(memory);
}

void *kvp_memory_new_raw(size_t bytes) {
    return KVP_MEMORY_REFUSED() ? NULL : malloc(bytes);
}

void kvp_memory_free_raw(void *memory) {
    free(memory);
}
