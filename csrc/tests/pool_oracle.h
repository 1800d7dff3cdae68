/*
 * A second pool, written from DESIGN.md section 3 alone: plain arrays, nothing counted that can be recounted, every
 * search from the start. Slow, and simple enough to be right.
 */
#ifndef KVP_POOL_ORACLE_H
#define KVP_POOL_ORACLE_H

#include "kvp/types.h"

#include <string.h>

#define ORACLE_MAX   16
#define ORACLE_HINTS 64 /* of a pool of up to 256 blocks */

typedef struct oracle_block {
    bool is_mutable, is_registered, is_parked;
    uint64_t hash;
    int32_t parent;
    int32_t level;
    int64_t expiry;
    int64_t rank; /* in its level: the smallest goes first */
    int64_t age;  /* when it was registered */
    int32_t holds;
    uint32_t generation;
} oracle_block;

typedef struct oracle {
    oracle_block blocks[ORACLE_MAX];
    int32_t num_blocks;
    bool keeps_duplicates;
    int32_t empty[ORACLE_MAX];
    int32_t num_empty;
    struct {
        bool is_set;
        uint64_t hash, parent;
    } hints[ORACLE_HINTS];
    int64_t newest, oldest, ages, now;
} oracle;

static void oracle_fill_empty(oracle *self) {
    self->num_empty = 0;
    for (int32_t id = self->num_blocks; id-- > 0;)
        self->empty[self->num_empty++] = id;
}

static void oracle_init(oracle *self, int32_t num_blocks, bool keeps_duplicates) {
    memset(self, 0, sizeof *self);
    self->num_blocks = num_blocks;
    self->keeps_duplicates = keeps_duplicates;
    oracle_fill_empty(self);
}

static bool oracle_is_child(const oracle *self, int32_t id, int32_t of) {
    return self->blocks[id].is_registered && self->blocks[id].parent == of;
}

static int32_t oracle_children(const oracle *self, int32_t of) {
    int32_t children = 0;
    for (int32_t id = 0; id < self->num_blocks; id++)
        children += oracle_is_child(self, id, of);
    return children;
}

/* Held by a handle, itself or through a descendant. */
static bool oracle_is_active(const oracle *self, int32_t of) {
    if (!self->blocks[of].is_registered)
        return false;
    if (self->blocks[of].holds > 0)
        return true;
    for (int32_t id = 0; id < self->num_blocks; id++)
        if (oracle_is_child(self, id, of) && oracle_is_active(self, id))
            return true;
    return false;
}

static bool oracle_is_cached(const oracle *self, int32_t id) {
    return self->blocks[id].is_registered && !oracle_is_active(self, id);
}

static int32_t oracle_num_cached(const oracle *self) {
    int32_t cached = 0;
    for (int32_t id = 0; id < self->num_blocks; id++)
        cached += oracle_is_cached(self, id);
    return cached;
}

/* The oldest copy of the hash, or KVP_NO_BLOCK. */
static int32_t oracle_find(const oracle *self, uint64_t hash) {
    int32_t found = KVP_NO_BLOCK;
    for (int32_t id = 0; id < self->num_blocks; id++)
        if (self->blocks[id].is_registered && self->blocks[id].hash == hash &&
            (found == KVP_NO_BLOCK || self->blocks[id].age < self->blocks[found].age))
            found = id;
    return found;
}

static void oracle_hold(oracle *self, int32_t id) {
    self->blocks[id].holds++;
    for (int32_t at = id; at != KVP_NO_BLOCK; at = self->blocks[at].parent)
        self->blocks[at].is_parked = false;
}

static void oracle_drop(oracle *self, int32_t id) {
    self->blocks[id].holds--;
    for (int32_t at = id; at != KVP_NO_BLOCK && !oracle_is_active(self, at); at = self->blocks[at].parent)
        self->blocks[at].rank = ++self->newest;
}

static void oracle_give_back(oracle *self, int32_t id) {
    self->blocks[id].is_mutable = false;
    self->empty[self->num_empty++] = id;
}

static void oracle_unregister(oracle *self, int32_t id) {
    int32_t parent = self->blocks[id].parent;
    self->blocks[id].is_registered = self->blocks[id].is_parked = false;
    if (parent != KVP_NO_BLOCK && oracle_children(self, parent) == 0 && self->blocks[parent].is_parked) {
        self->blocks[parent].is_parked = false;
        self->blocks[parent].rank = --self->oldest;
    }
}

