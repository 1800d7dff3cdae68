#include "kvp/hash_ring.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

static size_t num_buckets(const kvp_hash_ring *self) {
    return (size_t)1 << self->bits;
}

kvp_status kvp_hash_ring_init(kvp_hash_ring *self, uint32_t capacity, const uint64_t secret[2]) {
    KVP_ASSERT(capacity >= 1 && capacity <= 1u << 31);
    memset(self, 0, sizeof *self);
    self->capacity = capacity;
    while (num_buckets(self) < capacity)
        self->bits++;
    memcpy(self->secret, secret, sizeof self->secret);
    self->secret[1] |= 1;
    self->entries = kvp_memory_new_lazy(capacity, sizeof *self->entries);
    self->heads = kvp_memory_new_lazy(num_buckets(self), sizeof *self->heads);
    self->oldest = self->newest = 1;
    if (self->entries && self->heads)
        return KVP_OK;
    kvp_hash_ring_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_hash_ring_destroy(kvp_hash_ring *self) {
    kvp_memory_free(self->entries, self->capacity, sizeof *self->entries);
    kvp_memory_free(self->heads, num_buckets(self), sizeof *self->heads);
    memset(self, 0, sizeof *self);
}

void kvp_hash_ring_clear(kvp_hash_ring *self) {
    memset(self->heads, 0, num_buckets(self) * sizeof *self->heads);
    self->oldest = self->newest = 1; /* what a head of 0 means is out of the ring */
    self->count = 0;
}

static uint32_t *head_of(const kvp_hash_ring *self, uint64_t hash) {
    unsigned __int128 product = (unsigned __int128)(hash ^ self->secret[0]) * self->secret[1];
    uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    return &self->heads[self->bits ? mixed >> (64 - self->bits) : 0];
}

/* Entries that were added since the one at this position, which is within the ring if that is at most their number. */
static uint32_t age_of(const kvp_hash_ring *self, uint32_t position) {
    return (uint32_t)self->newest - position;
}

static uint32_t slot_at(const kvp_hash_ring *self, uint32_t age) {
    return (uint32_t)((self->newest - age) % self->capacity);
}

uint32_t kvp_hash_ring_find(const kvp_hash_ring *self, uint64_t hash) {
    uint64_t length = self->newest - self->oldest;
    uint32_t age = age_of(self, *head_of(self, hash)), younger = 0;
    /* A link leads to an older entry; one that does not is left over from what was in its place before. */
    while (age > younger && age <= length) {
        const kvp_hash_ring_entry *entry = &self->entries[slot_at(self, age)];
        if (entry->hash == hash && entry->is_used)
            return slot_at(self, age);
        younger = age;
        age = age_of(self, entry->before);
    }
    return KVP_NO_SLOT;
}

uint32_t kvp_hash_ring_put(kvp_hash_ring *self, uint64_t hash, uint32_t value) {
    KVP_ASSERT(!kvp_hash_ring_is_full(self) && value <= KVP_MAX_RING_VALUE);
    uint32_t slot = (uint32_t)(self->newest % self->capacity);
    uint32_t *head = head_of(self, hash);
    self->entries[slot] =
        (kvp_hash_ring_entry){.hash = hash, .before = *head, .value = value & KVP_MAX_RING_VALUE, .is_used = 1};
    *head = (uint32_t)self->newest++;
    self->count++;
    return slot;
}

/* The entry is not in use any more: the oldest is the next that is. */
static void forget(kvp_hash_ring *self, uint32_t slot) {
    KVP_ASSERT(self->entries[slot].is_used);
    self->entries[slot].is_used = 0;
    self->count--;
    while (self->oldest < self->newest && !self->entries[kvp_hash_ring_oldest(self)].is_used)
        self->oldest++;
}

void kvp_hash_ring_remove(kvp_hash_ring *self, uint32_t slot) {
    uint64_t length = self->newest - self->oldest;
    uint32_t *link = head_of(self, self->entries[slot].hash);
    /* Out of its chain, or that of a hash that comes and goes would be of its own past. */
    for (uint32_t younger = 0, age = age_of(self, *link); age > younger && age <= length; age = age_of(self, *link)) {
        uint32_t at = slot_at(self, age);
        if (at == slot) {
            *link = self->entries[slot].before;
            break;
        }
        younger = age;
        link = &self->entries[at].before;
    }
    forget(self, slot);
}

void kvp_hash_ring_drop_oldest(kvp_hash_ring *self) {
    forget(self, kvp_hash_ring_oldest(self));
}

const char *kvp_hash_ring_check(const kvp_hash_ring *self) {
    uint32_t used = 0;
    KVP_REQUIRE(self->newest - self->oldest <= self->capacity, "a ring of hashes holds more than it has room for");
    for (uint64_t position = self->newest; position-- > self->oldest;) {
        uint32_t slot = (uint32_t)(position % self->capacity);
        if (!self->entries[slot].is_used) {
            KVP_REQUIRE(position > self->oldest, "the oldest entry of a ring of hashes is not in use");
            continue;
        }
        used++;
        KVP_REQUIRE(kvp_hash_ring_find(self, self->entries[slot].hash) != KVP_NO_SLOT, "a hash of a ring is not found");
    }
    KVP_REQUIRE(used == self->count, "a ring of hashes is miscounted");
    return NULL;
}
