#include "pool_transitions.h"

#include "kvp/check.h"

#define AHEAD 16 /* index chunks asked for before they are needed */

/* Entries already marked in the first `count` of the segments' blocks become unmarked. */
static void untake(const kvp_segment *segments, uint32_t num_segments, uint32_t count) {
    for (uint32_t s = 0; s < num_segments && count > 0; s++) {
        for (uint32_t i = 0; i < segments[s].count && count > 0; i++, count--) {
            kvp_lease_gone(segments[s].lease)[segments[s].offset + segments[s].stride * i] = 0;
            segments[s].lease->held++;
        }
    }
}

kvp_status kvp_take_from_leases(const kvp_segment *segments, uint32_t num_segments, int32_t *ids, uint32_t *at) {
    uint32_t n = 0;
    for (uint32_t s = 0; s < num_segments; s++) {
        if (segments[s].count == 0)
            continue; /* of no lease, perhaps */
        kvp_lease *lease = segments[s].lease;
        uint8_t *gone = kvp_lease_gone(lease);
        for (uint32_t i = 0; i < segments[s].count; i++) {
            int64_t entry = segments[s].offset + segments[s].stride * i;
            if (!lease->is_live || gone[entry]) {
                untake(segments, num_segments, n);
                *at = n;
                return KVP_CONSUMED;
            }
            gone[entry] = 1;
            lease->held--;
            ids[n++] = lease->ids[entry];
        }
    }
    return KVP_OK;
}

void kvp_close_emptied_leases(kvp_pool *self, const kvp_segment *segments, uint32_t num_segments) {
    for (uint32_t s = 0; s < num_segments; s++)
        if (segments[s].count > 0 && segments[s].lease->is_live && segments[s].lease->held == 0)
            kvp_make_dead(self, segments[s].lease);
}

int32_t kvp_permitted_parent(const kvp_pool *self, int32_t parent, int32_t space) {
    bool is_permitted =
        parent != KVP_NO_BLOCK && self->namespaces->of[parent] == space && kvp_can_hold_lineage(self, parent, space);
    return is_permitted ? parent : KVP_NO_BLOCK;
}

/* The registered block that a child of `hash` in this namespace hangs on, or KVP_NO_BLOCK. */
static int32_t parent_by_hash(const kvp_pool *self, uint64_t hash, int32_t space) {
    int32_t id = kvp_hash_index_find(&self->index, hash);
    return KVP_UNLIKELY(self->namespaces != NULL) ? kvp_permitted_parent(self, id, space) : id;
}

/* Parent of block i of the registration; `before` is the registered block of i - 1. */
static int32_t parent_of(const kvp_pool *self, const kvp_registration *registration, uint32_t i, int32_t before,
                         int32_t space) {
    uint64_t hash = registration->hashes[i], hint;
    if (registration->parents) {
        if (registration->parents[i] == hash)
            return KVP_NO_BLOCK;
        return parent_by_hash(self, registration->parents[i], space);
    }
    if (i > 0)
        return self->table.rows[before].is_indexed ? before : parent_by_hash(self, registration->hashes[i - 1], space);
    if (registration->has_parent)
        return parent_by_hash(self, registration->parent, space);
    if (kvp_hint_table_get(&self->hints, hash, &hint))
        return parent_by_hash(self, hint, space);
    return KVP_NO_BLOCK;
}

/* The mutable block takes its hash and its place under the parent; false when it has none. Views go on holding it. The
 * row is written as a whole: bit fields set one by one and read together would have to wait for each other. */
static bool give_identity(kvp_pool *self, int32_t id, uint64_t hash, int32_t parent, uint32_t level, bool is_indexed) {
    kvp_block *rows = self->table.rows;
    bool has_parent = parent != KVP_NO_BLOCK && KVP_LIKELY(rows[parent].children < KVP_MAX_CHILDREN);
    rows[id] = (kvp_block){.hash = hash,
                           .prev = KVP_NO_BLOCK,
                           .next = KVP_NO_BLOCK,
                           .refs = rows[id].refs,
                           .generation = rows[id].generation,
                           .lineage = has_parent ? parent + KVP_PARENT_BASE : KVP_ROOT,
                           .children = 0,
                           .level = level & 0x7F,
                           .is_indexed = is_indexed};
    if (has_parent)
        rows[parent].children++;
    return has_parent;
}

/* The blocks of ids[0 .. n) have been held as a chain; from now on each is held by itself. */
static void end_chain(kvp_pool *self, const int32_t *ids, uint32_t n) {
    for (uint32_t i = 0; i + 1 < n; i++)
        self->table.rows[ids[i]].refs++;
}

