#include "pool_transitions.h"

#define AHEAD 8 /* rows asked for before they are needed */

void kvp_leave_order(kvp_pool *self, int32_t id) {
    if (kvp_block_is_parked(&self->table.rows[id]))
        self->table.rows[id].prev = KVP_NO_BLOCK;
    else
        kvp_eviction_remove(kvp_order_of(self, id), id);
    if (!self->namespaces)
        return;
    self->namespaces->quotas[self->namespaces->of[id]].cached--;
    kvp_namespaces_hold(self->namespaces, self->namespaces->of[id], 1);
}

void kvp_enter_order(kvp_pool *self, int32_t id) {
    kvp_eviction_add(kvp_order_of(self, id), id);
    if (!self->namespaces)
        return;
    self->namespaces->quotas[self->namespaces->of[id]].cached++;
    kvp_namespaces_hold(self->namespaces, self->namespaces->of[id], -1);
}

void kvp_uncount_held(kvp_pool *self, int32_t id) {
    kvp_namespaces_hold(self->namespaces, self->namespaces->of[id], -1);
}

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
    if (n == 0)
        return; /* there is no first block whose parent could be held */
    kvp_block *rows = self->table.rows;
    uint32_t left = n;
    while (left > 0 && rows[ids[left - 1]].refs == 0) {
        if (KVP_UNLIKELY(self->has_orders)) {
            kvp_leave_order(self, ids[--left]);
            rows[ids[left]].refs = 1;
        } else if (KVP_UNLIKELY(kvp_block_is_parked(&rows[ids[left - 1]]))) {
            rows[ids[--left]].prev = KVP_NO_BLOCK;
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
        if (KVP_UNLIKELY(self->has_orders))
            kvp_enter_order(self, ids[--left]);
        else
            left = append_run(self, ids, left - 1);
    }
    self->num_active -= (int32_t)(n - left);
    self->num_cached += (int32_t)(n - left);
    if (left == 0 && kvp_block_parent(&rows[ids[0]]) != KVP_NO_BLOCK)
        kvp_let_go(self, kvp_block_parent(&rows[ids[0]]));
    return KVP_OK;
}

#define MARK 0x80000000u /* in refs of cached blocks, which are 0 otherwise, while they are counted */

uint32_t kvp_count_cached(kvp_block *rows, const int32_t *ids, uint32_t n) {
    uint32_t cached = 0;
    for (uint32_t i = 0; i < n; i++)
        for (int32_t id = ids[i]; id != KVP_NO_BLOCK && rows[id].refs == 0; id = kvp_block_parent(&rows[id])) {
            rows[id].refs = MARK;
            cached++;
        }
    for (uint32_t i = 0; i < n; i++)
        for (int32_t id = ids[i]; id != KVP_NO_BLOCK && rows[id].refs == MARK; id = kvp_block_parent(&rows[id]))
            rows[id].refs = 0;
    return cached;
}

/* Cached blocks that are held when this one is, beside those that are marked; no more than one beyond the room is
 * counted. */
static int64_t cost_of(const kvp_block *rows, int32_t id, int64_t room) {
    int64_t cost = 0;
    for (; id != KVP_NO_BLOCK && rows[id].refs == 0 && cost <= room; id = kvp_block_parent(&rows[id]))
        cost++;
    return cost;
}

bool kvp_can_hold_lineage(const kvp_pool *self, int32_t id, int32_t space) {
    int64_t room = kvp_namespaces_room(self->namespaces, space);
    return cost_of(self->table.rows, id, room) <= room;
}

static void mark(kvp_block *rows, int32_t id, uint32_t from, uint32_t to) {
    for (; id != KVP_NO_BLOCK && rows[id].refs == from; id = kvp_block_parent(&rows[id]))
        rows[id].refs = to;
}

uint32_t kvp_leave_out_forbidden(const kvp_pool *self, int32_t space, int32_t *ids, uint32_t n) {
    kvp_block *rows = self->table.rows;
    int64_t room = kvp_namespaces_room(self->namespaces, space);
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] == KVP_NO_BLOCK)
            continue;
        int64_t cost = cost_of(rows, ids[i], room);
        if (self->namespaces->of[ids[i]] != space || cost > room) {
            ids[i] = KVP_NO_BLOCK;
            continue;
        }
        mark(rows, ids[i], 0, MARK);
        room -= cost;
        found++;
    }
    for (uint32_t i = 0; i < n; i++)
        mark(rows, ids[i], MARK, 0);
    return found;
}

uint32_t kvp_count_permitted(const kvp_pool *self, int32_t space, const int32_t *ids, uint32_t n) {
    kvp_block *rows = self->table.rows;
    int64_t room = kvp_namespaces_room(self->namespaces, space);
    uint32_t permitted = 0;
    for (; permitted < n && self->namespaces->of[ids[permitted]] == space; permitted++) {
        int64_t cost = cost_of(rows, ids[permitted], room);
        if (cost > room)
            break;
        mark(rows, ids[permitted], 0, MARK);
        room -= cost;
    }
    for (uint32_t i = 0; i < permitted; i++)
        mark(rows, ids[i], MARK, 0);
    return permitted;
}
