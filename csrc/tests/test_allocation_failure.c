/* Linked with a copy of memory.c that asks kvp_test_refuses before every allocation. */
#include "refusal.h"

#include "ctest.h"
#include "kvp/anchor.h"
#include "kvp/block_copy.h"
#include "kvp/check.h"
#include "kvp/scrub_ledger.h"
#include "kvp/sequence_batch.h"
#include "kvp/shared_pool.h"
#include "kvp/tensor.h"

#include <malloc.h>

static long asked;   /* allocations so far */
static long refused; /* the one that fails, counted from 1; 0: none */

int kvp_test_refuses(void) {
    return ++asked == refused;
}

static void refuse(long n) {
    asked = 0;
    refused = n;
}

/* Bytes in use, where the C library's own allocator runs; the leak checker watches the others. */
static size_t bytes_in_use(void) {
#if KVP_IS_SANITIZED
    return 0;
#else
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
}

static const kvp_pool_config configs[] = {
    {.num_blocks = 1, .secret = {1, 2}},
    {.num_blocks = 100, .keeps_duplicates = true, .event_capacity = 10, .secret = {1, 2}},
    {.num_blocks = 100, .event_capacity = 10, .event_tokens = 16, .secret = {1, 2}},
    {.num_blocks = 100000, .keeps_duplicates = true, .event_capacity = 1000, .secret = {1, 2}},
    {.num_blocks = 50, .secret = {1, 2}, .policy = KVP_POLICY_ADAPTIVE, .ghost_factor = 4},
    {.num_blocks = 50, .secret = {1, 2}, .policy = KVP_POLICY_ARC, .ghost_factor = 1},
    {.num_blocks = 50, .secret = {1, 2}, .policy = KVP_POLICY_S3FIFO, .ghost_factor = 1},
    {.num_blocks = 50, .secret = {1, 2}, .policy = KVP_POLICY_MULTI_LRU, .ghost_factor = 1},
    {.num_blocks = 50, .secret = {1, 2}, .policy = KVP_POLICY_LFU, .ghost_factor = 1},
    {.num_blocks = 50, .secret = {1, 2}, .policy = KVP_POLICY_SIEVE, .ghost_factor = 1},
    {.num_blocks = 50, .secret = {1, 2}, .keeps_facts = true, .reuse_sampling = 0.5, .keeps_checks = true},
    {.num_blocks = 50, .secret = {1, 2}, .policy = KVP_POLICY_ARC, .max_namespaces = 2, .ghost_factor = 1},
};

static long num_allocations(const kvp_pool_config *config) {
    kvp_shared_pool pool;
    refuse(0);
    KVP_EXPECT(kvp_shared_pool_init(&pool, config) == KVP_OK);
    long all = asked;
    kvp_shared_pool_destroy(&pool);
    return all;
}

KVP_TEST(a_pool_takes_one_allocation_for_each_array) {
    /* rows, empty, index, three of the heap, hints, three of the protection, two of the foresight, pins */
    KVP_EXPECT(num_allocations(&configs[0]) == 13);
    KVP_EXPECT(num_allocations(&configs[1]) == 15); /* and events, copies */
    KVP_EXPECT(num_allocations(&configs[2]) == 17); /* and events, tokens of events and of blocks, which are known */
}

/* Every allocation of the configuration fails once. */
static void sweep(const kvp_pool_config *config) {
    long all = num_allocations(config);
    for (long n = 1; n <= all; n++) {
        kvp_pool pool;
        kvp_shared_pool shared;
        refuse(n);
        KVP_EXPECT(kvp_pool_init(&pool, config) == KVP_NO_MEMORY);
        refuse(n);
        KVP_EXPECT(kvp_shared_pool_init(&shared, config) == KVP_NO_MEMORY);
    }
    kvp_pool pool;
    refuse(all + 1);
    KVP_EXPECT(kvp_pool_init(&pool, config) == KVP_OK);
    kvp_pool_destroy(&pool);
}

KVP_TEST(when_any_allocation_fails_no_pool_is_made_and_nothing_leaks) {
    for (size_t c = 0; c < sizeof configs / sizeof *configs; c++) {
        size_t before = 0;
        for (int round = 0; round < 20; round++) {
            if (round == 10) /* freed chunks that the C library sets aside count as in use: let it have its fill */
                before = bytes_in_use();
            sweep(&configs[c]);
        }
        KVP_EXPECT(bytes_in_use() == before);
    }
}