/* The block becomes the newest copy of the hash that `oldest` is indexed under. */
static void add_copy(kvp_pool *self, int32_t id, int32_t oldest) {
    int32_t newest = self->copies[oldest].older;
    self->copies[id] = (kvp_copies){.older = newest, .newer = oldest};
    self->copies[newest].newer = id;
    self->copies[oldest].older = id;
}

/* The larger of the retention that the block has and the one that the call asked for. */
static void raise_retention(kvp_pool *self, int32_t id, uint32_t level, int64_t expiry) {
    uint32_t own = kvp_level_of(self, id);
    if (level > own || (level == own && expiry > kvp_expiry_heap_time(&self->expiries, id))) {
        kvp_set_level(self, id, level);
        kvp_expiry_heap_set(&self->expiries, id, expiry);
    }
}

/* New blocks whose place was taken by a registered one become empty, last to first. */
static void give_back_replaced(kvp_pool *self, const kvp_registration *registration, const int32_t *ids, uint32_t n) {
    for (uint32_t s = registration->num_segments; s-- > 0;) {
        const kvp_segment *segment = &registration->segments[s];
        for (uint32_t i = segment->count; i-- > 0;) {
            int32_t id = segment->lease->ids[segment->offset + segment->stride * i];
            if (ids[--n] != id)
                kvp_give_back(self, id);
        }
    }
}

/* Work out where hash i belongs, and ask for that chunk. */
static void ask_for_chunk(const kvp_pool *self, const uint64_t *hashes, uint32_t i, uint32_t n,
                          kvp_hash_place places[AHEAD]) {
    if (i < n) {
        places[i % AHEAD] = kvp_hash_index_place(&self->index, hashes[i]);
        KVP_PREFETCH(&self->index.chunks[places[i % AHEAD].home]);
    }
}

void kvp_admit_extras(kvp_pool *self, int32_t id, int32_t parent, uint64_t check) {
    if (self->keys.is_kept)
        self->keys.of[id] = check;
    kvp_eviction_admit(kvp_order_of(self, id), id);
    if (!self->facts)
        return;
    uint32_t position = parent != KVP_NO_BLOCK ? self->facts[parent].position + 1 : 0;
    self->facts[id] = (kvp_block_facts){.last_access = self->now, .reuse_count = 0, .position = position};
}

/* A cached block is about to be held by a namespace that has no room for what it continues: it continues nothing any
 * more. Else a single block could hold as many as there are. */
__attribute__((noinline, cold)) static void leave_parent(kvp_pool *self, int32_t id) {
    kvp_block *rows = self->table.rows;
    int32_t parent = kvp_block_parent(&rows[id]);
    if (rows[id].refs > 0 || kvp_can_hold_lineage(self, parent, self->namespaces->of[id]))
        return;
    rows[id].lineage = KVP_ROOT;
    kvp_lose_child(self, parent);
}

bool kvp_enrol(kvp_pool *self, int32_t *ids, uint32_t i, const kvp_enrolment *enrolment, bool *is_chain) {
    kvp_block *rows = self->table.rows;
    int32_t id = ids[i], before = i > 0 ? ids[i - 1] : KVP_NO_BLOCK;
    bool is_inserted = kvp_hash_index_insert_if_new(&self->index, id, enrolment->place);
    int32_t first = KVP_NO_BLOCK;
    if (KVP_UNLIKELY(!is_inserted))
        first = kvp_hash_index_find_placed(&self->index, enrolment->hash, enrolment->place);
    bool is_duplicate = first != KVP_NO_BLOCK;
    if (is_duplicate && !self->copies) {
        if (KVP_UNLIKELY(self->namespaces != NULL))
            leave_parent(self, first);
        bool continues = i > 0 && rows[first].lineage == before + KVP_PARENT_BASE;
        kvp_acquire(self, first);
        if (*is_chain && continues)
            rows[before].refs--; /* which `first` holds now */
        else if (*is_chain && i > 0)
            end_chain(self, ids, i);
        *is_chain = *is_chain && (continues || i == 0);
        if (enrolment->has_retention)
            raise_retention(self, first, enrolment->level, enrolment->expiry);
        ids[i] = first;
        return true;
    }
    int32_t parent = enrolment->parent;
    bool has_parent = give_identity(self, id, enrolment->hash, parent, enrolment->level, !is_duplicate);
    if (KVP_UNLIKELY(self->sampler != NULL) && kvp_reuse_sampler_follows(self->sampler, enrolment->hash))
        kvp_reuse_sampler_store(self->sampler, enrolment->hash, self->now);
    if (KVP_UNLIKELY(self->has_extras))
        kvp_admit_extras(self, id, has_parent ? parent : KVP_NO_BLOCK, enrolment->check);
    bool continues = has_parent && i > 0 && parent == before;
    if (*is_chain && i > 0 && !continues) {
        end_chain(self, ids, i);
        *is_chain = false;
    }
    if (has_parent && !(*is_chain && continues)) /* in a chain, our hold on the parent becomes the block's */
        kvp_acquire(self, parent);
    if (KVP_UNLIKELY(enrolment->expiry != KVP_NO_EXPIRY))
        kvp_expiry_heap_set(&self->expiries, id, enrolment->expiry);
    self->num_mutable--;
    self->num_active++;
    if (is_duplicate) {
        add_copy(self, id, first);
        if (self->tokens.block_size > 0)
            kvp_block_tokens_set(&self->tokens, id, enrolment->tokens);
        return true;
    }
    if (!is_inserted && KVP_UNLIKELY(kvp_hash_index_insert_placed(&self->index, id, enrolment->place) != KVP_OK))
        kvp_hash_index_rekey(&self->index, self->table.num_blocks);
    if (self->copies)
        self->copies[id] = (kvp_copies){id, id};
    kvp_tell_stored(self, id, has_parent ? rows[parent].hash : 0, has_parent, enrolment->tokens);
    return false;
}

