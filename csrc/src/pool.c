#include "pool_transitions.h"

#include "kvp/check.h"
#include "kvp/prefix_search.h"

#include <string.h>

#define AHEAD 8 /* rows asked for before they are needed */

kvp_status kvp_pool_init(kvp_pool *self, const kvp_pool_config *config) {
    int32_t n = config->num_blocks;
    memset(self, 0, sizeof *self);
    if (kvp_block_table_init(&self->table, n, (1 + config->max_namespaces) * kvp_eviction_num_ends(config->policy)) !=
        KVP_OK)
        return KVP_NO_MEMORY;
    kvp_policy_config policy = {
        .kind = config->policy, .ghost_factor = config->ghost_factor, .secret = {config->secret[0], config->secret[1]}};
    bool has_all =
        kvp_eviction_init(&self->eviction, &self->table, n, &policy) == KVP_OK &&
        kvp_free_list_init(&self->empty, n) == KVP_OK &&
        kvp_hash_index_init(&self->index, &self->table, config->secret) == KVP_OK &&
        kvp_expiry_heap_init(&self->expiries, n) == KVP_OK && kvp_hint_table_init(&self->hints, n) == KVP_OK &&
        kvp_event_ring_init(&self->events, config->event_capacity, config->event_tokens) == KVP_OK &&
        kvp_block_tokens_init(&self->tokens, n, config->event_tokens) == KVP_OK &&
        kvp_protection_init(&self->protection, n) == KVP_OK && kvp_foresight_init(&self->foresight, n) == KVP_OK &&
        kvp_key_checks_init(&self->keys, n, config->keeps_checks) == KVP_OK;
    if (has_all && config->keeps_facts) {
        self->facts = kvp_memory_new((size_t)n, sizeof *self->facts);
        has_all = self->facts != NULL;
    }
    if (has_all && config->max_namespaces > 0) {
        self->namespaces = kvp_memory_new(1, sizeof *self->namespaces);
        has_all = self->namespaces && kvp_namespaces_init(self->namespaces, 1 + config->max_namespaces, &self->table,
                                                          n + kvp_eviction_num_ends(config->policy), &policy) == KVP_OK;
    }
    if (has_all && config->reuse_sampling > 0) {
        self->sampler = kvp_memory_new(1, sizeof *self->sampler);
        has_all =
            self->sampler && kvp_reuse_sampler_init(self->sampler, config->reuse_sampling, n, config->secret) == KVP_OK;
    }
    self->pins = has_all ? kvp_memory_new_lazy((size_t)n, sizeof *self->pins) : NULL;
    has_all = has_all && self->pins;
    if (has_all && config->keeps_duplicates) {
        self->copies = kvp_memory_new((size_t)n, sizeof *self->copies);
        has_all = self->copies != NULL;
    }
    if (!has_all) {
        kvp_pool_destroy(self);
        return KVP_NO_MEMORY;
    }
    kvp_update_extras(self);
    return KVP_OK;
}

void kvp_pool_destroy(kvp_pool *self) {
    kvp_memory_free(self->copies, (size_t)self->table.num_blocks, sizeof *self->copies);
    kvp_memory_free(self->pins, (size_t)self->table.num_blocks, sizeof *self->pins);
    kvp_memory_free(self->facts, (size_t)self->table.num_blocks, sizeof *self->facts);
    if (self->namespaces)
        kvp_namespaces_destroy(self->namespaces);
    kvp_memory_free(self->namespaces, 1, sizeof *self->namespaces);
    if (self->sampler)
        kvp_reuse_sampler_destroy(self->sampler);
    kvp_memory_free(self->sampler, 1, sizeof *self->sampler);
    kvp_key_checks_destroy(&self->keys);
    kvp_protection_destroy(&self->protection);
    kvp_foresight_destroy(&self->foresight);
    kvp_event_ring_destroy(&self->events);
    kvp_block_tokens_destroy(&self->tokens);
    kvp_hint_table_destroy(&self->hints);
    kvp_expiry_heap_destroy(&self->expiries);
    kvp_hash_index_destroy(&self->index);
    kvp_free_list_destroy(&self->empty);
    kvp_eviction_destroy(&self->eviction);
    kvp_block_table_destroy(&self->table);
}

