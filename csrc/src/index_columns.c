#include "kvp/index_columns.h"

#include "kvp/check.h"

#include <string.h>

#define RADIX 256

/* What the check works out, in the scratch. */
typedef struct work {
    uint64_t *sorted;    /* owned by the caller; 2 for each entry */
    int32_t *entries;    /* owned by the caller; by id: its entry + 1; 0 for none */
    uint32_t *children;  /* owned by the caller; by entry */
    uint8_t *is_visited; /* owned by the caller; by entry */
} work;

size_t kvp_index_columns_scratch(uint32_t count, int32_t num_blocks) {
    size_t an_entry = 2 * sizeof(uint64_t) + sizeof(uint32_t) + 1;
    return an_entry * count + sizeof(int32_t) * (size_t)num_blocks;
}

static work divide(void *scratch, uint32_t count, int32_t num_blocks) {
    work w = {.sorted = scratch};
    w.children = (uint32_t *)(w.sorted + 2 * (size_t)count);
    w.entries = (int32_t *)(w.children + count);
    w.is_visited = (uint8_t *)(w.entries + num_blocks);
    return w;
}

/* Entry of an id that may be anything; -1 for none. */
static int64_t entry_of(const work *w, int32_t id, int32_t num_blocks) {
    return id >= 0 && id < num_blocks ? (int64_t)w->entries[id] - 1 : -1;
}

static const char *check_values(const kvp_index_columns *self, int32_t num_blocks, uint32_t num_spaces, work *w,
                                uint32_t *at) {
    for (uint32_t i = 0; i < self->count; i++) {
        int32_t id = self->ids[i];
        *at = i;
        KVP_REQUIRE(id >= 0 && id < num_blocks, "its id is not one of the pool's");
        KVP_REQUIRE(w->entries[id] == 0, "its id is another block's as well");
        KVP_REQUIRE(self->levels[i] <= KVP_MAX_PRIORITY, "its priority is above the highest");
        KVP_REQUIRE(self->spaces[i] < num_spaces, "its namespace is not one of the index's");
        KVP_REQUIRE(self->is_parked[i] <= 1, "whether it is set aside is neither yes nor no");
        KVP_REQUIRE(!self->has_tokens || self->has_tokens[i] <= 1,
                    "whether its tokens are known is neither yes nor no");
        w->entries[id] = (int32_t)i + 1;
    }
    return NULL;
}

static const char *check_parents(const kvp_index_columns *self, int32_t num_blocks, work *w, uint32_t *at) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->parents[i] == KVP_NO_BLOCK)
            continue;
        int64_t parent = entry_of(w, self->parents[i], num_blocks);
        *at = i;
        KVP_REQUIRE(parent >= 0, "its parent is not in the index");
        KVP_REQUIRE(self->spaces[parent] == self->spaces[i], "its parent is of another namespace");
        KVP_REQUIRE(w->children[parent] < KVP_MAX_CHILDREN, "its parent has too many children");
        w->children[parent]++;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        *at = i;
        KVP_REQUIRE(!self->is_parked[i] || w->children[i] > 0, "it is set aside, but nothing continues it");
    }
    return NULL;
}

/* Leaves are taken away until there are none: what is left then are the blocks of cycles. Each leaf that goes may make
 * one of its parent, so each entry is looked at twice. Counts of children are used up. */
static const char *check_ends(const kvp_index_columns *self, const work *w, uint32_t *at) {
    for (uint32_t start = 0; start < self->count; start++) {
        uint32_t i = start;
        while (!w->is_visited[i] && w->children[i] == 0) {
            w->is_visited[i] = 1;
            if (self->parents[i] == KVP_NO_BLOCK)
                break;
            i = (uint32_t)w->entries[self->parents[i]] - 1;
            w->children[i]--;
        }
    }
    for (uint32_t i = 0; i < self->count; i++) {
        *at = i;
        KVP_REQUIRE(w->is_visited[i], "it is its own ancestor");
        w->is_visited[i] = 0;
    }
    return NULL;
}

