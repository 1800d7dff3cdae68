/*
 * Segmented LRU (Karedla, Love and Wherry, 1994): blocks that were hit are protected, as long as they are at most
 * four fifths of the pool; the oldest of more go back among those on probation, which are evicted first.
 */
#include "block_lists.h"
#include "kvp/check.h"

enum { PROBATION = 0, PROTECTED = 1 }; /* lists, and marks: where the block belongs */

static void hit(kvp_policy *base, int32_t id) {
    ((kvp_block_lists *)base)->marks[id] = PROTECTED;
}

static void add(kvp_policy *base, int32_t id) {
    kvp_block_lists *self = (kvp_block_lists *)base;
    kvp_block_lists_push_newest(self, self->marks[id], id);
    if (self->lengths[PROTECTED] > base->num_blocks - base->num_blocks / 5) {
        int32_t demoted = kvp_block_lists_oldest(self, PROTECTED);
        (void)kvp_block_lists_take(self, demoted);
        self->marks[demoted] = PROBATION;
        kvp_block_lists_push_newest(self, PROBATION, demoted);
    }
}

static void add_next(kvp_policy *base, int32_t id) {
    kvp_block_lists *self = (kvp_block_lists *)base;
    kvp_block_lists_push_oldest(self, self->marks[id], id);
}

static int32_t next(kvp_policy *base) {
    kvp_block_lists *self = (kvp_block_lists *)base;
    int32_t id = kvp_block_lists_oldest(self, self->lengths[PROBATION] > 0 ? PROBATION : PROTECTED);
    (void)kvp_block_lists_take(self, id);
    return id;
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    (void)is_evicted;
    ((kvp_block_lists *)base)->marks[id] = PROBATION;
}

static void clear(kvp_policy *base) {
    kvp_block_lists_clear((kvp_block_lists *)base);
}

static void destroy(kvp_policy *base) {
    kvp_block_lists_delete((kvp_block_lists *)base, sizeof(kvp_block_lists));
}

static const char *check(const kvp_policy *base, int32_t *count) {
    const kvp_block_lists *self = (const kvp_block_lists *)base;
    int32_t limit = base->num_blocks - base->num_blocks / 5;
    KVP_REQUIRE(self->lengths[PROTECTED] <= limit + 1, "more blocks are protected than may be");
    return kvp_block_lists_check(self, count);
}

kvp_policy *kvp_slru_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.hit = hit,
                                  .add = add,
                                  .remove = kvp_block_lists_remove,
                                  .next = next,
                                  .add_next = add_next,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    (void)config;
    return kvp_block_lists_new(sizeof(kvp_block_lists), &methods, table, first_end);
}
