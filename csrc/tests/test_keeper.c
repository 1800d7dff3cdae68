#include "ctest.h"
#include "kvp/keeper.h"

#include <pthread.h>

static _Atomic int let_go; /* calls */
static void *owner;        /* of the last */

static void note(kvp_keeper *self) {
    owner = self->owner;
    atomic_fetch_add(&let_go, 1);
    kvp_keeper_free(self);
}

static kvp_keeper *begin(void) {
    static int memory;
    let_go = 0;
    owner = NULL;
    kvp_keeper *self = kvp_keeper_new(&memory, note);
    KVP_EXPECT(self != NULL);
    KVP_EXPECT_SOUND(kvp_keeper_check(self));
    return self;
}

KVP_TEST(the_owner_is_let_go_with_the_last_share) {
    kvp_keeper *self = begin();
    void *expected = self->owner;
    KVP_EXPECT(kvp_keeper_views(self) == 0);
    kvp_keeper_share(self);
    KVP_EXPECT(kvp_keeper_views(self) == 1);
    kvp_keeper_unshare(self);
    KVP_EXPECT(let_go == 0 && kvp_keeper_views(self) == 0);
    kvp_keeper_unshare(self);
    KVP_EXPECT(let_go == 1 && owner == expected);
    kvp_keeper_unshare(NULL);
}

enum { THREADS = 4, TURNS = 20000 };

static void *share_and_give_up(void *keeper) {
    for (int turn = 0; turn < TURNS; turn++) {
        kvp_keeper_share(keeper);
        kvp_keeper_unshare(keeper);
    }
    kvp_keeper_unshare(keeper);
    return NULL;
}

KVP_TEST(threads_that_give_up_shares_let_the_owner_go_once) {
    pthread_t threads[THREADS];
    kvp_keeper *self = begin();
    for (int i = 0; i < THREADS; i++) {
        kvp_keeper_share(self);
        KVP_EXPECT(pthread_create(&threads[i], NULL, share_and_give_up, self) == 0);
    }
    kvp_keeper_unshare(self);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    KVP_EXPECT(let_go == 1);
}

static kvp_keeper_stack stack;

static void put_off(kvp_keeper *self) {
    kvp_keeper_stack_push(&stack, self);
}

static void *make_and_give_up(void *owner_given) {
    for (int turn = 0; turn < TURNS; turn++)
        kvp_keeper_unshare(kvp_keeper_new(owner_given, put_off));
    return NULL;
}

KVP_TEST(keepers_that_are_put_off_by_several_threads_are_all_taken_once) {
    pthread_t threads[THREADS];
    long taken = 0;
    int is_running = THREADS;
    KVP_EXPECT(kvp_keeper_stack_take(&stack) == NULL);
    for (int i = 0; i < THREADS; i++)
        KVP_EXPECT(pthread_create(&threads[i], NULL, make_and_give_up, &owner) == 0);
    while (is_running >= 0) { /* once more when the last has ended */
        kvp_keeper *next;
        for (kvp_keeper *keeper = kvp_keeper_stack_take(&stack); keeper; keeper = next) {
            next = keeper->next;
            kvp_keeper_free(keeper);
            taken++;
        }
        if (is_running-- > 0)
            pthread_join(threads[is_running], NULL);
    }
    KVP_EXPECT(taken == (long)THREADS * TURNS);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_keeper *self = begin();
    KVP_EXPECT_BROKEN_BY(self->owner, NULL, kvp_keeper_check(self), "a keeper keeps nothing");
    KVP_EXPECT_BROKEN_BY(self->let_go, NULL, kvp_keeper_check(self), "a keeper keeps nothing");
    atomic_store(&self->shares, 0);
    KVP_EXPECT_BROKEN(kvp_keeper_check(self), "memory that nobody shares is still kept");
    atomic_store(&self->shares, 1);
    kvp_keeper_unshare(self);
}

int main(void) {
    KVP_RUN(the_owner_is_let_go_with_the_last_share);
    KVP_RUN(threads_that_give_up_shares_let_the_owner_go_once);
    KVP_RUN(keepers_that_are_put_off_by_several_threads_are_all_taken_once);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
