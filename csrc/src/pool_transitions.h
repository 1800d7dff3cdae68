/*
 * What:      the few steps that every transition is made of. Private to pool*.c.
 * Cost:      O(1) each, amortised over the holds that acquire and release pass up a lineage.
 * Ownership: none.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    none can fail; the callers have checked.
 */
#ifndef KVP_POOL_TRANSITIONS_H
#define KVP_POOL_TRANSITIONS_H

#include "kvp/pool.h"

/* After a policy, facts, check words, protected blocks or such that are held ahead came or went. */
static inline void kvp_update_extras(kvp_pool *self) {
    self->has_orders = self->eviction.policy || self->namespaces;
    self->has_extras = self->has_orders || self->facts || self->keys.is_kept || self->protection.count > 0 ||
                       self->foresight.count > 0;
}

static inline kvp_eviction *kvp_order_of_space(kvp_pool *self, int32_t space) {
    return space > 0 ? &self->namespaces->orders[space - 1] : &self->eviction;
}

static inline int32_t kvp_space_of(const kvp_pool *self, int32_t id) {
    return self->namespaces ? self->namespaces->of[id] : 0;
}

/* The order of eviction that the block has its place in. */
static inline kvp_eviction *kvp_order_of(kvp_pool *self, int32_t id) {
    return kvp_order_of_space(self, kvp_space_of(self, id));
}

/* Namespaces in use; 1 for the default one of a pool without. */
static inline int32_t kvp_num_spaces(const kvp_pool *self) {
    return self->namespaces ? self->namespaces->count : 1;
}

/* Tell the policies what time it is. */
static inline void kvp_tell_time(kvp_pool *self) {
    kvp_eviction_see_time(&self->eviction, self->now);
    if (KVP_LIKELY(!self->namespaces || !self->eviction.policy))
        return;
    for (int32_t space = 1; space < self->namespaces->count; space++)
        kvp_eviction_see_time(kvp_order_of_space(self, space), self->now);
}

/* A cached block is held, or a held one cached, in a pool that has more than lists of levels. Out of the way of those
 * that have not, as is what a mutable block that becomes empty means to its namespace. */
__attribute__((noinline, cold)) void kvp_leave_order(kvp_pool *self, int32_t id);
__attribute__((noinline, cold)) void kvp_enter_order(kvp_pool *self, int32_t id);
__attribute__((noinline, cold)) void kvp_uncount_held(kvp_pool *self, int32_t id);

/* Give a registered block another level; one that is protected keeps its place, and gets the level when that ends. */
static inline void kvp_set_level(kvp_pool *self, int32_t id, uint32_t level) {
    if (KVP_UNLIKELY(self->table.rows[id].level == KVP_PROTECTED_LEVEL))
        self->protection.levels[id] = (uint8_t)level;
    else
        kvp_eviction_set_level(kvp_order_of(self, id), id, level);
}

/* The level that the block has but for its protection. */
static inline uint32_t kvp_level_of(const kvp_pool *self, int32_t id) {
    uint32_t level = self->table.rows[id].level;
    return KVP_UNLIKELY(level == KVP_PROTECTED_LEVEL) ? self->protection.levels[id] : level;
}

/* A block that was spared has its own level again. It is not in a list. */
static inline void kvp_end_protection(kvp_pool *self, int32_t id) {
    self->table.rows[id].level = kvp_level_of(self, id) & 0x7F;
    kvp_protection_drop(&self->protection, id);
}

/* One block fewer continues this one, if it is one. Set aside for its last one, it goes next. */
static inline void kvp_lose_child(kvp_pool *self, int32_t parent) {
    if (parent != KVP_NO_BLOCK && --self->table.rows[parent].children == 0 &&
        kvp_block_is_parked(&self->table.rows[parent]))
        kvp_eviction_add_next(kvp_order_of(self, parent), parent);
}

/* What kvp_notice_hits does where there is a policy, facts or protection. */
void kvp_notice_hits_of_extras(kvp_pool *self, const int32_t *ids, uint32_t n);

/* Requests ask for these blocks; KVP_NO_BLOCK is passed over. What they were protected for has come. */
static inline void kvp_notice_hits(kvp_pool *self, const int32_t *ids, uint32_t n) {
    if (KVP_UNLIKELY(self->has_extras))
        kvp_notice_hits_of_extras(self, ids, n);
}

/* A request asks for the prefix hashes[0 .. n), of which these blocks were found. */
static inline void kvp_notice_request(kvp_pool *self, const uint64_t *hashes, uint32_t n, const int32_t *ids,
                                      uint32_t found) {
    kvp_notice_hits(self, ids, found);
    if (KVP_UNLIKELY(self->sampler != NULL))
        kvp_reuse_sampler_request(self->sampler, hashes, n, found, self->now);
}

