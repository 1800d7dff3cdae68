#include "pool_transitions.h"

#include "kvp/check.h"

#define AHEAD 16 /* index chunks asked for before they are needed */

/* What kvp_pool_restore works out. */
typedef struct scratch_of {
    int32_t *entries; /* borrowed; by id: its entry */
    int32_t *passed;  /* borrowed; entries on the way up */
    uint8_t *is_told; /* borrowed; by entry */
} scratch_of;

/* Make the namespaces that the pool has not yet. On error they are as they were. */
static kvp_status make_spaces(kvp_pool *self, const kvp_restoration *restoration) {
    kvp_namespaces *spaces = self->namespaces;
    const kvp_quota *quotas = restoration->quotas;
    if (!spaces)
        return restoration->num_spaces == 1 ? KVP_OK : KVP_FULL;
    if (spaces->count != restoration->num_known)
        return KVP_RETRY;
    kvp_namespaces before = *spaces;
    kvp_quota quota = spaces->quotas[0];
    kvp_status status = KVP_OK;
    if (quota.floor == 0 && quota.cap == self->table.num_blocks)
        status = kvp_namespaces_set(spaces, 0, quotas[0].floor, quotas[0].cap);
    while (status == KVP_OK && spaces->count < restoration->num_spaces)
        status = kvp_namespaces_set(spaces, spaces->count, quotas[spaces->count].floor, quotas[spaces->count].cap);
    if (status != KVP_OK) {
        *spaces = before;
        spaces->quotas[0] = quota;
    }
    return status;
}

/* As after kvp_pool_reset: whoever follows the events begins anew. */
static void forget(kvp_pool *self) {
    kvp_hint_table_clear(&self->hints);
    kvp_protection_clear(&self->protection);
    kvp_update_extras(self);
    if (self->events.next == 0)
        return;
    kvp_event event = {.id = KVP_NO_BLOCK, .kind = KVP_EVENT_CLEARED, .reason = KVP_REASON_RESET};
    kvp_event_ring_push(&self->events, event, NULL);
}

/* The blocks get their identities; their children are counted when all are there. A block has another generation than
 * before, so that who remembers one of that hash does not take it for this one. */
static void write_rows(kvp_pool *self, const kvp_index_columns *columns, int32_t *entries) {
    kvp_block *rows = self->table.rows;
    for (uint32_t i = 0; i < columns->count; i++) {
        int32_t id = columns->ids[i], parent = columns->parents[i];
        bool is_oldest = !columns->elders || columns->elders[i] == KVP_NO_BLOCK;
        entries[id] = (int32_t)i;
        if (columns->count - i > AHEAD) {
            uint64_t hash = columns->hashes[i + AHEAD];
            KVP_PREFETCH(&self->index.chunks[kvp_hash_index_place(&self->index, hash).home]);
        }
        rows[id] = (kvp_block){.hash = columns->hashes[i],
                               .prev = columns->is_parked[i] ? KVP_PARKED : KVP_NO_BLOCK,
                               .next = KVP_NO_BLOCK,
                               .refs = 0,
                               .generation = rows[id].generation + 1,
                               .lineage = parent == KVP_NO_BLOCK ? KVP_ROOT : parent + KVP_PARENT_BASE,
                               .children = 0,
                               .level = columns->levels[i] & 0x7Fu,
                               .is_indexed = is_oldest};
        if (is_oldest && kvp_hash_index_insert(&self->index, id) != KVP_OK)
            kvp_hash_index_rekey(&self->index, self->table.num_blocks);
        if (self->copies)
            self->copies[id] = (kvp_copies){id, id};
        if (self->namespaces) {
            self->namespaces->of[id] = columns->spaces[i];
            self->namespaces->quotas[columns->spaces[i]].cached++;
        }
    }
    for (uint32_t i = 0; i < columns->count; i++)
        if (columns->parents[i] != KVP_NO_BLOCK)
            rows[columns->parents[i]].children++;
}

/* Copies are lines from elder to elder: first each knows its younger one, then the oldest and the youngest meet. */
static void link_copies(kvp_pool *self, const kvp_index_columns *columns) {
    kvp_copies *copies = self->copies;
    for (uint32_t i = 0; i < columns->count; i++) {
        int32_t id = columns->ids[i], elder = columns->elders[i];
        if (elder == KVP_NO_BLOCK)
            continue;
        copies[id].older = elder;
        copies[elder].newer = id;
    }
    for (uint32_t i = 0; i < columns->count; i++) {
        int32_t oldest = columns->ids[i], youngest = oldest;
        if (columns->elders[i] != KVP_NO_BLOCK)
            continue;
        while (copies[youngest].newer != youngest)
            youngest = copies[youngest].newer;
        copies[oldest].older = youngest;
        copies[youngest].newer = oldest;
    }
}

