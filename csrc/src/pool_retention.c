#include "pool_transitions.h"

#include "kvp/check.h"
#include "kvp/prefix_search.h"

uint32_t kvp_pool_retain(kvp_pool *self, const uint64_t *hashes, uint32_t n, int level, int64_t expiry, int64_t now) {
    uint32_t found = 0;
    kvp_pool_see_time(self, now);
    kvp_tell_time(self);
    for (uint32_t i = 0; i < n; i++) {
        int32_t id = kvp_find_key(self, hashes, n, i);
        if (id == KVP_NO_BLOCK)
            continue;
        found++;
        kvp_set_level(self, id, (uint32_t)level);
        kvp_expiry_heap_set(&self->expiries, id, expiry);
    }
    return found;
}

/* One more pin; a block that gets its first one pins its parent as well, which it keeps from being evicted. */
static void add_pin(kvp_pool *self, int32_t id) {
    for (; id != KVP_NO_BLOCK && self->pins[id]++ == 0; id = kvp_block_parent(&self->table.rows[id]))
        self->num_pinned++;
}

static void take_pin(kvp_pool *self, int32_t id) {
    for (; id != KVP_NO_BLOCK && --self->pins[id] == 0; id = kvp_block_parent(&self->table.rows[id]))
        self->num_pinned--;
}

void kvp_unpin(kvp_pool *self, const kvp_lease *lease) {
    for (uint32_t i = 0; i < lease->count; i++)
        if (lease->ids[i] != KVP_NO_BLOCK)
            take_pin(self, lease->ids[i]);
}

kvp_status kvp_pool_pin(kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t limit, int64_t now,
                        kvp_lease *lease, int32_t *wanted) {
    uint32_t found = kvp_pool_find_each(self, hashes, n, lease->ids);
    if (KVP_UNLIKELY(self->namespaces != NULL))
        found = kvp_leave_out_forbidden(self, lease->space, lease->ids, n);
    for (uint32_t i = 0; i < n; i++)
        if (lease->ids[i] != KVP_NO_BLOCK)
            add_pin(self, lease->ids[i]);
    *wanted = self->num_pinned;
    if (self->num_pinned > limit) {
        kvp_unpin(self, lease);
        return KVP_NOT_ENOUGH;
    }
    kvp_pool_see_time(self, now);
    kvp_tell_time(self);
    kvp_hold(self, lease, n);
    lease->is_pin = true;
    kvp_make_live(self, lease, found, now);
    return KVP_OK;
}

/* Spared blocks of this order that are protected no more: their turn had come, so they go next, in the order in which
 * they were spared. */
static void end_sparing(kvp_pool *self, kvp_eviction *order) {
    kvp_block *rows = self->table.rows;
    int32_t end = order->buckets.first_end + KVP_PROTECTED_LEVEL, before;
    for (int32_t id = rows[end].prev; id != end; id = before) {
        before = rows[id].prev;
        if (kvp_protection_has(&self->protection, id))
            continue;
        kvp_priority_buckets_remove(&order->buckets, id);
        kvp_end_protection(self, id);
        kvp_eviction_add_next(order, id);
    }
}

void kvp_pool_protect(kvp_pool *self, const uint64_t *hashes, const uint32_t *lengths, uint32_t num_prompts,
                      int32_t *ids) {
    int32_t dropped;
    bool is_chain;
    const uint64_t *checks = hashes;
    for (uint32_t prompt = 0; prompt < num_prompts; prompt++)
        checks += lengths[prompt]; /* where keys have them: behind all hashes */
    kvp_protection_begin(&self->protection);
    for (uint32_t prompt = 0; prompt < num_prompts; hashes += lengths[prompt], checks += lengths[prompt++]) {
        uint32_t found = kvp_prefix_search(&self->index, hashes, lengths[prompt], ids, &is_chain);
        if (KVP_UNLIKELY(self->keys.is_kept))
            found = kvp_key_checks_count(&self->keys, ids, checks, found);
        for (uint32_t i = 0; i < found; i++)
            kvp_protection_add(&self->protection, ids[i]);
    }
    int32_t end = kvp_protection_end(&self->protection, &dropped);
    kvp_update_extras(self);
    for (int32_t space = 0; dropped > 0 && space < kvp_num_spaces(self); space++)
        end_sparing(self, kvp_order_of_space(self, space));
    for (int32_t i = end; i < end + dropped; i++)
        kvp_end_protection(self, self->protection.ids[i]); /* those that are in no list, too */
}

/* Whose block goes next of all but these; -1 when nobody's may. */
static int32_t next_space(const kvp_pool *self, const kvp_space_set *without) {
    if (self->namespaces)
        return kvp_namespaces_wealthiest(self->namespaces, without);
    return kvp_space_set_has(without, 0) ? -1 : 0;
}

