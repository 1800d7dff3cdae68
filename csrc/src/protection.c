#include "kvp/protection.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_protection_init(kvp_protection *self, int32_t capacity) {
    size_t n = (size_t)capacity;
    self->capacity = capacity;
    self->count = 0;
    self->epoch = 1;
    self->epochs = kvp_memory_new_lazy(n, sizeof *self->epochs);
    self->levels = kvp_memory_new_lazy(n, sizeof *self->levels);
    self->ids = kvp_memory_new_lazy(n, sizeof *self->ids);
    if (self->epochs && self->levels && self->ids)
        return KVP_OK;
    kvp_protection_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_protection_destroy(kvp_protection *self) {
    size_t n = (size_t)self->capacity;
    kvp_memory_free(self->epochs, n, sizeof *self->epochs);
    kvp_memory_free(self->levels, n, sizeof *self->levels);
    kvp_memory_free(self->ids, n, sizeof *self->ids);
    memset(self, 0, sizeof *self);
}

void kvp_protection_clear(kvp_protection *self) {
    for (int32_t i = 0; i < self->count; i++)
        self->epochs[self->ids[i]] = 0;
    self->count = 0;
}

void kvp_protection_begin(kvp_protection *self) {
    int32_t kept = 0;
    for (int32_t i = 0; i < self->count; i++)
        if (self->epochs[self->ids[i]])
            self->ids[kept++] = self->ids[i];
    self->count = kept;
    if (++self->epoch == 0) { /* after 2**32 sets, the numbers begin anew: 2 is the new set, 1 the old one */
        for (int32_t i = 0; i < kept; i++)
            self->epochs[self->ids[i]] = 1;
        self->epoch = 2;
    }
}

void kvp_protection_add(kvp_protection *self, int32_t id) {
    KVP_ASSERT(id >= 0 && id < self->capacity);
    if (self->epochs[id] == 0)
        self->ids[self->count++] = id;
    self->epochs[id] = self->epoch;
}

int32_t kvp_protection_end(kvp_protection *self, int32_t *dropped) {
    int32_t end = self->count;
    *dropped = 0;
    for (int32_t i = 0; i < end;) {
        int32_t id = self->ids[i];
        if (self->epochs[id] == self->epoch) {
            i++;
            continue;
        }
        self->epochs[id] = 0;
        self->ids[i] = self->ids[--end];
        self->ids[end] = id;
        ++*dropped;
    }
    self->count = end;
    return end;
}

const char *kvp_protection_check(const kvp_protection *self) {
    int32_t known = 0, set = 0;
    KVP_REQUIRE(self->count >= 0 && self->count <= self->capacity, "more blocks are protected than there are");
    for (int32_t i = 0; i < self->count; i++) {
        KVP_REQUIRE(self->ids[i] >= 0 && self->ids[i] < self->capacity, "what is protected is not a block");
        known += self->epochs[self->ids[i]] != 0;
    }
    for (int32_t id = 0; self->count > 0 && id < self->capacity; id++) {
        KVP_REQUIRE(self->epochs[id] == 0 || self->epochs[id] == self->epoch, "a block is protected by an old set");
        set += self->epochs[id] != 0;
    }
    KVP_REQUIRE(known == set, "a protected block is not among those named");
    return NULL;
}
