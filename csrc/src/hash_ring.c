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
    self->oldest = self->newest = 0;
    self->count = 0;
}

static uint32_t *head_of(const kvp_hash_ring *self, uint64_t hash) {
    unsigned __int128 product = (unsigned __int128)(hash ^ self->secret[0]) * self->secret[1];
    uint64_t mixed = (uint64_t)product ^ (uint64_t)(product >> 64);
    return &self->heads[self->bits ? mixed >> (64 - self->bits) : 0];
}

uint32_t kvp_hash_ring_find(const kvp_hash_ring *self, uint64_t hash) {
    uint32_t head = *head_of(self, hash);
    for (uint32_t slot = head ? head - 1 : KVP_NO_SLOT; slot != KVP_NO_SLOT; slot = self->entries[slot].chain)
        if (self->entries[slot].hash == hash)
            return slot;
    return KVP_NO_SLOT;
}

uint32_t kvp_hash_ring_put(kvp_hash_ring *self, uint64_t hash, uint32_t value) {
    KVP_ASSERT(!kvp_hash_ring_is_full(self) && kvp_hash_ring_find(self, hash) == KVP_NO_SLOT);
    uint32_t slot = (uint32_t)(self->newest++ % self->capacity);
    uint32_t *head = head_of(self, hash);
    self->entries[slot] = (kvp_hash_ring_entry){.hash = hash, .chain = *head ? *head - 1 : KVP_NO_SLOT, .value = value};
    *head = slot + 1;
    self->count++;
    return slot;
}

void kvp_hash_ring_remove(kvp_hash_ring *self, uint32_t slot) {
    kvp_hash_ring_entry *entries = self->entries;
    uint32_t *head = head_of(self, entries[slot].hash);
    KVP_ASSERT(entries[slot].chain != slot && *head);
    if (*head == slot + 1) {
        *head = entries[slot].chain + 1; /* KVP_NO_SLOT + 1 == 0 */
    } else {
        uint32_t at = *head - 1;
        while (entries[at].chain != slot)
            at = entries[at].chain;
        entries[at].chain = entries[slot].chain;
    }
    entries[slot].chain = slot;
    self->count--;
    while (self->oldest < self->newest && entries[kvp_hash_ring_oldest(self)].chain == kvp_hash_ring_oldest(self))
        self->oldest++;
}

const char *kvp_hash_ring_check(const kvp_hash_ring *self) {
    uint32_t used = 0, chained = 0;
    KVP_REQUIRE(self->newest - self->oldest <= self->capacity, "a ring of hashes holds more than it has room for");
    for (uint64_t position = self->oldest; position < self->newest; position++) {
        uint32_t slot = (uint32_t)(position % self->capacity);
        if (self->entries[slot].chain == slot) {
            KVP_REQUIRE(position > self->oldest, "the oldest entry of a ring of hashes is not in use");
            continue;
        }
        used++;
        KVP_REQUIRE(kvp_hash_ring_find(self, self->entries[slot].hash) == slot, "a hash of a ring is not found");
    }
    for (size_t bucket = 0; bucket < num_buckets(self); bucket++) {
        uint32_t head = self->heads[bucket];
        for (uint32_t slot = head ? head - 1 : KVP_NO_SLOT; slot != KVP_NO_SLOT; slot = self->entries[slot].chain) {
            KVP_REQUIRE(slot < self->capacity && self->entries[slot].chain != slot, "a chain names no entry");
            KVP_REQUIRE(++chained <= self->count, "a chain of hashes does not end");
        }
    }
    KVP_REQUIRE(used == self->count && chained == self->count, "a ring of hashes is miscounted");
    return NULL;
}