/* One more reference. A block that leaves the inactive pool holds its parent as well. */
static inline void kvp_acquire(kvp_pool *self, int32_t id) {
    kvp_block *rows = self->table.rows;
    while (rows[id].refs++ == 0) {
        if (KVP_UNLIKELY(self->has_orders))
            kvp_leave_order(self, id);
        else if (kvp_block_is_parked(&rows[id]))
            rows[id].prev = KVP_NO_BLOCK;
        else
            kvp_priority_buckets_remove(&self->eviction.buckets, id);
        self->num_cached--;
        self->num_active++;
        if (rows[id].lineage < KVP_PARENT_BASE)
            return;
        id = rows[id].lineage - KVP_PARENT_BASE;
    }
}

/* One reference less, of a registered block. One that gets none joins the newest of its level, and lets go of its
 * parent. */
static inline void kvp_let_go(kvp_pool *self, int32_t id) {
    kvp_block *rows = self->table.rows;
    while (--rows[id].refs == 0) {
        if (KVP_UNLIKELY(self->has_orders))
            kvp_enter_order(self, id);
        else
            kvp_priority_buckets_add_newest(&self->eviction.buckets, id);
        self->num_active--;
        self->num_cached++;
        if (rows[id].lineage < KVP_PARENT_BASE)
            return;
        id = rows[id].lineage - KVP_PARENT_BASE;
    }
}

/* One more hold on a chain of blocks, each but the first a child of the one before: only the last one is held, which
 * holds the rest. */
void kvp_acquire_chain(kvp_pool *self, const int32_t *ids, uint32_t n);

