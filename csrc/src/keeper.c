#include "kvp/keeper.h"

#include "kvp/check.h"

kvp_keeper *kvp_keeper_new(void *owner, void (*let_go)(kvp_keeper *self)) {
    kvp_keeper *self = kvp_memory_new_raw(sizeof *self);
    if (!self)
        return NULL;
    self->next = NULL;
    self->owner = owner;
    self->let_go = let_go;
    atomic_init(&self->shares, 1);
    return self;
}

void kvp_keeper_unshare(kvp_keeper *self) {
    if (self && atomic_fetch_sub_explicit(&self->shares, 1, memory_order_acq_rel) == 1)
        self->let_go(self);
}

void kvp_keeper_stack_push(kvp_keeper_stack *self, kvp_keeper *keeper) {
    kvp_keeper *first = atomic_load_explicit(&self->first, memory_order_relaxed);
    do
        keeper->next = first;
    while (!atomic_compare_exchange_weak(&self->first, &first, keeper));
}

const char *kvp_keeper_check(const kvp_keeper *self) {
    KVP_REQUIRE(atomic_load(&self->shares) > 0, "memory that nobody shares is still kept");
    KVP_REQUIRE(self->owner && self->let_go, "a keeper keeps nothing");
    return NULL;
}