/* Take the block out of the ring of its hash's copies; the next oldest follows it in the index. False when it was the
 * only one. */
static bool leave_copies(kvp_pool *self, int32_t id) {
    if (!self->copies || self->copies[id].newer == id)
        return false;
    kvp_copies around = self->copies[id];
    self->copies[around.older].newer = around.newer;
    self->copies[around.newer].older = around.older;
    if (self->table.rows[id].is_indexed) {
        kvp_hash_index_replace(&self->index, id, around.newer);
        self->table.rows[around.newer].is_indexed = 1;
        self->table.rows[id].is_indexed = 0;
    }
    return true;
}

static bool is_eviction(kvp_reason reason) {
    return reason != KVP_REASON_RESET && reason != KVP_REASON_TRUNCATED;
}

/* Tell the policy and the protection that the block loses its identity. */
static void leave_extras(kvp_pool *self, int32_t id, kvp_reason reason) {
    kvp_end_protection(self, id);
    kvp_eviction_leave(kvp_order_of(self, id), id, is_eviction(reason));
}

void kvp_record_event(kvp_pool *self, kvp_event event, const uint32_t *tokens) {
    event.space = (uint8_t)kvp_space_of(self, event.id);
    kvp_event_ring_push(&self->events, event, tokens);
    if (event.kind == KVP_EVENT_STORED && self->tokens.block_size > 0)
        kvp_block_tokens_set(&self->tokens, event.id, tokens);
}

void kvp_unregister(kvp_pool *self, int32_t id, kvp_reason reason) {
    kvp_block *rows = self->table.rows;
    if (!leave_copies(self, id)) {
        if (KVP_UNLIKELY(self->sampler != NULL) && kvp_reuse_sampler_follows(self->sampler, rows[id].hash))
            kvp_reuse_sampler_remove(self->sampler, rows[id].hash, is_eviction(reason), self->now);
        kvp_hash_index_remove(&self->index, id);
        rows[id].is_indexed = 0;
        kvp_tell_removed(self, id, reason);
    }
    kvp_lose_child(self, kvp_block_parent(&rows[id]));
    if (KVP_UNLIKELY(self->has_extras))
        leave_extras(self, id, reason);
    kvp_expiry_heap_set(&self->expiries, id, KVP_NO_EXPIRY);
    rows[id].lineage = KVP_UNREGISTERED;
}

void kvp_disown(kvp_pool *self, int32_t id) {
    kvp_block *rows = self->table.rows;
    int32_t parent = kvp_block_parent(&rows[id]);
    KVP_ASSERT(rows[id].refs == 1 && rows[id].children == 0);
    kvp_unregister(self, id, KVP_REASON_TRUNCATED);
    self->stats.truncations++;
    rows[id].generation++;
    self->num_active--;
    self->num_mutable++;
    if (parent != KVP_NO_BLOCK)
        kvp_let_go(self, parent);
}

/* Demote what has expired. */
static void expire(kvp_pool *self) {
    int32_t id;
    while ((id = kvp_expiry_heap_pop_until(&self->expiries, self->now)) != KVP_NO_BLOCK) {
        if (kvp_level_of(self, id) > KVP_DEFAULT_LEVEL)
            kvp_set_level(self, id, KVP_DEFAULT_LEVEL);
    }
}

void kvp_prepare_to_evict(kvp_pool *self) {
    expire(self);
    kvp_tell_time(self);
}

/* The block's turn came, but it is protected: it goes after all others. */
static void spare(kvp_pool *self, int32_t id) {
    self->protection.levels[id] = self->table.rows[id].level;
    self->table.rows[id].level = KVP_PROTECTED_LEVEL;
    kvp_priority_buckets_add_newest(&kvp_order_of(self, id)->buckets, id);
}