static void oracle_see_time(oracle *self, int64_t now) {
    self->now = now > self->now ? now : self->now;
}

static void oracle_expire(oracle *self) {
    for (;;) {
        int32_t first = KVP_NO_BLOCK;
        for (int32_t id = 0; id < self->num_blocks; id++)
            if (self->blocks[id].is_registered && self->blocks[id].expiry <= self->now &&
                (first == KVP_NO_BLOCK || self->blocks[id].expiry < self->blocks[first].expiry))
                first = id;
        if (first == KVP_NO_BLOCK)
            return;
        oracle_block *block = &self->blocks[first];
        block->expiry = KVP_NO_EXPIRY;
        if (block->level <= KVP_DEFAULT_LEVEL)
            continue;
        block->level = KVP_DEFAULT_LEVEL;
        if (oracle_is_cached(self, first) && !block->is_parked)
            block->rank = ++self->newest;
    }
}

static int32_t oracle_evict(oracle *self) {
    for (;;) {
        int32_t first = KVP_NO_BLOCK;
        for (int32_t id = 0; id < self->num_blocks; id++) {
            const oracle_block *block = &self->blocks[id], *best = &self->blocks[first < 0 ? 0 : first];
            if (oracle_is_cached(self, id) && !block->is_parked &&
                (first == KVP_NO_BLOCK || block->level < best->level ||
                 (block->level == best->level && block->rank < best->rank)))
                first = id;
        }
        if (oracle_children(self, first) == 0) {
            oracle_unregister(self, first);
            return first;
        }
        self->blocks[first].is_parked = true;
    }
}

/* False when there are not enough. The evicted hashes go to evicted. */
static bool oracle_allocate(oracle *self, int32_t n, int64_t now, int32_t *ids, uint64_t *evicted,
                            int32_t *num_evicted) {
    *num_evicted = 0;
    if (n > self->num_empty + oracle_num_cached(self))
        return false;
    oracle_see_time(self, now);
    for (int32_t i = 0; i < n; i++) {
        if (self->num_empty > 0) {
            ids[i] = self->empty[--self->num_empty];
        } else {
            if (*num_evicted == 0)
                oracle_expire(self);
            ids[i] = oracle_evict(self);
            evicted[(*num_evicted)++] = self->blocks[ids[i]].hash;
        }
    }
    for (int32_t i = 0; i < n; i++) {
        self->blocks[ids[i]].is_mutable = true;
        self->blocks[ids[i]].generation++;
    }
    return true;
}

/* Give the mutable blocks ids their hashes. parent: hash of the first one's parent, or NULL when it is not said. ids
 * becomes the registered blocks. level -1 and KVP_NO_EXPIRY: not given. */
static void oracle_register(oracle *self, int32_t *ids, int32_t n, const uint64_t *hashes, const uint64_t *parent,
                            int32_t level, int64_t expiry, int64_t now) {
    bool has_retention = level >= 0 || expiry != KVP_NO_EXPIRY;
    int32_t at_level = level >= 0 ? level : has_retention ? KVP_TTL_LEVEL : KVP_DEFAULT_LEVEL;
    int32_t replaced[ORACLE_MAX], num_replaced = 0;
    oracle_see_time(self, now);
    for (int32_t i = 0; i < n; i++) {
        int32_t first = oracle_find(self, hashes[i]), id = ids[i], up = KVP_NO_BLOCK;
        if (first != KVP_NO_BLOCK && !self->keeps_duplicates) {
            oracle_block *block = &self->blocks[first];
            oracle_hold(self, first);
            if (has_retention && (at_level > block->level || (at_level == block->level && expiry > block->expiry))) {
                block->level = at_level;
                block->expiry = expiry;
            }
            replaced[num_replaced++] = id;
            ids[i] = first;
            continue;
        }
        uint64_t slot = hashes[i] % ORACLE_HINTS;
        if (i > 0)
            up = oracle_find(self, hashes[i - 1]);
        else if (parent)
            up = oracle_find(self, *parent);
        else if (self->hints[slot].is_set && self->hints[slot].hash == hashes[i])
            up = oracle_find(self, self->hints[slot].parent);
        self->blocks[id] = (oracle_block){.is_registered = true,
                                          .hash = hashes[i],
                                          .parent = up,
                                          .level = at_level,
                                          .expiry = expiry,
                                          .age = ++self->ages,
                                          .generation = self->blocks[id].generation};
        oracle_hold(self, id);
    }
    while (num_replaced > 0)
        oracle_give_back(self, replaced[--num_replaced]);
}