/* A hash that is registered for another key cannot stand for this one. Each further hash that is tried is another one, as
 * the step is odd; so at most as many are tried as there are blocks, and the check word is nobody's to choose. */
__attribute__((noinline, cold)) static void find_own_hash(const kvp_pool *self, kvp_enrolment *enrolment) {
    int32_t id;
    while ((id = kvp_hash_index_find_placed(&self->index, enrolment->hash, enrolment->place)) != KVP_NO_BLOCK &&
           !kvp_key_checks_agree(&self->keys, id, enrolment->check)) {
        enrolment->hash += enrolment->check | 1;
        enrolment->place = kvp_hash_index_place(&self->index, enrolment->hash);
    }
}

kvp_status kvp_pool_register(kvp_pool *self, const kvp_registration *registration, int64_t now, kvp_lease *lease,
                             uint32_t *at) {
    uint32_t n = lease->count, duplicates = 0;
    kvp_status status = kvp_take_from_leases(registration->segments, registration->num_segments, lease->ids, at);
    if (status != KVP_OK)
        return status;
    for (uint32_t i = 0; KVP_UNLIKELY(self->namespaces != NULL) && i < n; i++) {
        if (!kvp_is_foreign(self, registration->hashes[i], self->namespaces->of[lease->ids[i]]) &&
            self->namespaces->of[lease->ids[i]] == self->namespaces->of[lease->ids[0]])
            continue;
        untake(registration->segments, registration->num_segments, n);
        *at = i;
        return KVP_FOREIGN;
    }
    if (n > 0)
        lease->space = (uint8_t)kvp_space_of(self, lease->ids[0]);
    kvp_pool_see_time(self, now);
    kvp_tell_time(self);

    kvp_enrolment enrolment = {.has_retention = registration->level >= 0 || registration->expiry != KVP_NO_EXPIRY,
                               .level = KVP_DEFAULT_LEVEL,
                               .expiry = registration->expiry};
    if (registration->level >= 0)
        enrolment.level = (uint32_t)registration->level;
    else if (enrolment.has_retention)
        enrolment.level = KVP_TTL_LEVEL;

    bool is_chain = n > 0;
    uint32_t rekeys = self->index.rekeys;
    kvp_hash_place places[AHEAD];
    for (uint32_t i = 0; i < AHEAD; i++)
        ask_for_chunk(self, registration->hashes, i, n, places);
    for (uint32_t i = 0; i < n; i++) {
        enrolment.hash = registration->hashes[i];
        enrolment.place = places[i % AHEAD];
        enrolment.parent = parent_of(self, registration, i, i > 0 ? lease->ids[i - 1] : KVP_NO_BLOCK, lease->space);
        if (KVP_UNLIKELY(registration->tokens != NULL))
            enrolment.tokens = registration->tokens[i];
        ask_for_chunk(self, registration->hashes, i + AHEAD, n, places);
        if (KVP_UNLIKELY(self->keys.is_kept)) {
            enrolment.check = registration->hashes[(size_t)n + i];
            find_own_hash(self, &enrolment);
        }
        duplicates += kvp_enrol(self, lease->ids, i, &enrolment, &is_chain);
        if (KVP_UNLIKELY(self->index.rekeys != rekeys)) { /* every place is another now */
            for (uint32_t j = i + 1; j <= i + AHEAD; j++)
                ask_for_chunk(self, registration->hashes, j, n, places);
            rekeys = self->index.rekeys;
        }
    }
    if (duplicates && !self->copies)
        give_back_replaced(self, registration, lease->ids, n);
    kvp_close_emptied_leases(self, registration->segments, registration->num_segments);
    self->stats.registrations += n;
    self->stats.duplicates += duplicates;
    lease->is_chain = is_chain;
    kvp_make_live(self, lease, n, now);
    return KVP_OK;
}