/* As kvp_evict, of a pool without extras and whatever the level. */
static inline int32_t evict_plain(kvp_pool *self, kvp_reason reason) {
    kvp_block *rows = self->table.rows;
    for (;;) {
        int32_t id = kvp_priority_buckets_first(&self->eviction.buckets);
        KVP_ASSERT(id != KVP_NO_BLOCK); /* a parked block always has a cached descendant in some list */
        kvp_priority_buckets_remove(&self->eviction.buckets, id);
        if (KVP_LIKELY(rows[id].children == 0)) {
            kvp_unregister(self, id, reason);
            self->num_cached--;
            return id;
        }
        rows[id].prev = KVP_PARKED;
    }
}

/* Blocks that others continue, and those that are protected, are set aside on the way. */
int32_t kvp_evict(kvp_pool *self, kvp_eviction *order, kvp_reason reason, uint32_t highest) {
    kvp_block *rows = self->table.rows;
    while (self->num_cached > 0 && kvp_eviction_lowest_level(order) <= highest) {
        int32_t id = kvp_eviction_take_next(order);
        if (kvp_protection_has(&self->protection, id) && rows[id].level != KVP_PROTECTED_LEVEL) {
            spare(self, id);
        } else if (rows[id].children > 0) {
            rows[id].prev = KVP_PARKED;
        } else {
            kvp_unregister(self, id, reason);
            self->num_cached--;
            if (self->namespaces)
                self->namespaces->quotas[self->namespaces->of[id]].cached--;
            return id;
        }
    }
    return KVP_NO_BLOCK;
}

/* Go one further in a list, ahead of those who evict, and ask for what they will need: the block's index chunk, and the
 * row behind it. Lists change meanwhile, so the scout may stray: it finds rows wherever it goes. */
static int32_t advance_scout(const kvp_pool *self, int32_t scout) {
    const kvp_block *rows = self->table.rows;
    KVP_PREFETCH(&rows[rows[scout].next]);
    KVP_PREFETCH(&self->index.chunks[kvp_hash_index_place(&self->index, rows[scout].hash).home]);
    return rows[scout].next;
}

uint32_t kvp_count_to_evict(const kvp_pool *self, uint32_t n, int32_t space) {
    int64_t from_empty = n < (uint32_t)self->empty.count ? n : (uint32_t)self->empty.count;
    if (KVP_UNLIKELY(self->namespaces != NULL)) {
        const kvp_quota *quota = &self->namespaces->quotas[space];
        int64_t below_cap = (int64_t)quota->cap - quota->held - quota->cached;
        if (below_cap < from_empty)
            from_empty = below_cap > 0 ? below_cap : 0;
    }
    return n - (uint32_t)from_empty;
}

/* Evict a block for one more of the namespace. */
static int32_t evict_for(kvp_pool *self, int32_t space) {
    int32_t victim = self->namespaces ? kvp_namespaces_victim(self->namespaces, space) : 0;
    return kvp_evict(self, kvp_order_of_space(self, victim), KVP_REASON_CAPACITY, KVP_PROTECTED_LEVEL);
}

/* Blocks change hands; the count comes first, so that it is known whose is to be evicted. */
__attribute__((noinline, cold)) static void give_to(kvp_pool *self, const int32_t *ids, uint32_t n, int32_t space) {
    for (uint32_t i = 0; i < n; i++)
        self->namespaces->of[ids[i]] = (uint8_t)space;
}