/* Ascending, a byte at a time, so that no order of the hashes makes it slow. `other` has as much room. */
static void sort(uint64_t *values, uint64_t *other, uint32_t n) {
    for (uint32_t shift = 0; shift < 64; shift += 8) {
        uint32_t ends[RADIX] = {0};
        for (uint32_t i = 0; i < n; i++)
            ends[values[i] >> shift & (RADIX - 1)]++;
        for (uint32_t digit = 0, sum = 0; digit < RADIX; digit++) {
            uint32_t count = ends[digit];
            ends[digit] = sum;
            sum += count;
        }
        for (uint32_t i = 0; i < n; i++)
            other[ends[values[i] >> shift & (RADIX - 1)]++] = values[i];
        uint64_t *swapped = values;
        values = other;
        other = swapped;
    }
}

static bool has_elder(const kvp_index_columns *self, uint32_t i) {
    return self->elders && self->elders[i] != KVP_NO_BLOCK;
}

/* The oldest copies, one for each hash, have different ones. */
static const char *check_hashes(const kvp_index_columns *self, const work *w, uint32_t *at) {
    uint32_t oldest = 0;
    for (uint32_t i = 0; i < self->count; i++)
        if (!has_elder(self, i))
            w->sorted[oldest++] = self->hashes[i];
    sort(w->sorted, w->sorted + self->count, oldest);
    for (uint32_t i = 1; i < oldest; i++) {
        if (w->sorted[i] != w->sorted[i - 1])
            continue;
        *at = 0;
        for (uint32_t j = 0; j < self->count; j++)
            if (self->hashes[j] == w->sorted[i])
                *at = j;
        return "its hash is another block's as well";
    }
    return NULL;
}

/* Each copy has a younger one at most, so the copies of one hash are a line, unless they are a ring: those are what no
 * line reaches. `children` is used anew, for the younger one: its entry + 1. */
static const char *check_copies(const kvp_index_columns *self, int32_t num_blocks, work *w, uint32_t *at) {
    memset(w->children, 0, self->count * sizeof *w->children);
    for (uint32_t i = 0; i < self->count; i++) {
        if (!has_elder(self, i))
            continue;
        int64_t elder = entry_of(w, self->elders[i], num_blocks);
        *at = i;
        KVP_REQUIRE(elder >= 0 && self->hashes[elder] == self->hashes[i], "its older copy is not one of its hash");
        KVP_REQUIRE(self->spaces[elder] == self->spaces[i], "its older copy is of another namespace");
        KVP_REQUIRE(w->children[elder] == 0, "its older copy is another's as well");
        w->children[elder] = i + 1;
    }
    for (uint32_t start = 0; start < self->count; start++)
        for (int64_t i = has_elder(self, start) ? -1 : (int64_t)start; i >= 0; i = (int64_t)w->children[i] - 1)
            w->is_visited[i] = 1;
    for (uint32_t i = 0; i < self->count; i++) {
        *at = i;
        KVP_REQUIRE(w->is_visited[i], "it is older than itself");
    }
    return NULL;
}

const char *kvp_index_columns_check(const kvp_index_columns *self, int32_t num_blocks, uint32_t num_spaces,
                                    void *scratch, uint32_t *at) {
    *at = 0;
    KVP_REQUIRE((int64_t)self->count <= num_blocks, "there are more blocks than the pool has");
    work w = divide(scratch, self->count, num_blocks);
    const char *broken = check_values(self, num_blocks, num_spaces, &w, at);
    if (!broken)
        broken = check_parents(self, num_blocks, &w, at);
    if (!broken)
        broken = check_ends(self, &w, at);
    if (!broken)
        broken = check_hashes(self, &w, at);
    if (!broken && self->elders)
        broken = check_copies(self, num_blocks, &w, at);
    return broken;
}
