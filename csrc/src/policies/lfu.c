/*
 * Least frequently used: a list for each number of hits since the block was registered, ties by recency. All that
 * were hit 63 times or more are alike.
 */
#include "block_lists.h"
#include "kvp/check.h"

#define MAX_COUNT (KVP_POLICY_LISTS - 1)

typedef struct lfu {
    kvp_block_lists lists; /* mark: hits */
    uint64_t occupied;     /* lists that have a block */
} lfu;

static void hit(kvp_policy *base, int32_t id) {
    uint8_t *count = &((lfu *)base)->lists.marks[id];
    if (*count < MAX_COUNT)
        (*count)++;
}

static void take_out(lfu *self, int32_t id) {
    uint32_t list = kvp_block_lists_take(&self->lists, id);
    if (self->lists.lengths[list] == 0)
        self->occupied &= ~(UINT64_C(1) << list);
}

/* A hit of a cached block comes before it is held: it is in the list of one hit less, or of more. */
static void take_back(kvp_policy *base, int32_t id) {
    take_out((lfu *)base, id);
}

static void add(kvp_policy *base, int32_t id) {
    lfu *self = (lfu *)base;
    uint32_t list = self->lists.marks[id];
    kvp_block_lists_push_newest(&self->lists, list, id);
    self->occupied |= UINT64_C(1) << list;
}

static void add_next(kvp_policy *base, int32_t id) {
    lfu *self = (lfu *)base;
    uint32_t list = self->lists.marks[id];
    kvp_block_lists_push_oldest(&self->lists, list, id);
    self->occupied |= UINT64_C(1) << list;
}

static int32_t next(kvp_policy *base) {
    lfu *self = (lfu *)base;
    int32_t id = kvp_block_lists_oldest(&self->lists, (uint32_t)__builtin_ctzll(self->occupied));
    take_out(self, id);
    return id;
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    (void)is_evicted;
    ((lfu *)base)->lists.marks[id] = 0;
}

static void clear(kvp_policy *base) {
    kvp_block_lists_clear(&((lfu *)base)->lists);
    ((lfu *)base)->occupied = 0;
}

static void destroy(kvp_policy *base) {
    kvp_block_lists_delete(&((lfu *)base)->lists, sizeof(lfu));
}

static const char *check(const kvp_policy *base, int32_t *count) {
    const lfu *self = (const lfu *)base;
    for (uint32_t list = 0; list < KVP_POLICY_LISTS; list++)
        KVP_REQUIRE((self->occupied >> list & 1) == (self->lists.lengths[list] > 0),
                    "the bitmap of frequencies disagrees with a list");
    return kvp_block_lists_check(&self->lists, count);
}

kvp_policy *kvp_lfu_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.hit = hit,
                                  .add = add,
                                  .remove = take_back,
                                  .next = next,
                                  .add_next = add_next,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    (void)config;
    return kvp_block_lists_new(sizeof(lfu), &methods, table, first_end);
}
