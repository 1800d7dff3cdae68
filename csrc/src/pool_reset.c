#include "pool_transitions.h"

#include "kvp/check.h"

/* Marks in refs of cached blocks, which are 0 otherwise, while reset_blocks works out what continues what. */
#define DOOMED UINT32_MAX
#define SPARED (UINT32_MAX - 1)

kvp_status kvp_pool_reset(kvp_pool *self, kvp_identity *evicted, uint32_t max_evicted, uint32_t *num_evicted) {
    kvp_block *rows = self->table.rows;
    if (self->num_active > 0 || self->num_mutable > 0)
        return KVP_IN_USE;
    *num_evicted = (uint32_t)self->num_cached;
    if (*num_evicted > max_evicted)
        return KVP_RETRY;
    uint32_t count = 0;
    for (int32_t id = 0; id < self->table.num_blocks; id++) {
        if (!kvp_block_is_registered(&rows[id]))
            continue;
        evicted[count++] = (kvp_identity){rows[id].hash, id};
        rows[id].lineage = KVP_UNREGISTERED;
        rows[id].children = 0;
        rows[id].is_indexed = 0;
        rows[id].prev = KVP_NO_BLOCK;
    }
    kvp_hash_index_clear(&self->index);
    kvp_eviction_clear(&self->eviction);
    if (self->namespaces)
        kvp_namespaces_clear(self->namespaces);
    kvp_expiry_heap_clear(&self->expiries);
    kvp_hint_table_clear(&self->hints);
    kvp_protection_clear(&self->protection);
    if (self->sampler)
        kvp_reuse_sampler_clear(self->sampler);
    kvp_update_extras(self);
    kvp_free_list_refill(&self->empty);
    self->num_cached = 0;
    self->stats.resets += count;
    kvp_event event = {.id = KVP_NO_BLOCK, .kind = KVP_EVENT_CLEARED, .reason = KVP_REASON_RESET};
    kvp_event_ring_push(&self->events, event, NULL);
    return KVP_OK;
}

static bool is_held(const kvp_block *row) {
    return row->refs > 0 && row->refs < SPARED;
}

/* Whether any copy of the block's hash is held. */
static bool any_copy_is_held(const kvp_pool *self, int32_t first) {
    int32_t id = first;
    do {
        if (is_held(&self->table.rows[id]))
            return true;
        id = self->copies ? self->copies[id].newer : first;
    } while (id != first);
    return false;
}

/* Doom all copies of the block's hash; returns how many that adds, and whether any has children. */
static uint32_t doom(kvp_pool *self, int32_t first, bool *has_children) {
    uint32_t added = 0;
    int32_t id = first;
    do {
        kvp_block *row = &self->table.rows[id];
        added += row->refs != DOOMED;
        *has_children |= row->children > 0;
        row->refs = DOOMED;
        id = self->copies ? self->copies[id].newer : first;
    } while (id != first);
    return added;
}

/* Doom every cached block that has a doomed ancestor: each goes up until it meets a block whose lot is known, and tells
 * the ones it passed. O(num_blocks). */
static uint32_t doom_descendants(kvp_pool *self) {
    kvp_block *rows = self->table.rows;
    uint32_t added = 0;
    for (int32_t start = 0; start < self->table.num_blocks; start++) {
        if (!kvp_block_is_registered(&rows[start]) || rows[start].refs != 0)
            continue;
        int32_t top = start;
        while (top != KVP_NO_BLOCK && rows[top].refs == 0)
            top = kvp_block_parent(&rows[top]);
        uint32_t lot = top != KVP_NO_BLOCK && rows[top].refs == DOOMED ? DOOMED : SPARED;
        for (int32_t id = start; id != top; id = kvp_block_parent(&rows[id])) {
            rows[id].refs = lot;
            added += lot == DOOMED;
        }
    }
    return added;
}

static void clear_marks(kvp_pool *self) {
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        if (self->table.rows[id].refs >= SPARED)
            self->table.rows[id].refs = 0;
}

/* Reset a block without regard to those that continue it: they are doomed as well. */
static void reset_one(kvp_pool *self, int32_t id) {
    if (kvp_block_is_parked(&self->table.rows[id]))
        self->table.rows[id].prev = KVP_NO_BLOCK;
    else
        kvp_eviction_remove(kvp_order_of(self, id), id);
    kvp_unregister(self, id, KVP_REASON_RESET);
    kvp_free_list_push(&self->empty, id);
    self->num_cached--;
    if (self->namespaces)
        self->namespaces->quotas[self->namespaces->of[id]].cached--;
}

kvp_status kvp_pool_reset_blocks(kvp_pool *self, const uint64_t *hashes, uint32_t n, uint8_t *outcomes,
                                 kvp_identity *evicted, uint32_t max_evicted, uint32_t *num_evicted) {
    kvp_block *rows = self->table.rows;
    uint32_t doomed = 0;
    bool has_children = false;
    for (uint32_t i = 0; i < n; i++) {
        int32_t id = kvp_find_key(self, hashes, n, i);
        if (id == KVP_NO_BLOCK) {
            outcomes[i] = KVP_RESET_NOT_FOUND;
        } else if (any_copy_is_held(self, id)) {
            outcomes[i] = KVP_RESET_HELD;
        } else {
            outcomes[i] = KVP_RESET_DONE;
            doomed += doom(self, id, &has_children);
        }
    }
    if (has_children)
        doomed += doom_descendants(self);
    *num_evicted = doomed;
    if (doomed > max_evicted) {
        clear_marks(self);
        return KVP_RETRY;
    }
    uint32_t count = 0;
    for (int32_t id = 0; doomed > 0 && id < self->table.num_blocks; id++)
        if (rows[id].refs == DOOMED && kvp_block_is_registered(&rows[id]))
            evicted[count++] = (kvp_identity){rows[id].hash, id};
    KVP_ASSERT(count == doomed);
    if (has_children)
        clear_marks(self);
    for (uint32_t i = 0; i < count; i++) {
        rows[evicted[i].id].refs = 0;
        reset_one(self, evicted[i].id);
    }
    self->stats.resets += count;
    return KVP_OK;
}
