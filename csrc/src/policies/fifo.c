/*
 * First in, first out: blocks go in the order in which they first came back; a hit changes nothing. A block that is held
 * again stays where it is in the list, and is passed over there.
 */
#include "kvp/check.h"
#include "kvp/lru_list.h"
#include "kvp/memory.h"
#include "policies.h"

#include <string.h>

typedef enum place {
    OUTSIDE = 0, /* it has not come back yet */
    LINKED,      /* in the list, cached or held */
    PASSED,      /* its turn came while it was held, or continued by others */
} place;

typedef struct fifo {
    kvp_policy base;
    uint8_t *places; /* owned; by id */
} fifo;

static void add(kvp_policy *base, int32_t id) {
    fifo *self = (fifo *)base;
    if (self->places[id] == LINKED)
        return;
    if (self->places[id] == PASSED)
        kvp_lru_list_push_oldest(base->rows, base->first_end, id);
    else
        kvp_lru_list_push_newest(base->rows, base->first_end, id);
    self->places[id] = LINKED;
}

static void remain(kvp_policy *base, int32_t id) {
    (void)base;
    (void)id;
}

static void take_out(fifo *self, int32_t id, place where) {
    kvp_block *row = &self->base.rows[id];
    kvp_lru_list_close(self->base.rows, row->prev, row->next);
    self->places[id] = (uint8_t)where;
}

static int32_t next(kvp_policy *base) {
    fifo *self = (fifo *)base;
    for (;;) {
        int32_t id = base->rows[base->first_end].next;
        take_out(self, id, PASSED);
        if (base->rows[id].refs == 0)
            return id;
    }
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    fifo *self = (fifo *)base;
    (void)is_evicted;
    if (self->places[id] == LINKED)
        take_out(self, id, OUTSIDE);
    self->places[id] = OUTSIDE;
}

static void clear(kvp_policy *base) {
    fifo *self = (fifo *)base;
    kvp_lru_list_init(base->rows, base->first_end);
    memset(self->places, OUTSIDE, (size_t)base->num_blocks);
}

static void destroy(kvp_policy *base) {
    kvp_memory_free(((fifo *)base)->places, (size_t)base->num_blocks, 1);
    kvp_policy_deallocate(base, sizeof(fifo));
}

static const char *check(const kvp_policy *base, int32_t *count) {
    const fifo *self = (const fifo *)base;
    int32_t length, linked = 0, end = base->first_end;
    const char *broken = kvp_lru_list_check(base->rows, end + KVP_POLICY_LISTS, end, &length);
    if (broken)
        return broken;
    *count = 0;
    for (int32_t id = base->rows[end].next; id != end; id = base->rows[id].next) {
        KVP_REQUIRE(id < base->num_blocks && kvp_block_is_registered(&base->rows[id]),
                    "a block without identity is in the list of a policy");
        KVP_REQUIRE(self->places[id] == LINKED, "a block in the list of a policy is not known to be");
        *count += base->rows[id].refs == 0;
    }
    for (int32_t id = 0; id < base->num_blocks; id++)
        linked += self->places[id] == LINKED;
    KVP_REQUIRE(linked == length, "a block that a policy has linked is not in its list");
    return NULL;
}

kvp_policy *kvp_fifo_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.add = add,
                                  .remove = remain,
                                  .next = next,
                                  .add_next = add,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    (void)config;
    fifo *self = (fifo *)kvp_policy_allocate(sizeof(fifo), &methods, table, first_end);
    if (!self)
        return NULL;
    self->places = kvp_memory_new((size_t)table->num_blocks, 1);
    if (!self->places) {
        kvp_policy_deallocate(&self->base, sizeof(fifo));
        return NULL;
    }
    clear(&self->base);
    return &self->base;
}
