#include "pool_transitions.h"

#include "kvp/prefix_search.h"

void kvp_notice_hits_of_extras(kvp_pool *self, const int32_t *ids, uint32_t n) {
    for (uint32_t i = 0; KVP_UNLIKELY(self->protection.count > 0) && i < n; i++) {
        if (ids[i] == KVP_NO_BLOCK || !kvp_protection_has(&self->protection, ids[i]))
            continue;
        const kvp_block *row = &self->table.rows[ids[i]];
        bool is_spared = row->level == KVP_PROTECTED_LEVEL && row->refs == 0 && !kvp_block_is_parked(row);
        if (is_spared)
            kvp_eviction_remove(kvp_order_of(self, ids[i]), ids[i]);
        kvp_end_protection(self, ids[i]);
        if (is_spared)
            kvp_eviction_add(kvp_order_of(self, ids[i]), ids[i]);
    }
    for (uint32_t i = 0; KVP_UNLIKELY(self->facts != NULL) && i < n; i++) {
        if (ids[i] == KVP_NO_BLOCK)
            continue;
        self->facts[ids[i]].last_access = self->now;
        self->facts[ids[i]].reuse_count += self->facts[ids[i]].reuse_count < UINT32_MAX;
    }
    for (uint32_t i = 0; KVP_UNLIKELY(self->namespaces != NULL) && self->eviction.policy && i < n; i++)
        if (ids[i] != KVP_NO_BLOCK)
            kvp_eviction_hit(kvp_order_of(self, ids[i]), &ids[i], 1, self->now);
    if (!self->namespaces)
        kvp_eviction_hit(&self->eviction, ids, n, self->now);
    if (self->foresight.count > 0) {
        kvp_foresight_hit(&self->foresight, ids, n);
        kvp_update_extras(self);
    }
}

uint32_t kvp_pool_find_prefix(const kvp_pool *self, const uint64_t *hashes, const uint64_t *checks, uint32_t n,
                              int32_t *ids) {
    uint32_t found = kvp_hash_index_find_prefix(&self->index, hashes, n, ids);
    return KVP_UNLIKELY(self->keys.is_kept) ? kvp_key_checks_count(&self->keys, ids, checks, found) : found;
}

uint32_t kvp_pool_find_each(const kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t *ids) {
    uint32_t found = kvp_hash_index_find_each(&self->index, hashes, n, ids);
    return KVP_UNLIKELY(self->keys.is_kept) ? kvp_key_checks_leave_out(&self->keys, ids, hashes + n, n) : found;
}

/* How many of these blocks, the first ones of a prompt, are its own and permitted. */
static uint32_t count_own(const kvp_pool *self, const uint64_t *hashes, uint32_t n, const kvp_lease *lease,
                          uint32_t found) {
    if (KVP_UNLIKELY(self->keys.is_kept))
        found = kvp_key_checks_count(&self->keys, lease->ids, hashes + n, found);
    if (KVP_UNLIKELY(self->namespaces != NULL))
        found = kvp_count_permitted(self, lease->space, lease->ids, found);
    return found;
}

void kvp_pool_match(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) {
    uint32_t found = kvp_prefix_search(&self->index, hashes, n, lease->ids, &lease->is_chain);
    found = count_own(self, hashes, n, lease, found);
    kvp_pool_see_time(self, now);
    kvp_notice_request(self, hashes, n, lease->ids, found);
    kvp_hold(self, lease, found);
    if (found > 0 && found < n)
        kvp_hint_table_set(&self->hints, hashes[found], hashes[found - 1]);
    self->stats.match_hashes_requested += n;
    self->stats.match_blocks_returned += found;
    lease->count = found;
    kvp_make_live(self, lease, found, now);
}

void kvp_pool_hold_ahead(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) {
    uint32_t found = kvp_prefix_search(&self->index, hashes, n, lease->ids, &lease->is_chain);
    found = count_own(self, hashes, n, lease, found);
    kvp_pool_see_time(self, now);
    kvp_tell_time(self);
    kvp_hold(self, lease, found);
    if (found > 0 && found < n)
        kvp_hint_table_set(&self->hints, hashes[found], hashes[found - 1]);
    lease->ahead = kvp_foresight_add(&self->foresight, lease->ids, found);
    kvp_update_extras(self);
    lease->count = found;
    kvp_make_live(self, lease, found, now);
}

void kvp_pool_match_scattered(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) {
    uint32_t found = kvp_pool_find_each(self, hashes, n, lease->ids);
    if (KVP_UNLIKELY(self->namespaces != NULL))
        found = kvp_leave_out_forbidden(self, lease->space, lease->ids, n);
    kvp_pool_see_time(self, now);
    kvp_notice_hits(self, lease->ids, n);
    kvp_hold(self, lease, n);
    self->stats.scan_hashes_requested += n;
    self->stats.scan_blocks_returned += found;
    kvp_make_live(self, lease, found, now);
}

/* Blocks of any namespace are about to be given back; they were. */
static void begin_releases(kvp_pool *self) {
    for (int32_t space = 0; space < kvp_num_spaces(self); space++)
        kvp_eviction_begin_release(kvp_order_of_space(self, space), 0, self->now);
}

static void end_releases(kvp_pool *self) {
    for (int32_t space = 0; space < kvp_num_spaces(self); space++)
        kvp_eviction_end_release(kvp_order_of_space(self, space));
}

uint32_t kvp_pool_touch(kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t *ids) {
    uint32_t found = kvp_pool_find_each(self, hashes, n, ids);
    kvp_notice_hits(self, ids, n);
    if (KVP_UNLIKELY(self->has_orders))
        begin_releases(self);
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] != KVP_NO_BLOCK)
            kvp_acquire(self, ids[i]);
    for (uint32_t i = n; i-- > 0;)
        if (ids[i] != KVP_NO_BLOCK)
            kvp_let_go(self, ids[i]);
    if (KVP_UNLIKELY(self->has_orders))
        end_releases(self);
    self->stats.touches += found;
    return found;
}
