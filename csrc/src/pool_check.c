#include "kvp/check.h"
#include "kvp/pool.h"
#include "kvp/prefix_search.h"

#include <string.h>

#define OWNED 0x80000000u /* a lease that is not that of a view names it */

/* Owners of each block: live leases that hold it themselves, and active children. */
static const char *check_references(const kvp_pool *self, uint32_t *owners) {
    const kvp_block *rows = self->table.rows;
    uint64_t leases = 0;
    for (kvp_lease *lease = self->leases; lease; lease = lease->next) {
        uint32_t held = 0, chained = lease->is_sequence ? lease->registered : lease->count;
        KVP_REQUIRE(++leases <= self->num_leases, "the list of leases is longer than counted");
        KVP_REQUIRE(lease->is_live, "a lease that holds nothing is among the live ones");
        KVP_REQUIRE(!lease->next || lease->next->prev == lease, "the list of leases is linked one way only");
        for (uint32_t i = 0; i < lease->count; i++) {
            int32_t id = lease->ids[i];
            if (id == KVP_NO_BLOCK || (lease->is_mutable && kvp_lease_gone(lease)[i]))
                continue;
            KVP_REQUIRE(id >= 0 && id < self->table.num_blocks, "a lease names what is not a block");
            bool has_identity = lease->is_sequence ? i < lease->registered : !lease->is_mutable;
            KVP_REQUIRE(lease->is_view || kvp_block_is_registered(&rows[id]) == has_identity,
                        "a lease is of the wrong kind for its block");
            KVP_REQUIRE(lease->is_view || has_identity || !(owners[id] & OWNED),
                        "a block without identity has more than one owner");
            owners[id] |= lease->is_view || has_identity ? 0 : OWNED;
            owners[id] += !lease->is_chain || i + 1 >= chained;
            held++;
        }
        KVP_REQUIRE(!lease->is_chain || chained == 0 || kvp_is_chain(rows, lease->ids, chained),
                    "the blocks of a chain do not continue each other");
        KVP_REQUIRE(held == lease->held, "a lease miscounts what it holds");
    }
    KVP_REQUIRE(leases == self->num_leases, "the list of leases is shorter than counted");
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        if (kvp_block_is_registered(&rows[id]) && rows[id].refs > 0 && kvp_block_parent(&rows[id]) != KVP_NO_BLOCK)
            owners[kvp_block_parent(&rows[id])]++;
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        KVP_REQUIRE((owners[id] & ~OWNED) == rows[id].refs, "a block's references are not those that hold it");
    return NULL;
}

/* Pins of each block: of live leases that are pins, and of pinned blocks that continue it. */
static const char *check_pins(const kvp_pool *self, uint32_t *pins) {
    const kvp_block *rows = self->table.rows;
    int32_t pinned = 0;
    for (const kvp_lease *lease = self->leases; lease; lease = lease->next)
        for (uint32_t i = 0; lease->is_pin && i < lease->count; i++)
            if (lease->ids[i] != KVP_NO_BLOCK)
                pins[lease->ids[i]]++;
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        if (self->pins[id] > 0 && kvp_block_parent(&rows[id]) != KVP_NO_BLOCK)
            pins[kvp_block_parent(&rows[id])]++;
    for (int32_t id = 0; id < self->table.num_blocks; id++) {
        KVP_REQUIRE(pins[id] == self->pins[id], "a block miscounts its pins");
        KVP_REQUIRE(pins[id] == 0 || rows[id].refs > 0, "a pinned block is not held");
        pinned += pins[id] > 0;
    }
    KVP_REQUIRE(pinned == self->num_pinned, "the pinned blocks are miscounted");
    return NULL;
}

static const char *check_lineage(const kvp_pool *self, uint32_t *children) {
    const kvp_block *rows = self->table.rows;
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        if (kvp_block_is_registered(&rows[id]) && kvp_block_parent(&rows[id]) != KVP_NO_BLOCK)
            children[kvp_block_parent(&rows[id])]++;
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        KVP_REQUIRE(children[id] == rows[id].children, "a block miscounts its children");
    return NULL;
}

static const char *check_states(const kvp_pool *self) {
    const kvp_block *rows = self->table.rows;
    int32_t empty = 0, mutable = 0, active = 0, cached = 0, parked = 0, linked;
    for (int32_t id = 0; id < self->table.num_blocks; id++) {
        bool is_registered = kvp_block_is_registered(&rows[id]), is_held = rows[id].refs > 0;
        empty += !is_registered && !is_held;
        mutable += !is_registered && is_held;
        active += is_registered && is_held;
        cached += is_registered && !is_held;
        parked += is_registered && !is_held && kvp_block_is_parked(&rows[id]);
        KVP_REQUIRE(is_registered || kvp_expiry_heap_time(&self->expiries, id) == KVP_NO_EXPIRY,
                    "a block without identity has an expiry");
    }
    KVP_REQUIRE(empty == self->empty.count, "the empty blocks are miscounted");
    KVP_REQUIRE(mutable == self->num_mutable, "the mutable blocks are miscounted");
    KVP_REQUIRE(active == self->num_active, "the active blocks are miscounted");
    KVP_REQUIRE(cached == self->num_cached, "the cached blocks are miscounted");
    for (int32_t i = 0; i < self->empty.count; i++)
        KVP_REQUIRE(rows[self->empty.ids[i]].refs == 0 && !kvp_block_is_registered(&rows[self->empty.ids[i]]),
                    "a block on the empty stack is in use");
    const char *broken = kvp_eviction_check(&self->eviction, &linked);
    for (int32_t space = 1; !broken && self->namespaces && space < self->namespaces->count; space++) {
        int32_t ordered;
        broken = kvp_eviction_check(&self->namespaces->orders[space - 1], &ordered);
        linked += broken ? 0 : ordered;
    }
    KVP_REQUIRE(broken || linked + parked == cached, "a cached block is neither in a list nor parked");
    return broken;
}