uint32_t kvp_take(kvp_pool *self, int32_t *ids, uint32_t n, int32_t space, uint64_t *evicted) {
    kvp_block *rows = self->table.rows;
    uint32_t missing = kvp_count_to_evict(self, n, space);
    if (KVP_UNLIKELY(self->namespaces != NULL))
        kvp_namespaces_hold(self->namespaces, space, (int32_t)n);
    uint32_t from_empty = n - missing;
    for (uint32_t i = 0; i < from_empty; i++) {
        if (self->empty.count > AHEAD)
            KVP_PREFETCH(&rows[self->empty.ids[self->empty.count - 1 - AHEAD]]);
        ids[i] = kvp_free_list_pop(&self->empty);
    }
    if (missing) {
        kvp_prepare_to_evict(self);
        int32_t scout = kvp_priority_buckets_first(&self->eviction.buckets);
        if (scout == KVP_NO_BLOCK)
            scout = self->eviction.buckets.first_end; /* the policy has them all; it looks ahead for itself */
        for (uint32_t i = 0; i < missing && i < AHEAD; i++)
            scout = advance_scout(self, scout);
        for (uint32_t i = 0; i < missing; i++) {
            if (missing - i > AHEAD)
                scout = advance_scout(self, scout);
            int32_t id =
                KVP_LIKELY(!self->has_extras) ? evict_plain(self, KVP_REASON_CAPACITY) : evict_for(self, space);
            ids[from_empty + i] = id;
            if (evicted)
                evicted[i] = rows[id].hash;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        rows[ids[i]].refs = 1;
        rows[ids[i]].generation++;
    }
    if (KVP_UNLIKELY(self->namespaces != NULL))
        give_to(self, ids, n, space);
    self->num_mutable += (int32_t)n;
    self->stats.allocations += n;
    self->stats.allocations_from_empty += from_empty;
    self->stats.evictions += missing;
    return missing;
}

kvp_status kvp_pool_allocate(kvp_pool *self, kvp_lease *lease, int64_t now, uint64_t *evicted, uint32_t max_evicted,
                             uint32_t *num_evicted) {
    uint32_t n = lease->count;
    if (n > kvp_pool_room(self, lease->space))
        return KVP_NOT_ENOUGH;
    if (kvp_count_to_evict(self, n, lease->space) > max_evicted)
        return KVP_RETRY;
    kvp_pool_see_time(self, now);
    *num_evicted = kvp_take(self, lease->ids, n, lease->space, evicted);
    memset(kvp_lease_gone(lease), 0, n);
    kvp_make_live(self, lease, n, now);
    return KVP_OK;
}

static kvp_status release_mutable(kvp_pool *self, kvp_lease *lease) {
    const uint8_t *gone = kvp_lease_gone(lease);
    bool has_gone = lease->held != lease->count;
    kvp_status status = KVP_OK;
    for (uint32_t i = lease->count; i-- > 0;) {
        if (has_gone && gone[i])
            continue;
        const kvp_block *row = &self->table.rows[lease->ids[i]];
        if (KVP_LIKELY(row->refs > 0 && !kvp_block_is_registered(row)))
            kvp_give_back(self, lease->ids[i]);
        else
            status = KVP_CORRUPT;
    }
    return status;
}

static kvp_status release_immutable(kvp_pool *self, const kvp_lease *lease) {
    if (KVP_UNLIKELY(lease->is_pin))
        kvp_unpin(self, lease);
    if (KVP_UNLIKELY(lease->ahead > 0)) {
        kvp_foresight_end(&self->foresight, lease->ids, lease->count, lease->ahead);
        kvp_update_extras(self);
    }
    if (lease->is_chain)
        return kvp_let_go_chain(self, lease->ids, lease->count);
    const kvp_block *rows = self->table.rows;
    kvp_status status = KVP_OK;
    for (uint32_t i = lease->count; i-- > 0;) {
        int32_t id = lease->ids[i];
        if (i >= AHEAD)
            KVP_PREFETCH(&rows[lease->ids[i - AHEAD] & INT32_MAX]);
        if (id == KVP_NO_BLOCK)
            continue;
        if (KVP_LIKELY(rows[id].refs > 0 && kvp_block_is_registered(&rows[id])))
            kvp_let_go(self, id);
        else
            status = KVP_CORRUPT;
    }
    return status;
}

/* The blocks that have no identity yet, then the others; last blocks first. */
static kvp_status release_sequence(kvp_pool *self, kvp_lease *lease) {
    for (uint32_t i = lease->count; i-- > lease->registered;)
        kvp_give_back(self, lease->ids[i]);
    lease->count = lease->registered;
    return lease->count ? release_immutable(self, lease) : KVP_OK;
}

kvp_status kvp_pool_release_hinted(kvp_pool *self, kvp_lease *lease, uint32_t hint) {
    if (!lease->is_live)
        return KVP_OK;
    kvp_status status;
    kvp_eviction *order = kvp_order_of_space(self, lease->space);
    if (KVP_UNLIKELY(self->has_extras))
        kvp_eviction_begin_release(order, hint, self->now);
    if (KVP_UNLIKELY(lease->is_view))
        status = kvp_release_view(self, lease);
    else if (lease->is_sequence)
        status = release_sequence(self, lease);
    else
        status = lease->is_mutable ? release_mutable(self, lease) : release_immutable(self, lease);
    if (KVP_UNLIKELY(self->has_extras))
        kvp_eviction_end_release(order);
    kvp_make_dead(self, lease);
    self->stats.corruptions += status != KVP_OK;
    return status;
}

kvp_status kvp_pool_release_segment(kvp_pool *self, const kvp_segment *segment) {
    kvp_lease *lease = segment->lease;
    if (!lease->is_live)
        return KVP_OK;
    uint8_t *gone = kvp_lease_gone(lease);
    for (uint32_t i = segment->count; i-- > 0;) {
        int64_t entry = segment->offset + segment->stride * i;
        if (gone[entry])
            continue;
        gone[entry] = 1;
        lease->held--;
        kvp_give_back(self, lease->ids[entry]);
    }
    if (lease->held == 0)
        kvp_make_dead(self, lease);
    return KVP_OK;
}

/* Namespace of the parts; handles of several are told apart by those who put them together. */
static int32_t space_of_segments(const kvp_segment *parts, uint32_t num_parts) {
    for (uint32_t p = 0; p < num_parts; p++)
        if (parts[p].count > 0)
            return parts[p].lease->space;
    return 0;
}

kvp_status kvp_pool_share(kvp_pool *self, const kvp_segment *parts, uint32_t num_parts, int64_t now, kvp_lease *lease) {
    for (uint32_t p = 0; p < num_parts; p++)
        if (parts[p].count > 0 && !parts[p].lease->is_live)
            return KVP_STALE;
    uint32_t n = 0, held = 0;
    for (uint32_t p = 0; p < num_parts; p++) {
        for (uint32_t i = 0; i < parts[p].count; i++) {
            lease->ids[n] = parts[p].lease->ids[parts[p].offset + parts[p].stride * i];
            held += lease->ids[n++] != KVP_NO_BLOCK;
        }
    }
    lease->is_chain = kvp_is_chain(self->table.rows, lease->ids, n);
    lease->space = (uint8_t)space_of_segments(parts, num_parts);
    kvp_hold(self, lease, n);
    kvp_pool_see_time(self, now);
    kvp_make_live(self, lease, held, now);
    return KVP_OK;
}

kvp_status kvp_pool_join(kvp_pool *self, const kvp_segment *parts, uint32_t num_parts, int64_t now, kvp_lease *lease,
                         uint32_t *at) {
    kvp_status status = kvp_take_from_leases(parts, num_parts, lease->ids, at);
    if (status != KVP_OK)
        return status;
    kvp_close_emptied_leases(self, parts, num_parts);
    lease->space = (uint8_t)space_of_segments(parts, num_parts);
    memset(kvp_lease_gone(lease), 0, lease->count);
    kvp_pool_see_time(self, now);
    kvp_make_live(self, lease, lease->count, now);
    return KVP_OK;
}

kvp_status kvp_pool_upgrade(kvp_pool *self, int32_t id, uint32_t generation, uint64_t hash, int64_t now,
                            kvp_lease *lease) {
    const kvp_block *row = &self->table.rows[id];
    if (row->generation != generation || !kvp_block_is_registered(row) || row->hash != hash)
        return KVP_STALE;
    if (KVP_UNLIKELY(self->namespaces != NULL) && kvp_count_permitted(self, kvp_space_of(self, id), &id, 1) == 0)
        return KVP_NOT_ENOUGH;
    kvp_pool_see_time(self, now);
    kvp_acquire(self, id);
    lease->space = (uint8_t)kvp_space_of(self, id);
    lease->ids[0] = id;
    kvp_make_live(self, lease, 1, now);
    return KVP_OK;
}
