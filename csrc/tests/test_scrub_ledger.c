#include "kvp/scrub_ledger.h"
#include "memory_fixture.h"

enum { NUM_BLOCKS = FIXTURE_BLOCKS };

static kvp_scrub_ledger ledger;

static void begin(kvp_scrub_rule rule, bool is_zeroed) {
    KVP_EXPECT(kvp_scrub_ledger_init(&ledger, NUM_BLOCKS, rule, is_zeroed) == KVP_OK);
    KVP_EXPECT_SOUND(kvp_scrub_ledger_check(&ledger));
}

static void end(void) {
    KVP_EXPECT_SOUND(kvp_scrub_ledger_check(&ledger));
    kvp_scrub_ledger_destroy(&ledger);
    KVP_EXPECT(ledger.last == NULL);
}

static uint64_t arriving(int32_t id, uint8_t space) {
    int32_t dirty = -1;
    uint64_t n = kvp_scrub_ledger_arriving(&ledger, &id, 1, space, &dirty);
    KVP_EXPECT(n == kvp_scrub_ledger_arriving(&ledger, &id, 1, space, NULL) && dirty == (n ? id : -1));
    kvp_scrub_ledger_own(&ledger, &id, 1, space);
    return n;
}

static uint64_t leaving(int32_t id) {
    int32_t dirty = -1;
    uint64_t n = kvp_scrub_ledger_leaving(&ledger, &id, 1, &dirty);
    KVP_EXPECT(dirty == (n ? id : -1));
    if (n)
        kvp_scrub_ledger_clean(&ledger, &dirty, 1);
    return n;
}

KVP_TEST(never_fills_nothing) {
    begin(KVP_SCRUB_NEVER, false);
    KVP_EXPECT(!arriving(0, 0) && !leaving(0) && !arriving(0, 1));
    end();
}

KVP_TEST(a_block_is_dirty_for_another_namespace_only) {
    begin(KVP_SCRUB_NAMESPACES, true);
    KVP_EXPECT(!arriving(0, 3)); /* nobody's yet */
    KVP_EXPECT(!leaving(0) && !arriving(0, 3));
    KVP_EXPECT(arriving(0, 4) && !arriving(0, 4) && arriving(0, 255) && arriving(0, 0) && !arriving(0, 0));
    KVP_EXPECT(!arriving(1, 255) && !arriving(1, 255) && arriving(1, 254));
    end();
}

KVP_TEST(what_is_not_known_to_be_zero_is_dirty_for_everybody) {
    for (int rule = KVP_SCRUB_NAMESPACES; rule <= KVP_SCRUB_ALLOCATE; rule++) {
        begin((kvp_scrub_rule)rule, false);
        KVP_EXPECT(arriving(5, 0) && arriving(6, 255));
        end();
    }
}

KVP_TEST(on_free_fills_what_is_given_back_and_what_was_emptied_otherwise) {
    begin(KVP_SCRUB_FREE, true);
    KVP_EXPECT(!arriving(2, 0) && leaving(2) && !leaving(2) && !arriving(2, 1));
    KVP_EXPECT(arriving(2, 1)); /* evicted or reset in between */
    end();
}

KVP_TEST(on_allocate_fills_for_the_same_namespace_too) {
    begin(KVP_SCRUB_ALLOCATE, true);
    KVP_EXPECT(!arriving(2, 0) && !leaving(2) && arriving(2, 0) && arriving(2, 1));
    end();
}

KVP_TEST(of_many_blocks_the_dirty_ones_are_listed_in_order) {
    const int32_t some[] = {7, 1, 4}, all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    int32_t dirty[NUM_BLOCKS];
    begin(KVP_SCRUB_NAMESPACES, true);
    kvp_scrub_ledger_own(&ledger, some, 3, 2);
    KVP_EXPECT(kvp_scrub_ledger_arriving(&ledger, all, 9, 1, dirty) == 3);
    KVP_EXPECT(dirty[0] == 1 && dirty[1] == 4 && dirty[2] == 7);
    KVP_EXPECT(kvp_scrub_ledger_arriving(&ledger, all, 9, 2, dirty) == 0);
    end();
}

KVP_TEST(what_is_forgotten_is_filled_by_every_rule_but_never) {
    const kvp_scrub_rule rules[] = {KVP_SCRUB_NEVER, KVP_SCRUB_NAMESPACES, KVP_SCRUB_FREE, KVP_SCRUB_ALLOCATE};
    const int32_t some[] = {7, 1, 4};
    for (int i = 0; i < 4; i++) {
        begin(rules[i], true);
        kvp_scrub_ledger_own(&ledger, some, 3, 2);
        kvp_scrub_ledger_forget(&ledger, some, 2);
        KVP_EXPECT(kvp_scrub_ledger_arriving(&ledger, some, 2, 2, NULL) == (rules[i] == KVP_SCRUB_NEVER ? 0 : 2));
        KVP_EXPECT(!kvp_scrub_ledger_check(&ledger));
        end();
    }
}

KVP_TEST(filling_touches_no_byte_of_a_neighbour_or_a_gap) {
    for (int kind = 0; kind < 4; kind++)
        for (uint64_t alignment = 1; alignment <= 64; alignment *= 8) {
            fixture it;
            const int32_t ids[] = {4, 0, 8};
            fixture_init(&it, (kvp_layout_kind)kind, alignment);
            kvp_scrub_blocks(&it.memory, ids, 3);
            uint64_t zeros = 0;
            for (uint64_t at = 0; at < FIXTURE_ROOM; at++) {
                int32_t owner = fixture_owner(&it, at);
                bool is_filled = owner == 4 || owner == 0 || owner == 8;
                KVP_EXPECT(it.room[at] == (is_filled ? 0 : fixture_pattern(at)));
                zeros += is_filled;
            }
            KVP_EXPECT(zeros == 3 * FIXTURE_REGIONS * FIXTURE_REGION);
            fixture_destroy(&it);
        }
}

KVP_TEST(the_check_names_each_broken_invariant) {
    begin(KVP_SCRUB_FREE, true);
    KVP_EXPECT_BROKEN_BY(ledger.rule, KVP_SCRUB_NEVER, kvp_scrub_ledger_check(&ledger),
                         "it is known whose bytes blocks have, and nobody asks");
    KVP_EXPECT_BROKEN_BY(ledger.last[3], KVP_SCRUB_SPACES + 1, kvp_scrub_ledger_check(&ledger),
                         "a block has the bytes of a namespace that cannot be");
    end();
}

int main(void) {
    KVP_RUN(never_fills_nothing);
    KVP_RUN(a_block_is_dirty_for_another_namespace_only);
    KVP_RUN(what_is_not_known_to_be_zero_is_dirty_for_everybody);
    KVP_RUN(on_free_fills_what_is_given_back_and_what_was_emptied_otherwise);
    KVP_RUN(on_allocate_fills_for_the_same_namespace_too);
    KVP_RUN(of_many_blocks_the_dirty_ones_are_listed_in_order);
    KVP_RUN(what_is_forgotten_is_filled_by_every_rule_but_never);
    KVP_RUN(filling_touches_no_byte_of_a_neighbour_or_a_gap);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
