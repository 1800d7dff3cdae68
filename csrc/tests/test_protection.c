#include "ctest.h"
#include "kvp/protection.h"

static kvp_protection set;
static int32_t dropped;

static void begin(void) {
    KVP_EXPECT(kvp_protection_init(&set, 16) == KVP_OK);
}

static void end(void) {
    KVP_EXPECT_SOUND(kvp_protection_check(&set));
    kvp_protection_destroy(&set);
}

/* Replace the set by `n` ids. */
static int32_t replace(const int32_t *ids, int32_t n) {
    kvp_protection_begin(&set);
    for (int32_t i = 0; i < n; i++)
        kvp_protection_add(&set, ids[i]);
    int32_t first = kvp_protection_end(&set, &dropped);
    KVP_EXPECT_SOUND(kvp_protection_check(&set));
    return first;
}

#define REPLACE(...)                                                                                                   \
    replace((const int32_t[]){__VA_ARGS__}, (int32_t)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

KVP_TEST(a_set_holds_what_was_named_last) {
    begin();
    KVP_EXPECT(!kvp_protection_has(&set, 3));
    REPLACE(3, 4, 3);
    KVP_EXPECT(set.count == 2 && kvp_protection_has(&set, 3) && kvp_protection_has(&set, 4));
    int32_t first = REPLACE(4, 5);
    KVP_EXPECT(dropped == 1 && set.ids[first] == 3);
    KVP_EXPECT(!kvp_protection_has(&set, 3) && kvp_protection_has(&set, 4) && kvp_protection_has(&set, 5));
    replace(NULL, 0);
    KVP_EXPECT(dropped == 2 && set.count == 0 && !kvp_protection_has(&set, 4));
    end();
}

KVP_TEST(what_was_dropped_between_is_not_named_as_dropped_by_the_next_set) {
    begin();
    REPLACE(1, 2, 3);
    kvp_protection_drop(&set, 2);
    KVP_EXPECT(!kvp_protection_has(&set, 2));
    REPLACE(2, 3);
    KVP_EXPECT(dropped == 1 && set.count == 2 && kvp_protection_has(&set, 2));
    end();
}

KVP_TEST(a_cleared_set_is_empty) {
    begin();
    REPLACE(1, 2);
    kvp_protection_clear(&set);
    KVP_EXPECT(set.count == 0 && !kvp_protection_has(&set, 1));
    REPLACE(2);
    KVP_EXPECT(dropped == 0 && set.count == 1);
    end();
}

KVP_TEST(sets_are_told_apart_after_their_numbers_begin_anew) {
    begin();
    REPLACE(1, 2);
    for (int32_t i = 0; i < set.count; i++)
        set.epochs[set.ids[i]] = UINT32_MAX;
    set.epoch = UINT32_MAX;
    KVP_EXPECT_SOUND(kvp_protection_check(&set));
    REPLACE(2, 7);
    KVP_EXPECT(dropped == 1 && set.count == 2 && !kvp_protection_has(&set, 1) && kvp_protection_has(&set, 7));
    end();
}

KVP_TEST(what_is_broken_is_named) {
    begin();
    REPLACE(3, 4);
#define BROKEN(place, value, sentence) KVP_EXPECT_BROKEN_BY(place, value, kvp_protection_check(&set), sentence)
    BROKEN(set.count, -1, "more blocks are protected than there are");
    BROKEN(set.count, 17, "more blocks are protected than there are");
    BROKEN(set.ids[1], -1, "what is protected is not a block");
    BROKEN(set.ids[1], 16, "what is protected is not a block");
    BROKEN(set.epochs[7], set.epoch + 1, "a block is protected by an old set");
    BROKEN(set.epochs[7], set.epoch, "a protected block is not among those named");
#undef BROKEN
    end();
}

int main(void) {
    KVP_RUN(a_set_holds_what_was_named_last);
    KVP_RUN(what_was_dropped_between_is_not_named_as_dropped_by_the_next_set);
    KVP_RUN(a_cleared_set_is_empty);
    KVP_RUN(sets_are_told_apart_after_their_numbers_begin_anew);
    KVP_RUN(what_is_broken_is_named);
    return 0;
}
