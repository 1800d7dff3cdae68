#include "pool_transitions.h"

#include "kvp/check.h"

#include <string.h>

typedef struct saving {
    const kvp_pool *pool;       /* borrowed */
    kvp_index_columns *columns; /* borrowed */
    uint32_t max;               /* entries that the columns have room for */
    int64_t now;
    uint32_t *refs;    /* borrowed; by id: what would be left of its references */
    uint8_t *is_saved; /* borrowed; by id */
} saving;

static int64_t lifetime_of(const saving *self, int32_t id) {
    int64_t expiry = kvp_expiry_heap_time(&self->pool->expiries, id), lifetime;
    if (expiry == KVP_NO_EXPIRY)
        return KVP_NO_EXPIRY;
    if (__builtin_sub_overflow(expiry, self->now, &lifetime) || lifetime == KVP_NO_EXPIRY)
        return expiry > self->now ? KVP_NO_EXPIRY - 1 : INT64_MIN;
    return lifetime;
}

static int32_t elder_of(const kvp_pool *pool, int32_t id) {
    return pool->table.rows[id].is_indexed ? KVP_NO_BLOCK : pool->copies[id].older;
}

static void save_tokens(const saving *self, int32_t id, uint32_t at) {
    const uint32_t *known = kvp_block_tokens_get(&self->pool->tokens, id);
    size_t size = self->columns->block_size;
    self->columns->has_tokens[at] = known != NULL;
    if (known)
        memcpy(self->columns->tokens + at * size, known, size * sizeof *known);
    else
        memset(self->columns->tokens + at * size, 0, size * sizeof *known);
}

/* The next entry, unless the block has one already. */
static void save(saving *self, int32_t id) {
    const kvp_block *row = &self->pool->table.rows[id];
    kvp_index_columns *columns = self->columns;
    uint32_t at = columns->count;
    if (self->is_saved[id] || at == self->max)
        return;
    self->is_saved[id] = 1;
    columns->hashes[at] = row->hash;
    columns->lifetimes[at] = lifetime_of(self, id);
    columns->ids[at] = id;
    columns->parents[at] = kvp_block_parent(row);
    if (columns->elders)
        columns->elders[at] = elder_of(self->pool, id);
    columns->levels[at] = (uint8_t)kvp_level_of(self->pool, id);
    columns->spaces[at] = (uint8_t)kvp_space_of(self->pool, id);
    columns->is_parked[at] = row->refs == 0 && kvp_block_is_parked(row);
    if (columns->tokens)
        save_tokens(self, id, at);
    columns->count++;
}

static void save_list(saving *self, int32_t end) {
    const kvp_block *rows = self->pool->table.rows;
    for (int32_t id = rows[end].next; id != end; id = rows[id].next)
        save(self, id);
}

/* The cached blocks in the order in which they go. Those that were spared for a waiting prompt had their turn: they are
 * the oldest of their own levels. */
static void save_order(saving *self, const kvp_eviction *order) {
    int32_t levels = order->buckets.first_end;
    save_list(self, levels + KVP_PROTECTED_LEVEL);
    for (int32_t level = 0; level <= KVP_MAX_PRIORITY; level++)
        save_list(self, levels + level);
    for (int32_t list = 0; order->policy && list < KVP_POLICY_LISTS; list++)
        save_list(self, order->policy->first_end + list);
}

/* As kvp_let_go, of references that are only written down. */
static void let_go(saving *self, int32_t id) {
    const kvp_block *rows = self->pool->table.rows;
    for (; id != KVP_NO_BLOCK && self->refs[id] > 0 && --self->refs[id] == 0; id = kvp_block_parent(&rows[id]))
        save(self, id);
}

/* The lease of a view may have blocks without identity. */
static void let_go_lease(saving *self, const kvp_lease *lease) {
    const kvp_block *rows = self->pool->table.rows;
    uint32_t n = lease->is_sequence ? lease->registered : lease->count;
    if (lease->is_mutable)
        return;
    for (uint32_t i = n; i-- > 0;) {
        if (lease->ids[i] != KVP_NO_BLOCK && kvp_block_is_registered(&rows[lease->ids[i]]))
            let_go(self, lease->ids[i]);
        if (lease->is_chain)
            return; /* the last one held the rest */
    }
}

static void save_held(saving *self) {
    const kvp_pool *pool = self->pool;
    const kvp_lease *lease = pool->leases;
    for (int32_t id = 0; id < pool->table.num_blocks; id++)
        self->refs[id] = pool->table.rows[id].refs;
    while (lease && lease->next)
        lease = lease->next;
    for (; lease; lease = lease->prev)
        let_go_lease(self, lease);
}

uint32_t kvp_pool_save(const kvp_pool *self, kvp_index_columns *columns, uint32_t max, int64_t now, void *scratch) {
    uint32_t total = (uint32_t)(self->num_cached + self->num_active);
    saving all = {.pool = self, .columns = columns, .max = max, .now = now > self->now ? now : self->now};
    all.refs = scratch;
    all.is_saved = (uint8_t *)(all.refs + self->table.num_blocks);
    columns->count = 0;
    if (total > max)
        return total;
    save_order(&all, &self->eviction);
    for (int32_t space = 1; self->namespaces && space < self->namespaces->count; space++)
        save_order(&all, &self->namespaces->orders[space - 1]);
    /* Those that are set aside, and those that a policy has its own way to link. */
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        if (kvp_block_is_registered(&self->table.rows[id]) && self->table.rows[id].refs == 0)
            save(&all, id);
    if (self->num_active > 0)
        save_held(&all);
    KVP_ASSERT(columns->count == total);
    return total;
}