/* Everything a serving loop calls under the lock, with all the ways in which it can go. */
KVP_TEST(no_call_of_a_pool_allocates) {
    enum { N = 40, SIZE = 4 };
    kvp_shared_pool shared;
    kvp_pool *pool = &shared.pool;
    uint64_t hashes[N], evicted[N];
    uint8_t outcomes[N];
    kvp_identity identities[N];
    int32_t ids[N], copies[2 * N];
    uint32_t count, at, tokens[N * SIZE] = {0};
    kvp_pool_config config = {.num_blocks = 64, .event_capacity = 8, .secret = {1, 2}};
    refuse(0);
    KVP_EXPECT(kvp_shared_pool_init(&shared, &config) == KVP_OK);
    for (int round = 0; round < 4; round++) {
        for (uint64_t i = 0; i < N; i++)
            hashes[i] = i + 100u * (unsigned)round;
        kvp_lease *fresh = kvp_lease_new(N, true), *filled = kvp_lease_new(N, false), *found = kvp_lease_new(N, false);
        kvp_lease *sparse = kvp_lease_new(N, false), *part = kvp_lease_new(3, false);
        kvp_sequence one, two;
        KVP_EXPECT(kvp_sequence_init(&one, SIZE, 0, true) == KVP_OK &&
                   kvp_sequence_init(&two, SIZE, 0, true) == KVP_OK);
        KVP_EXPECT(kvp_sequence_make_room(&one, 10 * SIZE) == KVP_OK);
        kvp_sequence_write(&one, tokens, 5 * SIZE + 1);
        kvp_sequence_count_in(&one, 5 * SIZE + 1);
        KVP_EXPECT(kvp_sequence_copy_tokens(&two, &one) == KVP_OK);
        refuse(0);
        kvp_shared_pool_enter(&shared);
        KVP_EXPECT(kvp_pool_allocate(pool, fresh, round, evicted, N, &count) == KVP_OK);
        kvp_segment segment = {fresh, 0, 1, N};
        kvp_registration registration = {
            .segments = &segment, .num_segments = 1, .hashes = hashes, .level = 50, .expiry = round + 1};
        KVP_EXPECT(kvp_pool_register(pool, &registration, round, filled, &at) == KVP_OK);
        kvp_pool_match(pool, hashes, N, round, found);
        kvp_pool_match_scattered(pool, hashes, N, round, sparse);
        kvp_segment three = {filled, 5, 1, 3};
        KVP_EXPECT(kvp_pool_share(pool, &three, 1, round, part) == KVP_OK);
        KVP_EXPECT(kvp_sequence_open(&one, pool, 2, round) == KVP_OK);
        kvp_sequence_commit(&one, pool, 5 * SIZE);
        KVP_EXPECT(kvp_sequence_fork(&two, &one, pool, round, copies, &count) == KVP_OK);
        KVP_EXPECT(kvp_sequence_truncate(&two, pool, 3 * SIZE + 1, round, copies, &count) == KVP_OK && count == 1);
        KVP_EXPECT(kvp_pool_release(pool, filled) == KVP_OK && kvp_pool_release(pool, found) == KVP_OK);
        KVP_EXPECT(kvp_pool_release(pool, sparse) == KVP_OK && kvp_pool_release(pool, part) == KVP_OK);
        KVP_EXPECT(kvp_sequence_give_back(&one, pool, 0) == KVP_OK && kvp_sequence_give_back(&two, pool, 0) == KVP_OK);
        KVP_EXPECT(kvp_pool_touch(pool, hashes, N, ids) == N);
        KVP_EXPECT(kvp_pool_reset_blocks(pool, hashes + 30, 2, outcomes, identities, N, &count) == KVP_OK);
        kvp_shared_pool_leave(&shared);
        KVP_EXPECT(asked == 0);
        kvp_lease *leases[] = {fresh, filled, found, sparse, part, one.lease, two.lease};
        for (size_t i = 0; i < sizeof leases / sizeof *leases; i++)
            kvp_lease_unshare(leases[i]);
        kvp_sequence_destroy(&one);
        kvp_sequence_destroy(&two);
    }
    KVP_EXPECT(pool->stats.evictions > 0 && pool->num_leases == 0);
    kvp_shared_pool_destroy(&shared);
}

KVP_TEST(an_event_ring_too_large_for_memory_is_refused) {
    kvp_pool pool;
    kvp_pool_config config = {.num_blocks = 8, .event_capacity = UINT64_MAX};
    refuse(0);
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_NO_MEMORY);
    config.event_capacity = UINT64_MAX / sizeof(kvp_event) + 1;
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_NO_MEMORY);
}

KVP_TEST(a_lease_that_gets_no_memory_is_null) {
    refuse(1);
    KVP_EXPECT(kvp_lease_new(4, true) == NULL);
    kvp_lease *lease = kvp_lease_new(4, true);
    KVP_EXPECT(lease != NULL);
    kvp_lease_unshare(lease);
}

