/*
 * S3-FIFO (Yang and others, SOSP 2023): new blocks pass through a small queue, a tenth of the pool; those that were
 * hit twice on the way go on to the main queue, the others are evicted, and remembered by their hashes: one that
 * comes again soon goes to the main queue at once. There a block goes round once more for each hit, of three at most.
 */
#include "block_lists.h"
#include "kvp/check.h"
#include "kvp/hash_ring.h"

enum { SMALL = 0, MAIN = 1 }; /* lists */

#define HITS      3u /* bits of the mark: hits, at most 3 */
#define IN_MAIN   4u /* the main queue is where it belongs */
#define GOES_NEXT 8u /* its turn came, but others continued it */

typedef struct s3fifo {
    kvp_block_lists lists;
    kvp_hash_ring ghosts; /* evicted from the small queue */
} s3fifo;

static void admit(kvp_policy *base, int32_t id) {
    s3fifo *self = (s3fifo *)base;
    uint32_t ghost = kvp_hash_ring_find(&self->ghosts, base->rows[id].hash);
    self->lists.marks[id] = ghost == KVP_NO_SLOT ? 0 : IN_MAIN;
    if (ghost != KVP_NO_SLOT)
        kvp_hash_ring_remove(&self->ghosts, ghost);
}

static void hit(kvp_policy *base, int32_t id) {
    uint8_t *mark = &((s3fifo *)base)->lists.marks[id];
    if ((*mark & HITS) < HITS)
        (*mark)++;
}

static uint32_t queue_of(const s3fifo *self, int32_t id) {
    return self->lists.marks[id] & IN_MAIN ? MAIN : SMALL;
}

static void add(kvp_policy *base, int32_t id) {
    s3fifo *self = (s3fifo *)base;
    if (!kvp_block_lists_has(&self->lists, id))
        kvp_block_lists_push_newest(&self->lists, queue_of(self, id), id);
}

static void add_next(kvp_policy *base, int32_t id) {
    s3fifo *self = (s3fifo *)base;
    self->lists.marks[id] |= GOES_NEXT;
    kvp_block_lists_push_oldest(&self->lists, queue_of(self, id), id);
}

/* Look at the oldest of a queue; true when it goes. One that is held goes to the main queue when it comes back. */
static bool look_at(s3fifo *self, int32_t id) {
    uint8_t *mark = &self->lists.marks[id];
    uint32_t from = kvp_block_lists_take(&self->lists, id);
    if (self->lists.base.rows[id].refs > 0) {
        *mark = IN_MAIN | (*mark & HITS);
        return false;
    }
    if (*mark & GOES_NEXT || (from == MAIN ? (*mark & HITS) == 0 : (*mark & HITS) < 2))
        return true;
    if (from == SMALL)
        *mark = IN_MAIN;
    else
        (*mark)--;
    kvp_block_lists_push_newest(&self->lists, MAIN, id);
    return false;
}

static int32_t next(kvp_policy *base) {
    s3fifo *self = (s3fifo *)base;
    for (;;) {
        const int32_t *lengths = self->lists.lengths;
        uint32_t from = lengths[SMALL] > base->num_blocks / 10 || lengths[MAIN] == 0 ? SMALL : MAIN;
        int32_t id = kvp_block_lists_oldest(&self->lists, lengths[from] > 0 ? from : SMALL);
        if (look_at(self, id))
            return id;
    }
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    s3fifo *self = (s3fifo *)base;
    if (kvp_block_lists_has(&self->lists, id))
        (void)kvp_block_lists_take(&self->lists, id);
    if (is_evicted && queue_of(self, id) == SMALL) {
        if (kvp_hash_ring_is_full(&self->ghosts))
            kvp_hash_ring_drop_oldest(&self->ghosts);
        (void)kvp_hash_ring_put(&self->ghosts, base->rows[id].hash, 0);
    }
    self->lists.marks[id] = 0;
}

static void clear(kvp_policy *base) {
    kvp_block_lists_clear(&((s3fifo *)base)->lists);
    kvp_hash_ring_clear(&((s3fifo *)base)->ghosts);
}

static void destroy(kvp_policy *base) {
    kvp_hash_ring_destroy(&((s3fifo *)base)->ghosts);
    kvp_block_lists_delete(&((s3fifo *)base)->lists, sizeof(s3fifo));
}

static const char *check(const kvp_policy *base, int32_t *count) {
    const s3fifo *self = (const s3fifo *)base;
    for (int32_t id = 0; id < base->num_blocks; id++)
        KVP_REQUIRE(!kvp_block_lists_has(&self->lists, id) || self->lists.list_of[id] == queue_of(self, id),
                    "a block is in the wrong queue");
    const char *broken = kvp_hash_ring_check(&self->ghosts);
    return broken ? broken : kvp_block_lists_check(&self->lists, count);
}

kvp_policy *kvp_s3fifo_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.admit = admit,
                                  .hit = hit,
                                  .add = add,
                                  .remove = kvp_block_lists_stay,
                                  .next = next,
                                  .add_next = add_next,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    s3fifo *self = kvp_block_lists_new(sizeof(s3fifo), &methods, table, first_end);
    if (!self)
        return NULL;
    if (kvp_hash_ring_init(&self->ghosts, (uint32_t)table->num_blocks, config->secret) != KVP_OK) {
        kvp_block_lists_delete(&self->lists, sizeof(s3fifo));
        return NULL;
    }
    return &self->lists.base;
}
