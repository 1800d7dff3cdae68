/* Views and their tensors, given up in any order, also after the storage, the holder and the pool's owner: blocks go back
 * once, memory goes with the last view. */
#include "script.h"

#include "../tests/tether_fixture.h"

#define VIEWS 5

static void run(void) {
    kvp_tether *views[VIEWS] = {NULL};
    uint32_t shares[VIEWS] = {0}, num_views = 0;
    begin(take_below(2));
    kvp_lease *held = NULL;
    bool has_owner = true, is_attached = true;
    while (has_more()) {
        uint32_t what = take_byte(), at = what / 8 % VIEWS;
        if (what == 255 && has_owner) { /* the object that makes the calls goes: so do its handles */
            if (held)
                kvp_shared_pool_drop(&anchor->shared, held);
            held = NULL;
            kvp_anchor_abandon(anchor);
            has_owner = false;
        } else if (what == 254 && is_attached) {
            kvp_keeper_unshare(keeper);
            is_attached = false;
        } else if (shares[at] && what % 8 < 3) {
            shares[at]++;
            kvp_tether_share(views[at]);
        } else if (shares[at]) {
            if (what % 8 == 3 && has_owner)
                kvp_tether_unshare_inside(views[at]);
            else
                kvp_tether_unshare(views[at]);
            num_views -= --shares[at] == 0;
        } else if (has_owner && held && what % 8 == 4) {
            kvp_shared_pool_drop(&anchor->shared, held);
            held = NULL;
        } else if (has_owner && held && is_attached) {
            views[at] = view_of(held);
            shares[at] = 1;
            num_views++;
        } else if (has_owner && !held) {
            held = try_allocate(1 + what % NUM_BLOCKS);
        }
        if (has_owner)
            KVP_EXPECT(available() <= NUM_BLOCKS && (held || num_views || available() == NUM_BLOCKS));
        KVP_EXPECT(memory_gone == (!is_attached && num_views == 0));
    }
    for (int i = 0; i < VIEWS; i++)
        while (shares[i] && shares[i]--)
            kvp_tether_unshare(views[i]);
    if (held)
        kvp_shared_pool_drop(&anchor->shared, held);
    if (has_owner)
        kvp_anchor_abandon(anchor);
    if (is_attached)
        kvp_keeper_unshare(keeper);
    KVP_EXPECT(memory_gone == 1);
}
