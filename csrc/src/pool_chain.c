#include "pool_transitions.h"

#define AHEAD 8 /* rows asked for before they are needed */

/* Block i of the chain leaves its list, and with it those before it that follow it there, in one piece. Returns how
 * many are left. */
static uint32_t unlink_run(kvp_pool *self, const int32_t *ids, uint32_t i) {
    kvp_block *rows = self->table.rows;
    int32_t before = rows[ids[i]].prev, after = rows[ids[i]].next;
    rows[ids[i]].refs = 1;
    while (i > 0 && after == ids[i - 1]) {
        after = rows[ids[--i]].next;
        rows[ids[i]].refs = 1;
    }
    kvp_priority_buckets_close(&self->eviction.buckets, before, after);
    return i;
}

void kvp_acquire_chain(kvp_pool *self, const int32_t *ids, uint32_t n) {
    kvp_block *rows = self->table.rows;
    uint32_t left = n;
    while (left > 0 && rows[ids[left - 1]].refs == 0) {
        if (KVP_UNLIKELY(kvp_block_is_parked(&rows[ids[left - 1]]))) {
            rows[ids[--left]].prev = KVP_NO_BLOCK;
            rows[ids[left]].refs = 1;
        } else if (KVP_UNLIKELY(self->eviction.policy != NULL)) {
            kvp_eviction_remove(&self->eviction, ids[--left]);
            rows[ids[left]].refs = 1;
        } else {
            left = unlink_run(self, ids, left - 1);
        }
    }
    self->num_cached -= (int32_t)(n - left);
    self->num_active += (int32_t)(n - left);
    if (left > 0)
        rows[ids[left - 1]].refs++;
    else if (kvp_block_parent(&rows[ids[0]]) != KVP_NO_BLOCK)
        kvp_acquire(self, kvp_block_parent(&rows[ids[0]]));
}

/* Block i of the chain, which has no reference any more, becomes the newest of its level; those before it that lose
 * their last reference by that follow, as long as they are of the same level. Returns how many are left. */
static uint32_t append_run(kvp_pool *self, const int32_t *ids, uint32_t i) {
    kvp_block *rows = self->table.rows;
    uint32_t level = rows[ids[i]].level;
    int32_t end = self->eviction.buckets.first_end + (int32_t)level, newest = rows[end].prev;
    for (;;) {
        if (i >= AHEAD)
            KVP_PREFETCH(&rows[ids[i - AHEAD]]);
        rows[newest].next = ids[i];
        rows[ids[i]].prev = newest;
        newest = ids[i];
        if (i == 0 || rows[ids[i - 1]].refs > 1 || rows[ids[i - 1]].level != level)
            break;
        rows[ids[--i]].refs = 0;
    }
    rows[newest].next = end;
    rows[end].prev = newest;
    kvp_priority_buckets_mark(&self->eviction.buckets, level);
    return i;
}

kvp_status kvp_let_go_chain(kvp_pool *self, const int32_t *ids, uint32_t n) {
    kvp_block *rows = self->table.rows;
    uint32_t left = n;
    if (KVP_UNLIKELY(rows[ids[n - 1]].refs == 0 || !kvp_block_is_registered(&rows[ids[n - 1]])))
        return KVP_CORRUPT;
    while (left > 0 && --rows[ids[left - 1]].refs == 0) {
        if (KVP_UNLIKELY(self->eviction.policy != NULL))
            kvp_eviction_add(&self->eviction, ids[--left]);
        else
            left = append_run(self, ids, left - 1);
    }
    self->num_active -= (int32_t)(n - left);
    self->num_cached += (int32_t)(n - left);
    if (left == 0 && kvp_block_parent(&rows[ids[0]]) != KVP_NO_BLOCK)
        kvp_let_go(self, kvp_block_parent(&rows[ids[0]]));
    return KVP_OK;
}
