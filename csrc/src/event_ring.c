#include "kvp/event_ring.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#define SMALL 1048576 /* entries that are faulted in at once */

kvp_status kvp_event_ring_init(kvp_event_ring *self, uint64_t capacity, uint32_t block_size) {
    memset(self, 0, sizeof *self);
    self->awaited = UINT64_MAX;
    if (!capacity)
        return KVP_OK;
    bool is_small = capacity <= SMALL;
    self->entries = (is_small ? kvp_memory_new : kvp_memory_new_lazy)(capacity, sizeof *self->entries);
    if (block_size && capacity <= SIZE_MAX / block_size)
        self->tokens = kvp_memory_new_lazy(capacity * block_size, sizeof *self->tokens);
    self->capacity = capacity;
    self->block_size = block_size;
    if (self->entries && (self->tokens || !block_size))
        return KVP_OK;
    kvp_event_ring_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_event_ring_destroy(kvp_event_ring *self) {
    kvp_memory_free(self->entries, self->capacity, sizeof *self->entries);
    kvp_memory_free(self->tokens, self->capacity * self->block_size, sizeof *self->tokens);
    self->entries = NULL;
    self->tokens = NULL;
}

uint64_t kvp_event_ring_read(const kvp_event_ring *self, uint64_t since, kvp_event *events, uint32_t *tokens,
                             uint64_t n, uint64_t *first) {
    uint64_t oldest = self->next - (self->next < self->capacity ? self->next : self->capacity);
    uint64_t start = since > oldest ? since : oldest;
    size_t bytes = self->block_size * sizeof *tokens;
    *first = start;
    uint64_t count = 0;
    for (uint64_t number = start; number < self->next && count < n; number++, count++) {
        uint64_t at = number % self->capacity;
        events[count] = self->entries[at];
        if (tokens && events[count].has_tokens)
            memcpy(tokens + count * self->block_size, self->tokens + at * self->block_size, bytes);
        else if (tokens)
            memset(tokens + count * self->block_size, 0, bytes);
    }
    return count;
}

const char *kvp_event_ring_check(const kvp_event_ring *self) {
    uint64_t held = self->next < self->capacity ? self->next : self->capacity;
    KVP_REQUIRE(!self->capacity || self->at == self->next % self->capacity, "the next event's entry is another");
    for (uint64_t number = self->next - held; number < self->next; number++) {
        const kvp_event *event = &self->entries[number % self->capacity];
        KVP_REQUIRE(event->kind >= KVP_EVENT_STORED && event->kind <= KVP_EVENT_CLEARED, "an event has no kind");
        KVP_REQUIRE((event->reason == KVP_REASON_NONE) == (event->kind == KVP_EVENT_STORED),
                    "an event's reason does not go with its kind");
        KVP_REQUIRE(!event->has_tokens || (self->tokens && event->kind == KVP_EVENT_STORED),
                    "an event has tokens that nobody kept");
    }
    return NULL;
}
