#include "tether_fixture.h"

KVP_TEST(the_pool_goes_with_the_last_of_its_object_and_its_views) {
    for (int has_outer = 0; has_outer < 2; has_outer++) {
        begin(has_outer);
        kvp_lease *blocks = try_allocate(2);
        kvp_tether *one = view_of(blocks), *two = view_of(blocks);
        kvp_shared_pool_drop(&anchor->shared, blocks);
        kvp_keeper_unshare(keeper);
        kvp_anchor_abandon(anchor);
        unshare_in_thread(one);
        KVP_EXPECT(memory_gone == 0);
        KVP_EXPECT_SOUND(kvp_anchor_check(anchor));
        unshare_in_thread(two); /* the address sanitizer knows whether all was freed */
        KVP_EXPECT(memory_gone == 1);
    }
}

KVP_TEST(a_pool_without_views_goes_with_its_object) {
    begin(true);
    kvp_keeper_unshare(keeper);
    kvp_anchor_abandon(anchor);
    kvp_anchor_abandon(NULL);
    kvp_anchor_unshare(NULL);
    KVP_EXPECT(memory_gone == 1);
}

/* Their memory may be gone by then. */
KVP_TEST(nobody_is_woken_after_the_object_has_gone) {
    begin(true);
    kvp_lease *blocks = try_allocate(NUM_BLOCKS), *wanted = kvp_lease_new(1, true);
    kvp_tether *view = view_of(blocks);
    kvp_waiter waiter;
    kvp_bell bell;
    kvp_shared_pool_drop(&anchor->shared, blocks);
    KVP_EXPECT(kvp_waiter_init(&waiter, wanted, NULL, NULL) == KVP_OK && kvp_bell_init(&bell) == KVP_OK);
    kvp_shared_pool_enter(&anchor->shared);
    kvp_shared_pool_enqueue(&anchor->shared, &waiter);
    kvp_shared_pool_listen(&anchor->shared, &bell);
    anchor->shared.relief = 0;
    kvp_shared_pool_leave(&anchor->shared);
    kvp_keeper_unshare(keeper);
    kvp_anchor_abandon(anchor);
    kvp_waiter_destroy(&waiter);
    kvp_bell_destroy(&bell);
    memset(&waiter, 0xAA, sizeof waiter);
    memset(&bell, 0xAA, sizeof bell);
    kvp_lease_unshare(wanted);
    unshare_in_thread(view);
    KVP_EXPECT(memory_gone == 1);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    begin(true);
    atomic_store(&anchor->shares, 0);
    KVP_EXPECT_BROKEN(kvp_anchor_check(anchor), "a pool that nobody shares is still there");
    atomic_store(&anchor->shares, 1);
    kvp_keeper_unshare(keeper);
    kvp_anchor_abandon(anchor);
}

int main(void) {
    KVP_RUN(the_pool_goes_with_the_last_of_its_object_and_its_views);
    KVP_RUN(a_pool_without_views_goes_with_its_object);
    KVP_RUN(nobody_is_woken_after_the_object_has_gone);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
