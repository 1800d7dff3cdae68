#include "kvp/tether.h"

#include "kvp/check.h"

kvp_tether *kvp_tether_new(kvp_lease *lease, kvp_anchor *anchor, kvp_keeper *keeper) {
    kvp_tether *self = kvp_memory_new_raw(sizeof *self);
    if (!self)
        return NULL;
    self->lease = lease;
    self->anchor = lease ? anchor : NULL;
    self->keeper = keeper;
    if (self->anchor)
        kvp_anchor_share(self->anchor);
    kvp_keeper_share(keeper);
    atomic_init(&self->shares, 1);
    return self;
}

static void end(kvp_tether *self, bool is_inside) {
    if (self->lease && is_inside)
        kvp_shared_pool_drop(&self->anchor->shared, self->lease);
    else if (self->lease)
        kvp_shared_pool_drop_outside(&self->anchor->shared, self->lease);
    kvp_anchor_unshare(self->anchor);
    kvp_keeper_unshare(self->keeper);
    kvp_memory_free_raw(self);
}

void kvp_tether_unshare(kvp_tether *self) {
    if (self && atomic_fetch_sub_explicit(&self->shares, 1, memory_order_acq_rel) == 1)
        end(self, false);
}

void kvp_tether_unshare_inside(kvp_tether *self) {
    if (self && atomic_fetch_sub_explicit(&self->shares, 1, memory_order_acq_rel) == 1)
        end(self, true);
}

const char *kvp_tether_check(const kvp_tether *self) {
    KVP_REQUIRE(atomic_load(&self->shares) > 0, "a view that nobody has is still there");
    KVP_REQUIRE((self->anchor == NULL) == (self->lease == NULL), "a view holds blocks of no pool, or a pool for none");
    KVP_REQUIRE(!self->lease || self->lease->is_live, "a view holds no blocks any more");
    return kvp_keeper_check(self->keeper);
}
