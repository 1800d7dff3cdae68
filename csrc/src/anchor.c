#include "kvp/anchor.h"

#include "kvp/check.h"

kvp_anchor *kvp_anchor_new(const kvp_pool_config *config) {
    kvp_anchor *self = kvp_memory_new_raw(sizeof *self);
    if (!self)
        return NULL;
    if (kvp_shared_pool_init(&self->shared, config) != KVP_OK) {
        kvp_memory_free_raw(self);
        return NULL;
    }
    atomic_init(&self->shares, 1);
    return self;
}

void kvp_anchor_unshare(kvp_anchor *self) {
    if (!self || atomic_fetch_sub_explicit(&self->shares, 1, memory_order_acq_rel) != 1)
        return;
    kvp_shared_pool_settle(&self->shared);
    kvp_shared_pool_destroy(&self->shared);
    kvp_memory_free_raw(self);
}

void kvp_anchor_abandon(kvp_anchor *self) {
    if (!self)
        return;
    kvp_shared_pool_abandon(&self->shared);
    kvp_anchor_unshare(self);
}

const char *kvp_anchor_check(const kvp_anchor *self) {
    KVP_REQUIRE(atomic_load(&self->shares) > 0, "a pool that nobody shares is still there");
    return NULL;
}
