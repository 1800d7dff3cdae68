#include "kvp/free_list.h"

#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_free_list_init(kvp_free_list *self, int32_t capacity) {
    self->capacity = capacity;
    self->count = 0;
    self->ids = kvp_memory_new((size_t)capacity, sizeof *self->ids);
    if (!self->ids)
        return KVP_NO_MEMORY;
    kvp_free_list_refill(self);
    return KVP_OK;
}

void kvp_free_list_destroy(kvp_free_list *self) {
    kvp_memory_free(self->ids, (size_t)self->capacity, sizeof *self->ids);
    self->ids = NULL;
}

void kvp_free_list_refill(kvp_free_list *self) {
    for (int32_t i = 0; i < self->capacity; i++)
        self->ids[i] = self->capacity - 1 - i;
    self->count = self->capacity;
}

const char *kvp_free_list_check(const kvp_free_list *self, uint8_t *seen) {
    const char *broken = NULL;
    KVP_REQUIRE(self->count >= 0 && self->count <= self->capacity, "the empty stack's count is out of range");
    for (int32_t i = 0; i < self->count && !broken; i++) {
        int32_t id = self->ids[i];
        if (id < 0 || id >= self->capacity)
            broken = "the empty stack holds what is not a block";
        else if (seen[id]++)
            broken = "the empty stack holds a block twice";
    }
    memset(seen, 0, (size_t)self->capacity);
    return broken;
}