/* What each namespace holds and has cached, and that no lineage goes from one to another. */
static const char *check_namespaces(const kvp_pool *self) {
    const kvp_block *rows = self->table.rows;
    const kvp_namespaces *spaces = self->namespaces;
    int32_t held[KVP_MAX_NAMESPACES] = {0}, cached[KVP_MAX_NAMESPACES] = {0};
    for (int32_t id = 0; id < self->table.num_blocks; id++) {
        bool is_registered = kvp_block_is_registered(&rows[id]);
        int32_t parent = is_registered ? kvp_block_parent(&rows[id]) : KVP_NO_BLOCK;
        KVP_REQUIRE(parent == KVP_NO_BLOCK || spaces->of[parent] == spaces->of[id],
                    "a block continues one of another namespace");
        held[spaces->of[id]] += rows[id].refs > 0;
        cached[spaces->of[id]] += is_registered && rows[id].refs == 0;
    }
    for (int32_t space = 0; space < KVP_MAX_NAMESPACES; space++) {
        bool is_used = space < spaces->count;
        KVP_REQUIRE(held[space] == (is_used ? spaces->quotas[space].held : 0), "what a namespace holds is miscounted");
        KVP_REQUIRE(cached[space] == (is_used ? spaces->quotas[space].cached : 0),
                    "what a namespace has cached is miscounted");
    }
    return kvp_namespaces_check(spaces);
}

/* The copies of every hash form one ring with exactly one indexed block, the oldest. */
static const char *check_copies(const kvp_pool *self) {
    const kvp_block *rows = self->table.rows;
    int32_t in_rings = 0, registered = 0;
    for (int32_t id = 0; id < self->table.num_blocks; id++) {
        if (!kvp_block_is_registered(&rows[id]))
            continue;
        registered++;
        KVP_REQUIRE(self->copies || rows[id].is_indexed, "a registered block is not in the index");
        if (!self->copies || !rows[id].is_indexed)
            continue;
        int32_t at = id;
        do {
            KVP_REQUIRE(rows[at].hash == rows[id].hash && kvp_block_is_registered(&rows[at]),
                        "a copy has another hash");
            KVP_REQUIRE(at == id || !rows[at].is_indexed, "two copies of a hash are in the index");
            KVP_REQUIRE(self->copies[self->copies[at].newer].older == at, "copies are linked one way only");
            KVP_REQUIRE(!self->keys.is_kept || kvp_key_checks_agree(&self->keys, at, self->keys.of[id]),
                        "copies of a hash are of different keys");
            KVP_REQUIRE(++in_rings <= self->table.num_blocks, "copies do not come back to the first");
            at = self->copies[at].newer;
        } while (at != id);
    }
    KVP_REQUIRE(!self->copies || in_rings == registered, "a copy belongs to no hash");
    return NULL;
}

const char *kvp_pool_check(const kvp_pool *self, void *scratch) {
    size_t n = (size_t)self->table.num_blocks;
    uint32_t *counts = scratch;
    uint8_t *seen = (uint8_t *)(counts + n);
    const char *broken = kvp_block_table_check(&self->table);
    if (!broken)
        broken = kvp_free_list_check(&self->empty, seen);
    if (!broken)
        broken = check_states(self);
    if (!broken)
        broken = check_references(self, counts);
    memset(counts, 0, n * sizeof *counts);
    if (!broken && self->num_pinned > 0)
        broken = check_pins(self, counts);
    memset(counts, 0, n * sizeof *counts);
    if (!broken)
        broken = kvp_protection_check(&self->protection);
    if (!broken)
        broken = kvp_foresight_check(&self->foresight);
    bool has_orders = self->eviction.policy || self->namespaces;
    bool has_extras =
        has_orders || self->facts || self->keys.is_kept || self->protection.count > 0 || self->foresight.count > 0;
    KVP_REQUIRE(broken || (has_orders == self->has_orders && has_extras == self->has_extras),
                "what a pool has beside the ordinary is not known");
    if (!broken && self->namespaces)
        broken = check_namespaces(self);
    if (!broken && self->sampler)
        broken = kvp_reuse_sampler_check(self->sampler);
    if (!broken)
        broken = check_lineage(self, counts);
    memset(counts, 0, n * sizeof *counts);
    if (!broken)
        broken = kvp_hash_index_check(&self->index, self->table.num_blocks);
    if (!broken)
        broken = check_copies(self);
    if (!broken)
        broken = kvp_expiry_heap_check(&self->expiries);
    if (!broken)
        broken = kvp_hint_table_check(&self->hints);
    if (!broken)
        broken = kvp_event_ring_check(&self->events);
    if (!broken)
        broken = kvp_block_tokens_check(&self->tokens);
    if (!broken)
        broken = kvp_key_checks_check(&self->keys);
    if (!broken)
        broken = kvp_stats_check(&self->stats);
    return broken;
}