static int64_t expiry_of(const kvp_pool *self, int64_t lifetime, int64_t elapsed) {
    int64_t left, expiry;
    if (__builtin_sub_overflow(lifetime, elapsed, &left))
        left = INT64_MIN;
    if (__builtin_add_overflow(self->now, left, &expiry))
        expiry = left > 0 ? INT64_MAX : INT64_MIN;
    return expiry == KVP_NO_EXPIRY ? KVP_NO_EXPIRY - 1 : expiry;
}

/* Tell the policy, the sampler and those who follow the events of the block; its parent was told of. */
static void tell(kvp_pool *self, int32_t id, const uint32_t *tokens) {
    const kvp_block *row = &self->table.rows[id];
    int32_t parent = kvp_block_parent(row);
    bool has_parent = parent != KVP_NO_BLOCK;
    if (self->sampler && kvp_reuse_sampler_follows(self->sampler, row->hash))
        kvp_reuse_sampler_store(self->sampler, row->hash, self->now);
    if (self->has_extras)
        kvp_admit_extras(self, id, parent, 0);
    if (row->is_indexed)
        kvp_tell_stored(self, id, has_parent ? self->table.rows[parent].hash : 0, has_parent, tokens);
    else if (self->tokens.block_size > 0)
        kvp_block_tokens_set(&self->tokens, id, tokens);
}

/* Each block goes up until it meets one that was told of, and those that it passed are told of on the way back. */
static void tell_all(kvp_pool *self, const kvp_index_columns *columns, const scratch_of *scratch) {
    bool has_tokens = self->tokens.block_size > 0 && columns->tokens;
    for (uint32_t i = 0; i < columns->count; i++) {
        uint32_t count = 0;
        for (int32_t at = (int32_t)i; at >= 0 && !scratch->is_told[at];) {
            scratch->is_told[at] = 1;
            scratch->passed[count++] = at;
            at = columns->parents[at] == KVP_NO_BLOCK ? -1 : scratch->entries[columns->parents[at]];
        }
        while (count-- > 0) {
            size_t at = (size_t)scratch->passed[count];
            bool is_known = has_tokens && columns->has_tokens[at];
            tell(self, columns->ids[at], is_known ? columns->tokens + at * columns->block_size : NULL);
        }
    }
}

/* The blocks come back one after the other, as they did before. */
static void put_in_order(kvp_pool *self, const kvp_index_columns *columns, int64_t elapsed) {
    int32_t num_spaces = self->namespaces ? self->namespaces->count : 1;
    for (int32_t space = 0; space < num_spaces; space++)
        kvp_eviction_begin_release(kvp_order_of_space(self, space), 0, self->now);
    for (uint32_t i = 0; i < columns->count; i++) {
        int32_t id = columns->ids[i];
        if (!columns->is_parked[i])
            kvp_eviction_add(kvp_order_of(self, id), id);
        if (columns->lifetimes[i] != KVP_NO_EXPIRY)
            kvp_expiry_heap_set(&self->expiries, id, expiry_of(self, columns->lifetimes[i], elapsed));
    }
    for (int32_t space = 0; space < num_spaces; space++)
        kvp_eviction_end_release(kvp_order_of_space(self, space));
}

/* The other blocks, the lowest id on top. */
static void stack_empty(kvp_pool *self) {
    self->empty.count = 0;
    for (int32_t id = self->table.num_blocks; id-- > 0;)
        if (!kvp_block_is_registered(&self->table.rows[id]))
            kvp_free_list_push(&self->empty, id);
}

kvp_status kvp_pool_restore(kvp_pool *self, const kvp_restoration *restoration, int64_t now, void *scratch) {
    const kvp_index_columns *columns = restoration->columns;
    KVP_ASSERT(!columns->elders || self->copies);
    KVP_ASSERT(!self->keys.is_kept); /* no column has check words */
    KVP_ASSERT(!columns->tokens || !self->tokens.tokens || columns->block_size == self->tokens.block_size);
    if (self->num_active > 0 || self->num_mutable > 0 || self->num_cached > 0)
        return KVP_IN_USE;
    kvp_status status = make_spaces(self, restoration);
    if (status != KVP_OK)
        return status;
    size_t n = (size_t)self->table.num_blocks;
    scratch_of parts = {.entries = scratch};
    parts.passed = parts.entries + n;
    parts.is_told = (uint8_t *)(parts.passed + n);
    kvp_pool_see_time(self, now);
    kvp_tell_time(self);
    forget(self);
    write_rows(self, columns, parts.entries);
    if (columns->elders)
        link_copies(self, columns);
    self->num_cached = (int32_t)columns->count;
    tell_all(self, columns, &parts);
    put_in_order(self, columns, restoration->elapsed);
    stack_empty(self);
    for (int32_t space = 0; self->namespaces && space < self->namespaces->count; space++)
        if (self->namespaces->quotas[space].cached > self->namespaces->quotas[space].cap)
            kvp_evict_beyond_cap(self, space);
    return KVP_OK;
}
