/*
 * First in, first out: blocks go in the order in which they first came back; a hit changes nothing.
 */
#include "block_lists.h"

enum { PASSED = 1 }; /* its turn came while it was held, or continued by others: it goes as soon as it can */

static void add(kvp_policy *base, int32_t id) {
    kvp_block_lists *self = (kvp_block_lists *)base;
    if (kvp_block_lists_has(self, id))
        return;
    if (self->marks[id] == PASSED)
        kvp_block_lists_push_oldest(self, 0, id);
    else
        kvp_block_lists_push_newest(self, 0, id);
}

static int32_t next(kvp_policy *base) {
    kvp_block_lists *self = (kvp_block_lists *)base;
    for (;;) {
        int32_t id = kvp_block_lists_oldest(self, 0);
        (void)kvp_block_lists_take(self, id);
        self->marks[id] = PASSED;
        if (base->rows[id].refs == 0)
            return id;
    }
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    kvp_block_lists *self = (kvp_block_lists *)base;
    (void)is_evicted;
    if (kvp_block_lists_has(self, id))
        (void)kvp_block_lists_take(self, id);
    self->marks[id] = 0;
}

static void clear(kvp_policy *base) {
    kvp_block_lists_clear((kvp_block_lists *)base);
}

static void destroy(kvp_policy *base) {
    kvp_block_lists_delete((kvp_block_lists *)base, sizeof(kvp_block_lists));
}

static const char *check(const kvp_policy *base, int32_t *count) {
    return kvp_block_lists_check((const kvp_block_lists *)base, count);
}

kvp_policy *kvp_fifo_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.add = add,
                                  .remove = kvp_block_lists_stay,
                                  .next = next,
                                  .add_next = add,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    (void)config;
    return kvp_block_lists_new(sizeof(kvp_block_lists), &methods, table, first_end);
}