/* How many of the hashes match; they are held, and a hint is left. */
static int32_t oracle_match(oracle *self, const uint64_t *hashes, int32_t n, int64_t now, int32_t *ids) {
    int32_t found = 0;
    oracle_see_time(self, now);
    while (found < n && (ids[found] = oracle_find(self, hashes[found])) != KVP_NO_BLOCK)
        found++;
    for (int32_t i = 0; i < found; i++)
        oracle_hold(self, ids[i]);
    if (found > 0 && found < n) {
        uint64_t slot = hashes[found] % ORACLE_HINTS;
        self->hints[slot].is_set = true;
        self->hints[slot].hash = hashes[found];
        self->hints[slot].parent = hashes[found - 1];
    }
    return found;
}

/* KVP_NO_BLOCK for a miss. */
static void oracle_match_scattered(oracle *self, const uint64_t *hashes, int32_t n, int32_t *ids) {
    for (int32_t i = 0; i < n; i++)
        ids[i] = oracle_find(self, hashes[i]);
    for (int32_t i = 0; i < n; i++)
        if (ids[i] != KVP_NO_BLOCK)
            oracle_hold(self, ids[i]);
}

static void oracle_touch(oracle *self, const uint64_t *hashes, int32_t n) {
    int32_t ids[ORACLE_MAX];
    oracle_match_scattered(self, hashes, n, ids);
    while (n-- > 0)
        if (ids[n] != KVP_NO_BLOCK)
            oracle_drop(self, ids[n]);
}

/* Whether the block or an ancestor is marked. */
static bool oracle_is_below(const oracle *self, int32_t id, const bool *marked) {
    while (id != KVP_NO_BLOCK && !marked[id])
        id = self->blocks[id].parent;
    return id != KVP_NO_BLOCK;
}

/* outcomes: 0 reset, 1 not found, 2 held. Returns how many blocks were reset, in ascending order of id. */
static int32_t oracle_reset_blocks(oracle *self, const uint64_t *hashes, int32_t n, uint8_t *outcomes, int32_t *ids) {
    bool marked[ORACLE_MAX] = {false};
    for (int32_t i = 0; i < n; i++) {
        outcomes[i] = 1;
        for (int32_t id = 0; id < self->num_blocks; id++)
            if (self->blocks[id].is_registered && self->blocks[id].hash == hashes[i] && outcomes[i] != 2)
                outcomes[i] = oracle_is_active(self, id) ? 2 : 0;
    }
    for (int32_t i = 0; i < n; i++)
        for (int32_t id = 0; id < self->num_blocks; id++)
            marked[id] |= outcomes[i] == 0 && self->blocks[id].is_registered && self->blocks[id].hash == hashes[i];
    int32_t count = 0;
    for (int32_t id = 0; id < self->num_blocks; id++)
        if (self->blocks[id].is_registered && oracle_is_below(self, id, marked))
            ids[count++] = id;
    for (int32_t i = 0; i < count; i++) {
        oracle_unregister(self, ids[i]);
        self->empty[self->num_empty++] = ids[i];
    }
    return count;
}

/* -1 while any block is held, else how many were reset. */
static int32_t oracle_reset(oracle *self, int32_t *ids) {
    int32_t count = 0;
    for (int32_t id = 0; id < self->num_blocks; id++)
        if (self->blocks[id].is_mutable || oracle_is_active(self, id))
            return -1;
    for (int32_t id = 0; id < self->num_blocks; id++) {
        if (self->blocks[id].is_registered)
            ids[count++] = id;
        self->blocks[id] = (oracle_block){.generation = self->blocks[id].generation};
    }
    memset(self->hints, 0, sizeof self->hints);
    oracle_fill_empty(self);
    return count;
}

#endif