/* Hold the first n blocks of an immutable lease. */
static inline void kvp_hold(kvp_pool *self, const kvp_lease *lease, uint32_t n) {
    if (lease->is_chain) {
        kvp_acquire_chain(self, lease->ids, n);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        if (lease->ids[i] != KVP_NO_BLOCK)
            kvp_acquire(self, lease->ids[i]);
}

/* Take back kvp_acquire_chain. KVP_OK, or KVP_CORRUPT, with nothing changed, when the last block was not held. */
kvp_status kvp_let_go_chain(kvp_pool *self, const int32_t *ids, uint32_t n);

/* A mutable block loses its owner, or a view of it. It becomes empty with the last of them. */
static inline void kvp_give_back(kvp_pool *self, int32_t id) {
    if (KVP_UNLIKELY(--self->table.rows[id].refs > 0))
        return;
    kvp_free_list_push(&self->empty, id);
    if (KVP_UNLIKELY(self->namespaces != NULL))
        kvp_uncount_held(self, id);
    self->num_mutable--;
}

static inline void kvp_make_live(kvp_pool *self, kvp_lease *lease, uint32_t held, int64_t now) {
    lease->held = held;
    lease->since = now;
    lease->is_live = held > 0;
    if (!lease->is_live)
        return;
    lease->prev = NULL;
    lease->next = self->leases;
    if (self->leases)
        self->leases->prev = lease;
    self->leases = lease;
    self->num_leases++;
}

static inline void kvp_make_dead(kvp_pool *self, kvp_lease *lease) {
    lease->held = 0;
    lease->is_live = false;
    if (lease->prev)
        lease->prev->next = lease->next;
    else
        self->leases = lease->next;
    if (lease->next)
        lease->next->prev = lease->prev;
    self->num_leases--;
}

/* Record an event of the block, in a pool that records any. Out of the way of those that do not. */
__attribute__((noinline)) void kvp_record_event(kvp_pool *self, kvp_event event, const uint32_t *tokens);

/* The block's hash has entered the registry. */
static inline void kvp_tell_stored(kvp_pool *self, int32_t id, uint64_t parent, bool has_parent,
                                   const uint32_t *tokens) {
    if (KVP_LIKELY(!self->events.capacity)) {
        self->events.next++;
        return;
    }
    kvp_event event = {.hash = self->table.rows[id].hash,
                       .parent = parent,
                       .id = id,
                       .kind = KVP_EVENT_STORED,
                       .has_parent = has_parent};
    kvp_record_event(self, event, tokens);
}

/* The block's hash has left the registry. */
static inline void kvp_tell_removed(kvp_pool *self, int32_t id, kvp_reason reason) {
    if (KVP_LIKELY(!self->events.capacity)) {
        self->events.next++;
        return;
    }
    kvp_event event = {
        .hash = self->table.rows[id].hash, .id = id, .kind = KVP_EVENT_REMOVED, .reason = (uint8_t)reason};
    kvp_record_event(self, event, NULL);
}

/* Tell the policy of a block that got its identity, begin its facts and keep its check word. The parent is registered, or KVP_NO_BLOCK. */
void kvp_admit_extras(kvp_pool *self, int32_t id, int32_t parent, uint64_t check);

/* What a block is to be registered as. */
typedef struct kvp_enrolment {
    uint64_t hash;
    uint64_t check;       /* second half of the key, where keys have one; that of the block with the hash, if any */
    kvp_hash_place place; /* of the hash, as the index has it now */
    int32_t parent;       /* permitted; KVP_NO_BLOCK for none */
    bool has_retention;   /* the level and the expiry were asked for */
    uint32_t level;
    int64_t expiry;
    const uint32_t *tokens; /* borrowed; NULL: not known */
} kvp_enrolment;

/* Whether the hash is registered in another namespace than this one. */
static inline bool kvp_is_foreign(const kvp_pool *self, uint64_t hash, int32_t space) {
    int32_t id = kvp_hash_index_find(&self->index, hash);
    return id != KVP_NO_BLOCK && self->namespaces->of[id] != space;
}

/* Block of hashes[i], one of n; KVP_NO_BLOCK where none is registered for that key. */
static inline int32_t kvp_find_key(const kvp_pool *self, const uint64_t *hashes, uint32_t n, uint32_t i) {
    int32_t id = kvp_hash_index_find(&self->index, hashes[i]);
    bool is_other = KVP_UNLIKELY(self->keys.is_kept) && id != KVP_NO_BLOCK &&
                    !kvp_key_checks_agree(&self->keys, id, hashes[(size_t)n + i]);
    return is_other ? KVP_NO_BLOCK : id;
}

/* Give the mutable block ids[i] an identity, and the hold that ids[0 .. i) have: *is_chain says, before and after,
 * whether it is that of a chain. True when the hash was registered already: ids[i] is then the block to use, the first
 * that has the hash unless the pool keeps duplicates; a replaced one is the caller's to give back. */
bool kvp_enrol(kvp_pool *self, int32_t *ids, uint32_t i, const kvp_enrolment *enrolment, bool *is_chain);

/* Take the identity of a registered block that only the caller holds and nothing continues: it is mutable then. */
void kvp_disown(kvp_pool *self, int32_t id);

/* Take n blocks for a namespace, empty ones first, then by evicting. It has room for that many. Hashes of the evicted go
 * to evicted, if that is not NULL; returns how many these are. They are mutable afterwards. */
uint32_t kvp_take(kvp_pool *self, int32_t *ids, uint32_t n, int32_t space, uint64_t *evicted);

/* How many of the n blocks that kvp_take would take were evicted for it. */
uint32_t kvp_count_to_evict(const kvp_pool *self, uint32_t n, int32_t space);

/* How many blocks stop being available when these are held: those of them that are cached, and cached ancestors. */
uint32_t kvp_count_cached(kvp_block *rows, const int32_t *ids, uint32_t n);

/* How many of these blocks, from the first, are the namespace's, and can be held. */
uint32_t kvp_count_permitted(const kvp_pool *self, int32_t space, const int32_t *ids, uint32_t n);

/* Mark the entries gone in their leases and write their blocks to ids. KVP_CONSUMED, with nothing changed, when one is
 * gone already or named twice; *at is its position. */
kvp_status kvp_take_from_leases(const kvp_segment *segments, uint32_t num_segments, int32_t *ids, uint32_t *at);

/* After kvp_take_from_leases: leases that hold nothing any more are dead. */
void kvp_close_emptied_leases(kvp_pool *self, const kvp_segment *segments, uint32_t num_segments);

/* Demote what has expired, and tell the policy what time it is: before the first eviction of a call. */
void kvp_prepare_to_evict(kvp_pool *self);

/* Make entries KVP_NO_BLOCK whose blocks are another namespace's, or more than it can hold; returns how many stay. */
uint32_t kvp_leave_out_forbidden(const kvp_pool *self, int32_t space, int32_t *ids, uint32_t n);

/* Whether the namespace has room for the block and its ancestors, as far as they are cached; it has for KVP_NO_BLOCK.
 * In a pool that has namespaces. */
bool kvp_can_hold_lineage(const kvp_pool *self, int32_t id, int32_t space);

/* The block, if one of this namespace may continue it: the hold on one of another would count as that one's, and one with
 * more ancestors than there is room for would hold them all. Else KVP_NO_BLOCK. */
__attribute__((cold)) int32_t kvp_permitted_parent(const kvp_pool *self, int32_t parent, int32_t space);

/* Give back what the lease of a view holds. KVP_OK, or KVP_CORRUPT when a block had no reference to give back. */
kvp_status kvp_release_view(kvp_pool *self, const kvp_lease *lease);

/* Evict the block that goes next in this order if its level is at most `highest`; else KVP_NO_BLOCK. It is empty then,
 * and the caller's. */
int32_t kvp_evict(kvp_pool *self, kvp_eviction *order, kvp_reason reason, uint32_t highest);

/* Evict what the namespace has cached beyond its cap. */
void kvp_evict_beyond_cap(kvp_pool *self, int32_t space);

/* Take back what kvp_pool_pin counted for a lease. */
void kvp_unpin(kvp_pool *self, const kvp_lease *lease);

/* Take the identity of a cached block that is in no list any more. */
void kvp_unregister(kvp_pool *self, int32_t id, kvp_reason reason);

#endif
