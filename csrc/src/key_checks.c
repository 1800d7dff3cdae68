#include "kvp/key_checks.h"

#include "kvp/check.h"
#include "kvp/memory.h"

kvp_status kvp_key_checks_init(kvp_key_checks *self, int32_t num_blocks, bool is_kept) {
    self->of = NULL;
    self->num_blocks = num_blocks;
    self->is_kept = is_kept;
    if (is_kept)
        self->of = kvp_memory_new_lazy((size_t)num_blocks, sizeof *self->of);
    return is_kept && !self->of ? KVP_NO_MEMORY : KVP_OK;
}

void kvp_key_checks_destroy(kvp_key_checks *self) {
    kvp_memory_free(self->of, (size_t)self->num_blocks, sizeof *self->of);
    self->of = NULL;
}

uint32_t kvp_key_checks_count(const kvp_key_checks *self, const int32_t *ids, const uint64_t *checks, uint32_t n) {
    uint32_t i = 0;
    while (i < n && kvp_key_checks_agree(self, ids[i], checks[i]))
        i++;
    return i;
}

uint32_t kvp_key_checks_leave_out(const kvp_key_checks *self, int32_t *ids, const uint64_t *checks, uint32_t n) {
    uint32_t found = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (ids[i] != KVP_NO_BLOCK && !kvp_key_checks_agree(self, ids[i], checks[i]))
            ids[i] = KVP_NO_BLOCK;
        found += ids[i] != KVP_NO_BLOCK;
    }
    return found;
}

const char *kvp_key_checks_check(const kvp_key_checks *self) {
    KVP_REQUIRE((self->of != NULL) == self->is_kept, "check words are kept without room for them");
    return NULL;
}
