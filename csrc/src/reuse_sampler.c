#include "kvp/reuse_sampler.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

#define REMEMBERED 64 /* hashes of the sample in a request that are not looked for twice */
#define SPREAD     4  /* positions for each entry: the others are those that were left */

static size_t num_chains(const kvp_reuse_sampler *self) {
    return (size_t)1 << self->bits;
}

kvp_status kvp_reuse_sampler_init(kvp_reuse_sampler *self, double rate, int32_t num_blocks, const uint64_t secret[2]) {
    KVP_ASSERT(rate > 0 && rate <= 1 && num_blocks >= 1);
    memset(self, 0, sizeof *self);
    double capacity = KVP_REUSE_HORIZON * rate * num_blocks + 0.5;
    uint32_t most = UINT32_MAX / SPREAD - 1;
    self->capacity = capacity < 1 ? 1 : capacity > most ? most : (uint32_t)capacity;
    self->num_positions = SPREAD * self->capacity;
    self->limit = rate < 1 ? (uint64_t)(rate * 0x1p64) : UINT64_MAX;
    while (num_chains(self) < self->capacity)
        self->bits++;
    memcpy(self->secret, secret, sizeof self->secret);
    self->secret[1] |= 1;
    self->entries = kvp_memory_new_lazy(self->capacity, sizeof *self->entries);
    self->heads = kvp_memory_new_lazy(num_chains(self), sizeof *self->heads);
    self->owners = kvp_memory_new_lazy((size_t)self->num_positions + 1, sizeof *self->owners);
    self->tree = kvp_memory_new_lazy((size_t)self->num_positions + 1, sizeof *self->tree);
    self->oldest = self->next = 1;
    if (self->entries && self->heads && self->owners && self->tree)
        return KVP_OK;
    kvp_reuse_sampler_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_reuse_sampler_destroy(kvp_reuse_sampler *self) {
    kvp_memory_free(self->entries, self->capacity, sizeof *self->entries);
    kvp_memory_free(self->heads, num_chains(self), sizeof *self->heads);
    kvp_memory_free(self->owners, (size_t)self->num_positions + 1, sizeof *self->owners);
    kvp_memory_free(self->tree, (size_t)self->num_positions + 1, sizeof *self->tree);
    memset(self, 0, sizeof *self);
}

void kvp_reuse_sampler_clear(kvp_reuse_sampler *self) {
    memset(self->heads, 0, num_chains(self) * sizeof *self->heads);
    memset(self->owners, 0, ((size_t)self->num_positions + 1) * sizeof *self->owners);
    memset(self->tree, 0, ((size_t)self->num_positions + 1) * sizeof *self->tree);
    self->count = self->unused = self->fresh = 0;
    self->oldest = self->next = 1;
}

uint32_t kvp_age_class(int64_t age) {
    if (age < 1024)
        return 0;
    uint32_t doublings = 63 - (uint32_t)__builtin_clzll((uint64_t)age);
    return 1 + (doublings - 10) * 4 + (uint32_t)(age >> (doublings - 2) & 3);
}

static uint32_t count_class(uint32_t count) {
    return count ? 32 - (uint32_t)__builtin_clz(count) : 0;
}

static uint32_t *head_of(const kvp_reuse_sampler *self, uint64_t hash) {
    unsigned __int128 product = (unsigned __int128)(hash ^ self->secret[1]) * (self->secret[0] | 1);
    uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    return &self->heads[self->bits ? mixed >> (64 - self->bits) : 0];
}

static kvp_reuse_entry *find(const kvp_reuse_sampler *self, uint64_t hash) {
    for (uint32_t at = *head_of(self, hash); at; at = self->entries[at - 1].next)
        if (self->entries[at - 1].hash == hash)
            return &self->entries[at - 1];
    return NULL;
}

static void add_to_tree(kvp_reuse_sampler *self, uint32_t position, uint32_t difference) {
    for (; position <= self->num_positions; position += position & -position)
        self->tree[position] += difference;
}

uint32_t kvp_reuse_sampler_depth(const kvp_reuse_sampler *self, uint32_t slot) {
    uint32_t before = 0;
    for (uint32_t position = self->entries[slot].position; position; position -= position & -position)
        before += self->tree[position];
    return self->count - before;
}

static void leave_position(kvp_reuse_sampler *self, kvp_reuse_entry *entry) {
    self->owners[entry->position] = 0;
    add_to_tree(self, entry->position, UINT32_MAX);
}

/* Positions have run out: those in use become the first ones, in their order. */
static void renumber(kvp_reuse_sampler *self) {
    uint32_t used = 0;
    for (uint32_t position = self->oldest; position < self->next; position++) {
        uint32_t owner = self->owners[position];
        self->owners[position] = 0;
        if (owner) {
            self->owners[++used] = owner;
            self->entries[owner - 1].position = used;
        }
    }
    for (uint32_t position = 1; position <= self->num_positions; position++)
        self->tree[position] = position <= used;
    for (uint32_t position = 1; position <= self->num_positions; position++) {
        uint32_t above = position + (position & -position);
        if (above <= self->num_positions)
            self->tree[above] += self->tree[position];
    }
    self->oldest = 1;
    self->next = used + 1;
}

static void take_position(kvp_reuse_sampler *self, kvp_reuse_entry *entry) {
    if (self->next > self->num_positions)
        renumber(self);
    entry->position = self->next++;
    self->owners[entry->position] = (uint32_t)(entry - self->entries) + 1;
    add_to_tree(self, entry->position, 1);
}

static void move_to_newest(kvp_reuse_sampler *self, kvp_reuse_entry *entry) {
    leave_position(self, entry);
    take_position(self, entry);
}

static void forget_oldest(kvp_reuse_sampler *self) {
    while (!self->owners[self->oldest])
        self->oldest++;
    uint32_t at = self->owners[self->oldest];
    kvp_reuse_entry *entry = &self->entries[at - 1];
    leave_position(self, entry);
    uint32_t *link = head_of(self, entry->hash);
    while (*link != at)
        link = &self->entries[*link - 1].next;
    *link = entry->next;
    entry->next = self->unused;
    self->unused = at;
    self->count--;
}

/* An entry for a hash that has none. */
static kvp_reuse_entry *add(kvp_reuse_sampler *self, uint64_t hash) {
    if (self->count == self->capacity)
        forget_oldest(self);
    uint32_t slot = self->unused ? self->unused - 1 : self->fresh++;
    kvp_reuse_entry *entry = &self->entries[slot];
    if (self->unused)
        self->unused = entry->next;
    uint32_t *head = head_of(self, hash);
    *entry = (kvp_reuse_entry){.hash = hash, .next = *head};
    *head = slot + 1;
    self->count++;
    take_position(self, entry);
    return entry;
}

/* A request for a hash of the sample, before the request moves any. Returns its slot + 1, or 0. */
static uint32_t notice(kvp_reuse_sampler *self, uint64_t hash, bool is_found, int64_t now) {
    self->stats.sampled++;
    kvp_reuse_entry *entry = find(self, hash);
    if (!entry)
        return 0;
    uint32_t slot = (uint32_t)(entry - self->entries);
    uint64_t bin = (uint64_t)kvp_reuse_sampler_depth(self, slot) * KVP_REUSE_BINS / self->capacity;
    self->stats.hits[bin]++;
    if (entry->is_evicted) {
        self->stats.absences[kvp_age_class(now - entry->since)]++;
        entry->is_evicted = 0;
    }
    if (is_found && entry->is_in_pool) {
        entry->last_access = now;
        if (entry->reuse_count < (1u << 30) - 1)
            entry->reuse_count++;
    }
    return slot + 1;
}

/* Make the hash, which is in the sample, the newest. `hint` is the slot + 1 that it had, or 0. */
static void renew(kvp_reuse_sampler *self, uint64_t hash, uint32_t hint) {
    bool is_there = hint && self->entries[hint - 1].hash == hash; /* else it was forgotten for another */
    kvp_reuse_entry *entry = is_there ? &self->entries[hint - 1] : find(self, hash);
    if (entry)
        move_to_newest(self, entry);
    else
        (void)add(self, hash);
}

void kvp_reuse_sampler_request(kvp_reuse_sampler *self, const uint64_t *hashes, uint32_t n, uint32_t found,
                               int64_t now) {
    uint32_t at[REMEMBERED], hints[REMEMBERED], count = 0;
    self->stats.requested += n;
    self->stats.found += found;
    for (uint32_t i = n; i-- > 0;) {
        if (KVP_LIKELY(!kvp_reuse_sampler_follows(self, hashes[i])))
            continue;
        uint32_t hint = notice(self, hashes[i], i < found, now);
        if (count < REMEMBERED) {
            at[count] = i;
            hints[count++] = hint;
        }
    }
    for (uint32_t k = 0; k < count; k++)
        renew(self, hashes[at[k]], hints[k]);
    for (uint32_t i = count == REMEMBERED ? at[count - 1] : 0; i-- > 0;)
        if (kvp_reuse_sampler_follows(self, hashes[i]))
            renew(self, hashes[i], 0);
}

void kvp_reuse_sampler_store(kvp_reuse_sampler *self, uint64_t hash, int64_t now) {
    kvp_reuse_entry *entry = find(self, hash);
    if (entry && entry->is_evicted) /* nobody asked for it, but it was computed */
        move_to_newest(self, entry);
    if (!entry)
        entry = add(self, hash);
    if (entry->is_in_pool)
        return;
    entry->is_in_pool = 1;
    entry->is_evicted = 0;
    entry->since = entry->last_access = now;
    entry->reuse_count = 0;
}

void kvp_reuse_sampler_remove(kvp_reuse_sampler *self, uint64_t hash, bool is_evicted, int64_t now) {
    kvp_reuse_entry *entry = find(self, hash);
    if (!entry || !entry->is_in_pool)
        return;
    entry->is_in_pool = 0;
    if (!is_evicted)
        return;
    entry->is_evicted = 1;
    self->stats.evicted++;
    self->stats.lifetimes[kvp_age_class(now - entry->since)]++;
    self->stats.idle_ages[kvp_age_class(now - entry->last_access)]++;
    self->stats.reuse_counts[count_class(entry->reuse_count)]++;
    entry->since = now;
}

static uint64_t sum_of(const uint64_t *counts, uint32_t n) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += counts[i];
    return sum;
}

