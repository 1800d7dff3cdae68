/* One long history under every policy: conversations that go on, and requests that come once. What a policy evicts, and
 * what it has learned, depends on the calls alone: it is the same on every machine, with every compiler. */
#define MAX_BLOCKS 256
#include "pool_fixture.h"

enum { BLOCKS = 240, CONVERSATIONS = 40, LONGEST = 24, REQUESTS = 12000, HELD = 6 };

typedef struct conversation {
    uint64_t hashes[LONGEST];
    uint32_t length;
} conversation;

typedef struct outcome {
    uint64_t digest; /* of everything evicted, in order */
    uint64_t hits;   /* blocks found */
} outcome;

static uint64_t digest_of(uint64_t digest, uint64_t value) {
    digest = (digest ^ value) * 0x9E3779B97F4A7C15u;
    return digest ^ digest >> 29;
}

static void extend(conversation *self, unsigned long long *state, uint32_t by) {
    while (by-- > 0 && self->length < LONGEST)
        self->hashes[self->length++] = kvp_random(state);
}

/* Hold what is known of the prompt, and fill the rest; the lease of the rest comes second, and may be NULL. */
static void serve(const uint64_t *hashes, uint32_t n, int level, outcome *so_far, kvp_lease *leases[2]) {
    leases[0] = kvp_lease_new(n, false);
    kvp_pool_match(&pool, hashes, n, now, leases[0]);
    uint32_t found = leases[0]->count, left = n - found;
    so_far->hits += found;
    leases[1] = NULL;
    if (left == 0)
        return;
    kvp_lease *fresh = kvp_lease_new(left, true);
    KVP_EXPECT(kvp_pool_allocate(&pool, fresh, now, evicted, MAX_BLOCKS, &num_evicted) == KVP_OK);
    for (uint32_t i = 0; i < num_evicted; i++)
        so_far->digest = digest_of(so_far->digest, evicted[i]);
    kvp_registration registration = of(hashes + found);
    kvp_segment segment = {fresh, 0, 1, left};
    uint32_t at;
    registration.has_parent = found > 0;
    registration.parent = found > 0 ? hashes[found - 1] : 0;
    registration.level = level;
    registration.segments = &segment;
    registration.num_segments = 1;
    leases[1] = kvp_lease_new(left, false);
    KVP_EXPECT(kvp_pool_register(&pool, &registration, now, leases[1], &at) == KVP_OK);
    kvp_lease_unshare(fresh);
}

static void drop(kvp_lease **lease, uint32_t hint) {
    if (!*lease)
        return;
    KVP_EXPECT(kvp_pool_release_hinted(&pool, *lease, hint) == KVP_OK);
    kvp_lease_unshare(*lease);
    *lease = NULL;
}

/* In the pool as it is, which must be empty. */
static outcome run(void) {
    static conversation conversations[CONVERSATIONS];
    unsigned long long random_state = 7, *state = &random_state;
    kvp_lease *held[HELD][2] = {{NULL}};
    outcome result = {0};
    memset(conversations, 0, sizeof conversations);
    for (int request = 0; request < REQUESTS; request++) {
        kvp_lease **leases = held[request % HELD];
        uint32_t hint = (uint32_t)request % 3;
        int32_t dice = kvp_random_below(state, 100);
        now += kvp_random_below(state, 5) * INT64_C(300000000);
        drop(&leases[1], hint); /* the newer blocks first, as those who continue the older ones */
        drop(&leases[0], hint);
        if (dice < 45) { /* a request that comes once */
            uint64_t hashes[8];
            for (int i = 0; i < 8; i++)
                hashes[i] = kvp_random(state);
            serve(hashes, 1 + (uint32_t)kvp_random_below(state, 8), -1, &result, leases);
        } else {
            conversation *one = &conversations[kvp_random_below(state, kvp_random_below(state, CONVERSATIONS) + 1)];
            if (one->length == LONGEST || kvp_random_below(state, 30) == 0)
                one->length = 0;
            extend(one, state, 1 + (uint32_t)kvp_random_below(state, 4));
            serve(one->hashes, one->length, dice < 50 ? dice : -1, &result, leases);
        }
        if (dice == 99) {
            const conversation *one = &conversations[kvp_random_below(state, CONVERSATIONS)];
            kvp_identity gone[MAX_BLOCKS];
            uint8_t outcomes[LONGEST];
            int32_t ids[LONGEST];
            uint32_t count;
            (void)kvp_pool_touch(&pool, one->hashes, one->length, ids);
            (void)kvp_pool_retain(&pool, one->hashes, one->length / 2, 36, now + INT64_C(40000000000), now);
            if (request % 2)
                KVP_EXPECT(kvp_pool_reset_blocks(&pool, one->hashes, one->length, outcomes, gone, MAX_BLOCKS, &count) ==
                           KVP_OK);
        }
        if (request % 128 == 0)
            expect_sound();
    }
    for (int i = 0; i < HELD; i++) {
        drop(&held[i][1], 0);
        drop(&held[i][0], 0);
    }
    KVP_EXPECT(kvp_pool_available(&pool) == BLOCKS);
    expect_sound();
    return result;
}