KVP_TEST(an_anchor_that_gets_no_memory_for_itself_or_its_pool_is_null) {
    refuse(0);
    kvp_anchor *anchor = kvp_anchor_new(&configs[1]);
    KVP_EXPECT(anchor != NULL);
    kvp_anchor_unshare(anchor);
    for (long n = 1, all = asked; n <= all; n++) {
        refuse(n);
        KVP_EXPECT(kvp_anchor_new(&configs[1]) == NULL);
    }
}

static void end_keeper(kvp_keeper *keeper) {
    kvp_keeper_free(keeper);
}

KVP_TEST(what_is_lent_without_memory_leaves_its_owner_alone) {
    int owner;
    kvp_tensor scalar = {.ndim = 0, .data = &owner};
    refuse(1);
    KVP_EXPECT(kvp_keeper_new(&owner, end_keeper) == NULL);
    kvp_keeper *keeper = kvp_keeper_new(&owner, end_keeper);
    refuse(1);
    KVP_EXPECT(kvp_tether_new(NULL, NULL, keeper) == NULL && keeper->shares == 1);
    kvp_tether *tether = kvp_tether_new(NULL, NULL, keeper);
    KVP_EXPECT(tether && keeper->shares == 2);
    refuse(1);
    KVP_EXPECT(kvp_tensor_export(&scalar, tether) == NULL && tether->shares == 1);
    refuse(1);
    KVP_EXPECT(kvp_tensor_export_legacy(&scalar, tether) == NULL && tether->shares == 1);
    kvp_tether_unshare(tether);
    KVP_EXPECT(keeper->shares == 1);
    kvp_keeper_unshare(keeper);
}

KVP_TEST(memory_is_neither_described_nor_checked_nor_copied_without_memory) {
    static char room[64];
    kvp_layout_config config = {.num_blocks = 8,
                                .num_layers = 1,
                                .outer_dim = 1,
                                .page_size = 8,
                                .inner_dim = 1,
                                .item_size = 1,
                                .alignment = 1};
    kvp_layout layout;
    kvp_block_memory memory;
    kvp_scrub_ledger ledger;
    const char *product;
    uint64_t base = (uintptr_t)room, at;
    int32_t ids[] = {1, 5};
    bool is_to;
    refuse(1);
    KVP_EXPECT(kvp_layout_init(&layout, &config, &product) == KVP_OK);
    KVP_EXPECT(kvp_block_memory_init(&memory, &layout, &base) == KVP_NO_MEMORY);
    KVP_EXPECT(kvp_block_memory_init(&memory, &layout, &base) == KVP_OK);
    kvp_block_copy copy = {.from = {.memory = &memory, .ids = ids}, .to = {.memory = &memory, .ids = ids}, .count = 2};
    refuse(1);
    KVP_EXPECT(kvp_block_copy_prepare(&copy, &at, &is_to) == KVP_NO_MEMORY);
    KVP_EXPECT(kvp_block_copy_prepare(&copy, &at, &is_to) == KVP_OVERLAP); /* onto themselves */
    refuse(1);
    KVP_EXPECT(kvp_scrub_ledger_init(&ledger, 8, KVP_SCRUB_FREE, false) == KVP_NO_MEMORY);
    kvp_block_memory_destroy(&memory);
}

KVP_TEST(a_sequence_that_cannot_grow_stays_as_it_was) {
    enum { SIZE = 4 };
    static const uint32_t tokens[SIZE + 1] = {1, 2, 3, 4, 5};
    kvp_sequence sequence, copy;
    refuse(1);
    KVP_EXPECT(kvp_sequence_init(&sequence, SIZE, 0, true) == KVP_NO_MEMORY);
    KVP_EXPECT(kvp_sequence_init(&sequence, SIZE, 0, true) == KVP_OK);
    KVP_EXPECT(kvp_sequence_init(&copy, SIZE, 0, true) == KVP_OK);
    KVP_EXPECT(kvp_sequence_make_room(&sequence, SIZE + 1) == KVP_OK);
    kvp_sequence_write(&sequence, tokens, SIZE + 1);
    kvp_sequence_count_in(&sequence, SIZE + 1);
    kvp_sequence before = sequence;
    for (long n = 1; n <= 3; n++) { /* tokens, hashes, table */
        refuse(n);
        KVP_EXPECT(kvp_sequence_make_room(&sequence, 1000) == KVP_NO_MEMORY);
        KVP_EXPECT(memcmp(&before, &sequence, sizeof before) == 0 &&
                   memcmp(sequence.tokens, tokens, sizeof tokens) == 0);
        refuse(n);
        KVP_EXPECT(kvp_sequence_copy_tokens(&copy, &sequence) == KVP_NO_MEMORY && copy.num_tokens == 0);
    }
    refuse(0);
    KVP_EXPECT(kvp_sequence_make_room(&sequence, (uint64_t)UINT32_MAX * SIZE + 1) == KVP_NO_MEMORY && asked == 0);
    KVP_EXPECT(kvp_sequence_copy_tokens(&copy, &sequence) == KVP_OK && copy.num_tokens == SIZE + 1);
    kvp_lease_unshare(sequence.lease);
    kvp_lease_unshare(copy.lease);
    kvp_sequence_destroy(&sequence);
    kvp_sequence_destroy(&copy);
}

