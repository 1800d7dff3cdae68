/*
 * What:      what recent matches said of parents: a match that stopped at hash h after hash p tells that p is h's
 *            parent, so that a later register of h need not be told. A small direct-mapped table: a hint that was
 *            overwritten is only missing.
 * Cost:      16 bytes an entry, 64 to 4096 entries; O(1).
 * Ownership: owns its entries.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_hint_table_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   mask + 1 is a power of two in [64, 4096]
 *   entries[i].hash & mask == i for every entry that is set   (hash != parent)
 */
#ifndef KVP_HINT_TABLE_H
#define KVP_HINT_TABLE_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_hint {
    uint64_t hash;   /* the one that was missed */
    uint64_t parent; /* the one before it; equal to hash when the entry is not set */
} kvp_hint;

typedef struct kvp_hint_table {
    kvp_hint *entries; /* owned */
    uint64_t mask;     /* entries - 1 */
} kvp_hint_table;

/* KVP_OK or KVP_NO_MEMORY. */
kvp_status kvp_hint_table_init(kvp_hint_table *self, int32_t num_blocks);

/* Cannot fail. */
void kvp_hint_table_destroy(kvp_hint_table *self);

/* Forget all. Cannot fail. */
void kvp_hint_table_clear(kvp_hint_table *self);

/* NULL, or the broken invariant. */
const char *kvp_hint_table_check(const kvp_hint_table *self);

static inline void kvp_hint_table_set(kvp_hint_table *self, uint64_t hash, uint64_t parent) {
    self->entries[hash & self->mask] = (kvp_hint){hash, parent};
}

/* Whether there is a hint for hash; stores the parent's hash. */
static inline bool kvp_hint_table_get(const kvp_hint_table *self, uint64_t hash, uint64_t *parent) {
    const kvp_hint *entry = &self->entries[hash & self->mask];
    *parent = entry->parent;
    return entry->hash == hash && entry->parent != hash;
}

#endif