const char *kvp_reuse_sampler_check(const kvp_reuse_sampler *self) {
    const kvp_reuse_stats *stats = &self->stats;
    uint32_t owned = 0, chained = 0;
    KVP_REQUIRE(self->count <= self->capacity, "more blocks are followed than there is room for");
    for (uint32_t position = 1; position <= self->num_positions; position++) {
        uint32_t owner = self->owners[position], below = 0;
        if (owner) {
            owned++;
            KVP_REQUIRE(position >= self->oldest && position < self->next, "a position is out of its range");
            KVP_REQUIRE(owner <= self->fresh && self->entries[owner - 1].position == position,
                        "a block that is followed does not know its position");
            KVP_REQUIRE(find(self, self->entries[owner - 1].hash) == &self->entries[owner - 1],
                        "a block that is followed is not found");
            KVP_REQUIRE(kvp_reuse_sampler_follows(self, self->entries[owner - 1].hash),
                        "a block is followed by mistake");
        }
        for (uint32_t at = position; at; at -= at & -at)
            below += self->tree[at];
        KVP_REQUIRE(below == owned, "positions are miscounted");
    }
    for (size_t chain = 0; chain < num_chains(self); chain++)
        for (uint32_t at = self->heads[chain]; at && chained <= self->count; at = self->entries[at - 1].next)
            chained++;
    KVP_REQUIRE(owned == self->count && chained == self->count, "blocks that are followed are miscounted");
    KVP_REQUIRE(sum_of(stats->hits, KVP_REUSE_BINS) <= stats->sampled && stats->sampled <= stats->requested &&
                    stats->found <= stats->requested,
                "more blocks were asked for again than were asked for");
    KVP_REQUIRE(sum_of(stats->lifetimes, KVP_AGE_CLASSES) == stats->evicted &&
                    sum_of(stats->idle_ages, KVP_AGE_CLASSES) == stats->evicted &&
                    sum_of(stats->reuse_counts, KVP_COUNT_CLASSES) == stats->evicted,
                "evictions are miscounted");
    return NULL;
}
