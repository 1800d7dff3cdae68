#include "kvp/event_ring.h"

#include "kvp/check.h"
#include "kvp/memory.h"

kvp_status kvp_event_ring_init(kvp_event_ring *self, uint64_t capacity) {
    self->capacity = capacity;
    self->next = 0;
    self->entries = capacity ? kvp_memory_new(capacity, sizeof *self->entries) : NULL;
    return self->entries || !capacity ? KVP_OK : KVP_NO_MEMORY;
}

void kvp_event_ring_destroy(kvp_event_ring *self) {
    kvp_memory_free(self->entries, self->capacity, sizeof *self->entries);
    self->entries = NULL;
}

uint64_t kvp_event_ring_read(const kvp_event_ring *self, uint64_t since, kvp_event *events, uint64_t n,
                             uint64_t *first) {
    uint64_t oldest = self->next - (self->next < self->capacity ? self->next : self->capacity);
    uint64_t start = since > oldest ? since : oldest;
    *first = start;
    uint64_t count = 0;
    for (uint64_t number = start; number < self->next && count < n; number++)
        events[count++] = self->entries[number % self->capacity];
    return count;
}

const char *kvp_event_ring_check(const kvp_event_ring *self) {
    uint64_t held = self->next < self->capacity ? self->next : self->capacity;
    for (uint64_t number = self->next - held; number < self->next; number++) {
        const kvp_event *event = &self->entries[number % self->capacity];
        KVP_REQUIRE(event->kind >= KVP_EVENT_STORED && event->kind <= KVP_EVENT_CLEARED, "an event has no kind");
        KVP_REQUIRE((event->reason == KVP_REASON_NONE) == (event->kind == KVP_EVENT_STORED),
                    "an event's reason does not go with its kind");
    }
    return NULL;
}