KVP_TEST(a_batch_without_memory_is_not_made_and_writes_nothing) {
    enum { ROWS = 2, SIZE = 4 };
    kvp_sequence_batch batch;
    kvp_sequence sequence;
    static const uint32_t tokens[100];
    const int64_t starts[] = {0, 100};
    kvp_step step = {tokens, starts, 0};
    refuse(0);
    KVP_EXPECT(kvp_sequence_batch_init(&batch, ROWS, 4, 8) == KVP_OK);
    kvp_sequence_batch_destroy(&batch);
    for (long n = 1, all = asked; n <= all; n++) {
        refuse(n);
        KVP_EXPECT(kvp_sequence_batch_init(&batch, ROWS, 4, 8) == KVP_NO_MEMORY);
    }
    refuse(0);
    KVP_EXPECT(kvp_sequence_batch_init(&batch, ROWS, 4, 8) == KVP_OK);
    KVP_EXPECT(kvp_sequence_init(&sequence, SIZE, 0, true) == KVP_OK);
    kvp_sequence_batch_add(&batch, &sequence);
    refuse(1);
    KVP_EXPECT(kvp_sequence_batch_write(&batch, &step) == KVP_NO_MEMORY);
    KVP_EXPECT(sequence.num_tokens == 0 && sequence.token_capacity == 0);
    KVP_EXPECT_SOUND(kvp_sequence_batch_check(&batch));
    kvp_sequence_batch_remove(&batch, 0);
    kvp_sequence_batch_destroy(&batch);
    kvp_lease_unshare(sequence.lease);
    kvp_sequence_destroy(&sequence);
}

/* No allocation on the hot path: a pool that may not allocate serves a request as ever. */
KVP_TEST(a_request_allocates_nothing_but_its_leases) {
    enum { N = 8 };
    kvp_pool pool;
    uint64_t hashes[N], evicted[N];
    uint32_t num_evicted, at;
    int32_t scratch[N];
    refuse(0);
    KVP_EXPECT(kvp_pool_init(&pool, &configs[1]) == KVP_OK);
    kvp_lease *fresh = kvp_lease_new(N, true), *filled = kvp_lease_new(N, false), *hit = kvp_lease_new(N, false);
    for (uint64_t round = 0; round < 50; round++) {
        refuse(1);
        for (uint64_t i = 0; i < N; i++)
            hashes[i] = round * N + i;
        fresh->count = hit->count = N;
        KVP_EXPECT(kvp_pool_allocate(&pool, fresh, 0, evicted, N, &num_evicted) == KVP_OK);
        kvp_segment segment = {fresh, 0, 1, N};
        kvp_registration registration = {
            .segments = &segment, .num_segments = 1, .hashes = hashes, .level = -1, .expiry = (int64_t)round + 5};
        KVP_EXPECT(kvp_pool_register(&pool, &registration, 0, filled, &at) == KVP_OK);
        kvp_pool_match(&pool, hashes, N, 0, hit);
        KVP_EXPECT(hit->held == N && kvp_pool_touch(&pool, hashes, N, scratch) == N);
        KVP_EXPECT(kvp_pool_release(&pool, filled) == KVP_OK && kvp_pool_release(&pool, hit) == KVP_OK);
        KVP_EXPECT(asked == 0);
    }
    KVP_EXPECT(pool.stats.evictions > 0);
    kvp_lease_unshare(fresh);
    kvp_lease_unshare(filled);
    kvp_lease_unshare(hit);
    kvp_pool_destroy(&pool);
}

int main(void) {
    KVP_RUN(a_pool_takes_one_allocation_for_each_array);
    KVP_RUN(when_any_allocation_fails_no_pool_is_made_and_nothing_leaks);
    KVP_RUN(no_call_of_a_pool_allocates);
    KVP_RUN(an_event_ring_too_large_for_memory_is_refused);
    KVP_RUN(a_lease_that_gets_no_memory_is_null);
    KVP_RUN(an_anchor_that_gets_no_memory_for_itself_or_its_pool_is_null);
    KVP_RUN(what_is_lent_without_memory_leaves_its_owner_alone);
    KVP_RUN(memory_is_neither_described_nor_checked_nor_copied_without_memory);
    KVP_RUN(a_sequence_that_cannot_grow_stays_as_it_was);
    KVP_RUN(a_batch_without_memory_is_not_made_and_writes_nothing);
    KVP_RUN(a_request_allocates_nothing_but_its_leases);
    return 0;
}
