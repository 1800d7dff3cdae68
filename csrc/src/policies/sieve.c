/*
 * SIEVE (Zhang and others, NSDI 2024): one list in the order of arrival, where blocks stay; a hand goes from the
 * oldest to the newest and round again, takes the mark of a hit from the blocks that have it, and evicts the first
 * that has none.
 */
#include "block_lists.h"
#include "kvp/check.h"

enum { HIT = 1 }; /* mark */

typedef struct sieve {
    kvp_block_lists lists;
    int32_t hand; /* row: the block to look at next, or the end of the list */
} sieve;

static void hit(kvp_policy *base, int32_t id) {
    ((sieve *)base)->lists.marks[id] = HIT;
}

static void take_out(sieve *self, int32_t id) {
    if (self->hand == id)
        self->hand = self->lists.base.rows[id].next;
    (void)kvp_block_lists_take(&self->lists, id);
}

static void add(kvp_policy *base, int32_t id) {
    sieve *self = (sieve *)base;
    if (!kvp_block_lists_has(&self->lists, id))
        kvp_block_lists_push_newest(&self->lists, 0, id);
}

/* Where the hand is. */
static void add_next(kvp_policy *base, int32_t id) {
    sieve *self = (sieve *)base;
    kvp_lru_list_insert(base->rows, base->rows[self->hand].prev, id, self->hand);
    self->lists.list_of[id] = 0;
    self->lists.lengths[0]++;
    self->lists.marks[id] = 0;
    self->hand = id;
}

/* A block that is held counts as hit: it comes back as the newest. */
static int32_t next(kvp_policy *base) {
    sieve *self = (sieve *)base;
    for (;;) {
        if (self->hand == base->first_end)
            self->hand = base->rows[base->first_end].next;
        int32_t id = self->hand;
        if (base->rows[id].refs > 0) {
            take_out(self, id);
        } else if (self->lists.marks[id] == HIT) {
            self->lists.marks[id] = 0;
            self->hand = base->rows[id].next;
        } else {
            take_out(self, id);
            return id;
        }
    }
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    sieve *self = (sieve *)base;
    (void)is_evicted;
    if (kvp_block_lists_has(&self->lists, id))
        take_out(self, id);
    self->lists.marks[id] = 0;
}

static void clear(kvp_policy *base) {
    kvp_block_lists_clear(&((sieve *)base)->lists);
    ((sieve *)base)->hand = base->first_end;
}

static void destroy(kvp_policy *base) {
    kvp_block_lists_delete(&((sieve *)base)->lists, sizeof(sieve));
}

static const char *check(const kvp_policy *base, int32_t *count) {
    const sieve *self = (const sieve *)base;
    bool is_in_list = self->hand == base->first_end || (self->hand >= 0 && self->hand < base->num_blocks &&
                                                        kvp_block_lists_has(&self->lists, self->hand));
    KVP_REQUIRE(is_in_list, "the hand points at a block that is not in the list");
    return kvp_block_lists_check(&self->lists, count);
}

kvp_policy *kvp_sieve_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.hit = hit,
                                  .add = add,
                                  .remove = kvp_block_lists_stay,
                                  .next = next,
                                  .add_next = add_next,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    (void)config;
    sieve *self = kvp_block_lists_new(sizeof(sieve), &methods, table, first_end);
    if (!self)
        return NULL;
    self->hand = first_end;
    return &self->lists.base;
}
