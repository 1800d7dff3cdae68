#include "ctest.h"
#include "kvp/lease.h"

#include <pthread.h>

KVP_TEST(a_new_lease_holds_nothing) {
    for (int is_mutable = 0; is_mutable < 2; is_mutable++) {
        kvp_lease *lease = kvp_lease_new(3, is_mutable);
        KVP_EXPECT(lease != NULL);
        KVP_EXPECT(lease->count == 3 && lease->held == 0 && !lease->is_live);
        KVP_EXPECT(lease->is_mutable == is_mutable && lease->owner == NULL);
        KVP_EXPECT(atomic_load(&lease->shares) == 1);
        kvp_lease_unshare(lease);
    }
}

/* The address sanitizer sees the bounds; the last ids must survive the marks in every build. */
KVP_TEST(the_marks_lie_behind_the_ids) {
    for (uint32_t n = 0; n < 70; n++) {
        kvp_lease *lease = kvp_lease_new(n, true);
        for (uint32_t i = 0; i < n; i++)
            lease->ids[i] = (int32_t)i;
        memset(kvp_lease_gone(lease), 0xFF, n);
        KVP_EXPECT(kvp_lease_gone(lease) == (uint8_t *)&lease->ids[n]);
        for (uint32_t i = 0; i < n; i++)
            KVP_EXPECT(lease->ids[i] == (int32_t)i);
        kvp_lease_unshare(lease);
    }
}

KVP_TEST(a_size_that_does_not_fit_is_refused) {
    KVP_EXPECT(kvp_lease_new((size_t)UINT32_MAX + 1, false) == NULL);
    KVP_EXPECT(kvp_lease_new(SIZE_MAX, false) == NULL);
    KVP_EXPECT(kvp_lease_new(SIZE_MAX / 5 + 1, true) == NULL);
}

KVP_TEST(a_lease_lives_until_its_last_share_is_given_up) {
    kvp_lease *lease = kvp_lease_new(1, false);
    lease->ids[0] = 42;
    kvp_lease_share(lease);
    kvp_lease_unshare(lease);
    KVP_EXPECT(atomic_load(&lease->shares) == 1 && lease->ids[0] == 42);
    kvp_lease_unshare(lease);
    kvp_lease_unshare(NULL);
}

static void *read_and_unshare(void *argument) {
    kvp_lease *lease = argument;
    KVP_EXPECT(lease->ids[0] == 42);
    kvp_lease_unshare(lease);
    return NULL;
}

/* Under the sanitizers: freed once, by whoever is last, after every read. */
KVP_TEST(threads_give_up_their_shares_in_any_order) {
    enum { THREADS = 4 };
    for (int round = 0; round < 100; round++) {
        pthread_t threads[THREADS];
        kvp_lease *lease = kvp_lease_new(1, false);
        lease->ids[0] = 42;
        for (int t = 0; t < THREADS; t++) {
            kvp_lease_share(lease);
            KVP_EXPECT(pthread_create(&threads[t], NULL, read_and_unshare, lease) == 0);
        }
        kvp_lease_unshare(lease);
        for (int t = 0; t < THREADS; t++)
            pthread_join(threads[t], NULL);
    }
}

KVP_TEST(what_is_guessed_is_what_it_holds) {
    kvp_lease *lease = kvp_lease_new(2, true);
    KVP_EXPECT(!kvp_lease_guess_live(lease) && kvp_lease_guess_held(lease) == 0 && !kvp_lease_guess_entry(lease, 0));
    lease->is_live = true;
    lease->held = 1;
    memset(kvp_lease_gone(lease), 0, 2);
    kvp_lease_gone(lease)[0] = 1;
    KVP_EXPECT(kvp_lease_guess_live(lease) && kvp_lease_guess_held(lease) == 1);
    KVP_EXPECT(!kvp_lease_guess_entry(lease, 0) && kvp_lease_guess_entry(lease, 1));
    lease->is_live = false;
    kvp_lease_unshare(lease);
}

int main(void) {
    KVP_RUN(a_new_lease_holds_nothing);
    KVP_RUN(the_marks_lie_behind_the_ids);
    KVP_RUN(a_size_that_does_not_fit_is_refused);
    KVP_RUN(a_lease_lives_until_its_last_share_is_given_up);
    KVP_RUN(threads_give_up_their_shares_in_any_order);
    KVP_RUN(what_is_guessed_is_what_it_holds);
    return 0;
}
