#define _GNU_SOURCE
#include "kvp/arena.h"

#include "kvp/check.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((uint64_t)2 << 20)

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

static uint64_t page_size(void) {
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t round_up(uint64_t bytes, uint64_t alignment) {
    return (bytes + alignment - 1) & ~(alignment - 1);
}

/* Address space that nobody may touch; NULL when there is none. */
static char *reserve(uint64_t bytes) {
    char *start = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return start == MAP_FAILED ? NULL : start;
}

/* Put the memory or the file in the place of what was reserved. */
static bool map_over(char *start, uint64_t bytes, const kvp_arena_config *config) {
    int flags = MAP_FIXED | (config->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED);
    int access = config->fd < 0 || config->is_writable ? PROT_READ | PROT_WRITE : PROT_READ;
    if (mmap(start, bytes, access, flags, config->fd, 0) == MAP_FAILED)
        return false;
#ifdef MADV_HUGEPAGE
    if (config->has_huge_pages)
        (void)madvise(start, bytes, MADV_HUGEPAGE); /* only advice: small pages serve as well */
#endif
    return true;
}

/* Where the kernel cannot do it for all pages at once (before 5.14). Nobody else has the memory yet. */
static void touch(char *start, uint64_t bytes, bool is_writable) {
    for (uint64_t at = 0; at < bytes; at += page_size()) {
        volatile char *byte = start + at;
        char was = *byte;
        if (is_writable)
            *byte = was;
    }
}

static bool populate(char *start, uint64_t bytes, bool is_writable) {
#ifdef MADV_POPULATE_WRITE
    if (madvise(start, bytes, is_writable ? MADV_POPULATE_WRITE : MADV_POPULATE_READ) == 0)
        return true;
    if (errno != EINVAL)
        return false;
#endif
    touch(start, bytes, is_writable);
    return true;
}

kvp_status kvp_arena_init(kvp_arena *self, const kvp_arena_config *config, int *error) {
    uint64_t page = page_size();
    uint64_t unit = config->has_huge_pages && config->bytes >= HUGE_PAGE ? HUGE_PAGE : page;
    uint64_t start_alignment = config->alignment > unit ? config->alignment : unit;
    *error = 0;
    if (config->bytes > INT64_MAX / 2 || config->alignment > INT64_MAX / 8)
        return KVP_TOO_LARGE;
    uint64_t padded = round_up(config->bytes, config->alignment);
    uint64_t room = round_up(padded, page);
    uint64_t slack = start_alignment > page ? start_alignment : 0;
    char *reserved = reserve(slack + room + page);
    if (!reserved) {
        *error = errno;
        return KVP_NO_MEMORY;
    }
    char *start = (char *)round_up((uintptr_t)reserved, start_alignment);
    uint64_t before = (uint64_t)(start - reserved);
    if (before)
        munmap(reserved, before);
    if (slack - before)
        munmap(start + room + page, slack - before);
    bool is_populating = config->is_populated && room;
    if (!map_over(start, room, config) ||
        (is_populating && !populate(start, room, config->fd < 0 || config->is_writable))) {
        *error = errno;
        munmap(start, room + page);
        return KVP_NO_MEMORY;
    }
    memset(self, 0, sizeof *self);
    self->mapping = start;
    self->mapping_bytes = room + page;
    self->is_private = config->fd < 0;
    /* A file begins where its mapping begins; private memory ends where the guard begins. */
    self->data = self->is_private ? start + room - padded : start;
    self->room = (uint64_t)(start + room - self->data);
    self->bytes = config->bytes;
    self->alignment = config->alignment;
    KVP_ASSERT(kvp_arena_check(self) == NULL);
    return KVP_OK;
}

void kvp_arena_destroy(kvp_arena *self) {
    if (self->mapping)
        munmap(self->mapping, self->mapping_bytes);
    memset(self, 0, sizeof *self);
}

kvp_status kvp_arena_sync(const kvp_arena *self, int *error) {
    *error = 0;
    if (self->is_private || msync(self->mapping, self->mapping_bytes - page_size(), MS_SYNC) == 0)
        return KVP_OK;
    *error = errno;
    return KVP_NO_MEMORY;
}

const char *kvp_arena_check(const kvp_arena *self) {
    uint64_t page = page_size();
    KVP_REQUIRE(self->mapping && self->mapping <= self->data, "the data begin before the mapping");
    KVP_REQUIRE((uintptr_t)self->data % self->alignment == 0 && (uintptr_t)self->mapping % page == 0,
                "the data or the mapping are not aligned");
    KVP_REQUIRE(self->bytes && self->bytes <= self->room, "the bytes go beyond the room for them");
    KVP_REQUIRE(self->data + self->room + page == self->mapping + self->mapping_bytes,
                "the room does not end at the guard page");
    KVP_REQUIRE(!self->is_private || self->alignment > page || self->room - self->bytes < self->alignment,
                "there is a gap before the guard page");
    return NULL;
}
