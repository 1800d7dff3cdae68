#include "kvp/expiry_heap.h"

#include "kvp/check.h"
#include "kvp/memory.h"

kvp_status kvp_expiry_heap_init(kvp_expiry_heap *self, int32_t capacity) {
    self->count = 0;
    self->capacity = capacity;
    self->heap = kvp_memory_new_lazy((size_t)capacity, sizeof *self->heap);
    self->slots = kvp_memory_new_lazy((size_t)capacity, sizeof *self->slots);
    self->times = kvp_memory_new_lazy((size_t)capacity, sizeof *self->times);
    if (self->heap && self->slots && self->times)
        return KVP_OK;
    kvp_expiry_heap_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_expiry_heap_destroy(kvp_expiry_heap *self) {
    kvp_memory_free(self->heap, (size_t)self->capacity, sizeof *self->heap);
    kvp_memory_free(self->slots, (size_t)self->capacity, sizeof *self->slots);
    kvp_memory_free(self->times, (size_t)self->capacity, sizeof *self->times);
    self->heap = self->slots = NULL;
    self->times = NULL;
}

static bool sooner(const kvp_expiry_heap *self, int32_t a, int32_t b) {
    return self->times[a] != self->times[b] ? self->times[a] < self->times[b] : a < b;
}

static void put(kvp_expiry_heap *self, int32_t position, int32_t id) {
    self->heap[position] = id;
    self->slots[id] = position + 1;
}

static void move_up(kvp_expiry_heap *self, int32_t position, int32_t id) {
    while (position > 0 && sooner(self, id, self->heap[(position - 1) / 2])) {
        put(self, position, self->heap[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    put(self, position, id);
}

/* Let id, whose place is free, sink or rise from there. */
static void settle(kvp_expiry_heap *self, int32_t position, int32_t id) {
    for (;;) {
        int64_t child = 2 * (int64_t)position + 1;
        if (child >= self->count)
            break;
        if (child + 1 < self->count && sooner(self, self->heap[child + 1], self->heap[child]))
            child++;
        if (!sooner(self, self->heap[child], id))
            break;
        put(self, position, self->heap[child]);
        position = (int32_t)child;
    }
    move_up(self, position, id);
}

static void take_out(kvp_expiry_heap *self, int32_t id) {
    int32_t position = self->slots[id] - 1;
    int32_t last = self->heap[--self->count];
    self->slots[id] = 0;
    if (last != id)
        settle(self, position, last);
}

void kvp_expiry_heap_set(kvp_expiry_heap *self, int32_t id, int64_t time) {
    bool is_in = self->count > 0 && self->slots[id];
    if (time == KVP_NO_EXPIRY) {
        if (is_in)
            take_out(self, id);
        return;
    }
    self->times[id] = time;
    if (is_in)
        settle(self, self->slots[id] - 1, id);
    else
        move_up(self, self->count++, id);
}

int32_t kvp_expiry_heap_pop_until(kvp_expiry_heap *self, int64_t now) {
    if (self->count == 0 || self->times[self->heap[0]] > now)
        return KVP_NO_BLOCK;
    int32_t id = self->heap[0];
    take_out(self, id);
    return id;
}

void kvp_expiry_heap_clear(kvp_expiry_heap *self) {
    while (self->count > 0)
        self->slots[self->heap[--self->count]] = 0;
}

const char *kvp_expiry_heap_check(const kvp_expiry_heap *self) {
    KVP_REQUIRE(self->count >= 0 && self->count <= self->capacity, "the expiry heap's count is out of range");
    for (int32_t p = 0; p < self->count; p++) {
        int32_t id = self->heap[p];
        KVP_REQUIRE(id >= 0 && id < self->capacity, "the expiry heap holds what is not a block");
        KVP_REQUIRE(self->slots[id] == p + 1, "a block does not know its place in the expiry heap");
        KVP_REQUIRE(p == 0 || sooner(self, self->heap[(p - 1) / 2], id), "the expiry heap is out of order");
    }
    return NULL;
}
