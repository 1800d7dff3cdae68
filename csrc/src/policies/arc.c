/*
 * ARC (Megiddo and Modha, FAST 2003): blocks that were asked for once, and those that were asked for again, each by
 * recency; of what was evicted from either the hashes are remembered. A block that comes back from among the
 * remembered moves the share of the pool that the blocks of its kind may have.
 */
#include "block_lists.h"
#include "kvp/check.h"
#include "kvp/hash_ring.h"

enum { ONCE = 0, AGAIN = 1 }; /* lists, ghosts, and marks: where the block belongs */

typedef struct arc {
    kvp_block_lists lists;
    kvp_hash_ring ghosts[2];
    int32_t target; /* blocks that those asked for once may have, in [0, num_blocks] */
} arc;

/* A ghost of this kind came back: its kind gets more room, the more the rarer such ghosts are. */
static void adapt(arc *self, uint32_t kind) {
    uint32_t own = self->ghosts[kind].count, others = self->ghosts[1 - kind].count;
    int32_t step = (int32_t)(others > own ? others / own : 1), limit = self->lists.base.num_blocks;
    if (kind == ONCE)
        self->target = self->target > limit - step ? limit : self->target + step;
    else
        self->target = self->target < step ? 0 : self->target - step;
}

static void admit(kvp_policy *base, int32_t id) {
    arc *self = (arc *)base;
    self->lists.marks[id] = ONCE;
    for (uint32_t kind = ONCE; kind <= AGAIN; kind++) {
        uint32_t ghost = kvp_hash_ring_find(&self->ghosts[kind], base->rows[id].hash);
        if (ghost == KVP_NO_SLOT)
            continue;
        adapt(self, kind);
        kvp_hash_ring_remove(&self->ghosts[kind], ghost);
        self->lists.marks[id] = AGAIN;
        return;
    }
}

static void hit(kvp_policy *base, int32_t id) {
    ((arc *)base)->lists.marks[id] = AGAIN;
}

static void add(kvp_policy *base, int32_t id) {
    arc *self = (arc *)base;
    kvp_block_lists_push_newest(&self->lists, self->lists.marks[id], id);
}

static void add_next(kvp_policy *base, int32_t id) {
    arc *self = (arc *)base;
    kvp_block_lists_push_oldest(&self->lists, self->lists.marks[id], id);
}

static int32_t next(kvp_policy *base) {
    arc *self = (arc *)base;
    const int32_t *lengths = self->lists.lengths;
    bool is_once = lengths[ONCE] > 0 && (lengths[ONCE] > self->target || lengths[AGAIN] == 0);
    int32_t id = kvp_block_lists_oldest(&self->lists, is_once ? ONCE : AGAIN);
    (void)kvp_block_lists_take(&self->lists, id);
    return id;
}

/* Those asked for once and their ghosts are at most as many as the pool has blocks, as are the ghosts of the others. */
static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    arc *self = (arc *)base;
    uint32_t kind = self->lists.marks[id];
    kvp_hash_ring *ghosts = &self->ghosts[kind];
    self->lists.marks[id] = ONCE;
    if (!is_evicted)
        return;
    uint32_t limit = (uint32_t)base->num_blocks - (kind == ONCE ? (uint32_t)self->lists.lengths[ONCE] : 0);
    while (ghosts->count > 0 && (ghosts->count >= limit || kvp_hash_ring_is_full(ghosts)))
        kvp_hash_ring_drop_oldest(ghosts);
    (void)kvp_hash_ring_put(ghosts, base->rows[id].hash, 0);
}

static void clear(kvp_policy *base) {
    arc *self = (arc *)base;
    kvp_block_lists_clear(&self->lists);
    kvp_hash_ring_clear(&self->ghosts[ONCE]);
    kvp_hash_ring_clear(&self->ghosts[AGAIN]);
    self->target = 0;
}

static void destroy(kvp_policy *base) {
    arc *self = (arc *)base;
    kvp_hash_ring_destroy(&self->ghosts[ONCE]);
    kvp_hash_ring_destroy(&self->ghosts[AGAIN]);
    kvp_block_lists_delete(&self->lists, sizeof(arc));
}

static const char *check(const kvp_policy *base, int32_t *count) {
    const arc *self = (const arc *)base;
    KVP_REQUIRE(self->target >= 0 && self->target <= base->num_blocks, "the share of a kind is out of range");
    for (int32_t id = 0; id < base->num_blocks; id++)
        KVP_REQUIRE(self->lists.marks[id] <= AGAIN, "a block is of no kind");
    const char *broken = kvp_hash_ring_check(&self->ghosts[ONCE]);
    if (!broken)
        broken = kvp_hash_ring_check(&self->ghosts[AGAIN]);
    return broken ? broken : kvp_block_lists_check(&self->lists, count);
}

kvp_policy *kvp_arc_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.admit = admit,
                                  .hit = hit,
                                  .add = add,
                                  .remove = kvp_block_lists_remove,
                                  .next = next,
                                  .add_next = add_next,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    arc *self = kvp_block_lists_new(sizeof(arc), &methods, table, first_end);
    if (!self)
        return NULL;
    uint32_t capacity = (uint32_t)table->num_blocks;
    if (kvp_hash_ring_init(&self->ghosts[ONCE], capacity, config->secret) != KVP_OK ||
        kvp_hash_ring_init(&self->ghosts[AGAIN], capacity, config->secret) != KVP_OK) {
        destroy(&self->lists.base);
        return NULL;
    }
    return &self->lists.base;
}
