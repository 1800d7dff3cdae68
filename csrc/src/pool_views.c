#include "pool_transitions.h"

kvp_status kvp_pool_lend(kvp_pool *self, const kvp_segment *part, int64_t now, kvp_lease *lease) {
    kvp_lease *from = part->lease;
    if (!from->is_live)
        return KVP_STALE;
    for (uint32_t i = 0; i < part->count; i++) {
        int64_t entry = part->offset + part->stride * i;
        if (from->ids[entry] == KVP_NO_BLOCK || (from->is_mutable && kvp_lease_gone(from)[entry]))
            return KVP_STALE;
    }
    for (uint32_t i = 0; i < part->count; i++) {
        lease->ids[i] = from->ids[part->offset + part->stride * i];
        self->table.rows[lease->ids[i]].refs++; /* it is held already: nothing else changes */
    }
    lease->is_view = true;
    lease->space = from->space;
    kvp_pool_see_time(self, now);
    kvp_make_live(self, lease, part->count, now);
    return KVP_OK;
}

/* Since they were lent, blocks may have got an identity, or lost their owner. */
kvp_status kvp_release_view(kvp_pool *self, const kvp_lease *lease) {
    kvp_status status = KVP_OK;
    for (uint32_t i = lease->count; i-- > 0;) {
        const kvp_block *row = &self->table.rows[lease->ids[i]];
        if (KVP_UNLIKELY(row->refs == 0))
            status = KVP_CORRUPT;
        else if (kvp_block_is_registered(row))
            kvp_let_go(self, lease->ids[i]);
        else
            kvp_give_back(self, lease->ids[i]);
    }
    return status;
}