static const outcome expected[KVP_NUM_POLICIES] = {
    [KVP_POLICY_LRU] = {0x4e777d2fbde1fae7, 20224},      [KVP_POLICY_FIFO] = {0x0efdf0ae284757bf, 20218},
    [KVP_POLICY_LFU] = {0xb903d369eba49e3f, 20699},      [KVP_POLICY_SLRU] = {0x5b109bb69b678ba0, 20876},
    [KVP_POLICY_S3FIFO] = {0x87b5ee4ca5d7e7b3, 20464},   [KVP_POLICY_SIEVE] = {0x2973b542fda81af3, 20602},
    [KVP_POLICY_ARC] = {0x02bc84aaec17ebc1, 21124},      [KVP_POLICY_MULTI_LRU] = {0x1aa944d6deec1ddf, 20517},
    [KVP_POLICY_ADAPTIVE] = {0x2e0f5625b6fa40ac, 21845},
};

static void expect_as_ever(kvp_policy_kind kind, outcome found) {
    if (found.digest != expected[kind].digest)
        fprintf(stderr, "policy %d: {%#018llx, %llu}\n", (int)kind, (unsigned long long)found.digest,
                (unsigned long long)found.hits);
    KVP_EXPECT(found.digest == expected[kind].digest && found.hits == expected[kind].hits);
}

/* And not on what it was used for before a reset. */
KVP_TEST(what_a_policy_evicts_depends_on_the_calls_alone) {
    for (int kind = KVP_POLICY_LRU; kind < KVP_NUM_POLICIES; kind++) {
        kvp_identity gone[MAX_BLOCKS];
        uint32_t count;
        begin_as(BLOCKS, false, (kvp_policy_kind)kind);
        for (int round = 0; round < 2; round++) {
            expect_as_ever((kvp_policy_kind)kind, run());
            KVP_EXPECT(kvp_pool_reset(&pool, gone, MAX_BLOCKS, &count) == KVP_OK);
            expect_sound();
        }
        end();
    }
}

/* This is what they are for. */
KVP_TEST(where_requests_that_come_once_pass_through_every_policy_but_fifo_finds_more_than_lru) {
    for (int kind = KVP_POLICY_LFU; kind < KVP_NUM_POLICIES; kind++)
        KVP_EXPECT(expected[kind].hits > expected[KVP_POLICY_LRU].hits);
    for (int kind = KVP_POLICY_LRU; kind < KVP_POLICY_ADAPTIVE; kind++)
        KVP_EXPECT(expected[KVP_POLICY_ADAPTIVE].hits > expected[kind].hits);
}

int main(void) {
    KVP_RUN(what_a_policy_evicts_depends_on_the_calls_alone);
    KVP_RUN(where_requests_that_come_once_pass_through_every_policy_but_fifo_finds_more_than_lru);
    return 0;
}