uint32_t kvp_pool_evict(kvp_pool *self, uint32_t n, uint32_t highest, kvp_reason reason, int64_t now,
                        kvp_identity *evicted) {
    kvp_space_set passed_over = {{0}}; /* namespaces that have none that may go */
    uint32_t count = 0;
    kvp_pool_see_time(self, now);
    if (n > 0)
        kvp_prepare_to_evict(self);
    while (count < n) {
        int32_t space = next_space(self, &passed_over);
        if (space < 0)
            break;
        int32_t id = kvp_evict(self, kvp_order_of_space(self, space), reason, highest);
        if (id == KVP_NO_BLOCK) {
            kvp_space_set_add(&passed_over, space);
            continue;
        }
        evicted[count++] = (kvp_identity){self->table.rows[id].hash, id};
        kvp_free_list_push(&self->empty, id);
    }
    self->stats.evictions_ahead += count;
    if (reason == KVP_REASON_PRESSURE)
        self->stats.evictions_for_pressure += count;
    return count;
}

void kvp_evict_beyond_cap(kvp_pool *self, int32_t space) {
    const kvp_quota *quota = &self->namespaces->quotas[space];
    int32_t beyond = quota->held + quota->cached - quota->cap;
    int32_t n = beyond < quota->cached ? beyond : quota->cached;
    if (n > 0)
        kvp_prepare_to_evict(self);
    for (; n > 0; n--) {
        int32_t id = kvp_evict(self, kvp_order_of_space(self, space), KVP_REASON_PRESSURE, KVP_PROTECTED_LEVEL);
        KVP_ASSERT(id != KVP_NO_BLOCK);
        kvp_free_list_push(&self->empty, id);
        self->stats.evictions_ahead++;
        self->stats.evictions_for_pressure++;
    }
}

kvp_status kvp_pool_set_quota(kvp_pool *self, int32_t space, int32_t floor, int32_t cap, int64_t now) {
    kvp_status status = kvp_namespaces_set(self->namespaces, space, floor, cap);
    if (status != KVP_OK)
        return status;
    kvp_pool_see_time(self, now);
    kvp_evict_beyond_cap(self, space);
    return KVP_OK;
}

uint32_t kvp_pool_candidates(const kvp_pool *self, kvp_candidate *candidates, uint32_t max) {
    const kvp_block *rows = self->table.rows;
    uint32_t count = 0;
    for (int32_t level = 0; level <= KVP_MAX_PRIORITY && count < max; level++) {
        int32_t end = self->eviction.buckets.first_end + level;
        for (int32_t id = rows[end].next; id != end && count < max; id = rows[id].next) {
            candidates[count++] = (kvp_candidate){.hash = rows[id].hash,
                                                  .last_access = self->facts[id].last_access,
                                                  .id = id,
                                                  .generation = rows[id].generation,
                                                  .reuse_count = self->facts[id].reuse_count,
                                                  .position = self->facts[id].position,
                                                  .priority = (uint32_t)level,
                                                  .is_continued = rows[id].children > 0};
        }
    }
    return count;
}

/* Whether the row is still that of the block that was told of. */
static bool is_still(const kvp_block *row, const kvp_candidate *told) {
    return kvp_block_is_registered(row) && row->generation == told->generation && row->hash == told->hash;
}

uint32_t kvp_pool_prefer(kvp_pool *self, const kvp_candidate *victims, uint32_t n) {
    uint32_t taken = 0;
    for (uint32_t i = n; i-- > 0;) {
        int32_t id = victims[i].id;
        kvp_block *row = &self->table.rows[id];
        if (!is_still(row, &victims[i]) || row->refs > 0 || kvp_block_is_parked(row) ||
            row->level == KVP_PROTECTED_LEVEL)
            continue;
        kvp_eviction_remove(&self->eviction, id);
        row->level = 0;
        kvp_priority_buckets_add_oldest(&self->eviction.buckets, id);
        taken++;
    }
    return taken;
}

void kvp_pool_end_preference(kvp_pool *self, const kvp_candidate *victims, uint32_t n) {
    for (uint32_t i = n; i-- > 0;) {
        int32_t id = victims[i].id;
        kvp_block *row = &self->table.rows[id];
        if (!is_still(row, &victims[i]) || row->level != 0 || victims[i].priority == 0)
            continue;
        bool is_in_list = row->refs == 0 && !kvp_block_is_parked(row);
        if (is_in_list)
            kvp_eviction_remove(&self->eviction, id);
        row->level = victims[i].priority & 0x7F;
        if (is_in_list)
            kvp_eviction_add_next(&self->eviction, id);
    }
}
