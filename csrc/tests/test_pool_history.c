/* Random histories of a pool beside its oracle: after every call both are compared whole, and all invariants checked.
 * KVP_SEED repeats one seed, KVP_STEPS sets the length of each history. */
#include "ctest.h"
#include "kvp/pool.h"
#include "pool_oracle.h"

#define NUM_HASHES   28
#define MAX_HANDLES  12
#define RING         64
#define NUM_SEEDS    20
#define NUM_STEPS    12000
#define MAX_SEGMENTS 3

typedef struct handle {
    kvp_lease *lease; /* owned; NULL when the slot is free */
    int32_t ids[ORACLE_MAX];
    bool gone[ORACLE_MAX]; /* or a miss */
    int32_t count;
} handle;

static kvp_pool pool;
static oracle model;
static handle handles[MAX_HANDLES];
static uint64_t universe[NUM_HASHES];
static uint64_t replayed; /* number of the next event */
static bool is_in_replay[NUM_HASHES];
static int64_t now;
static unsigned long long *state;
static bool keeps_duplicates;
static unsigned long calls[12]; /* that went through, by kind */

static int32_t below(int32_t bound) {
    return kvp_random_below(state, bound);
}

static int32_t number_of(uint64_t hash) {
    int32_t number = 0;
    while (universe[number] != hash)
        KVP_EXPECT(++number < NUM_HASHES);
    return number;
}

/* Mostly a path from a root of the tree in which hash i continues (i - 1) / 3; sometimes nonsense. */
static int32_t some_hashes(uint64_t *hashes) {
    int32_t path[8], n = 0, count = 0;
    if (below(5) == 0) {
        for (n = below(5); count < n; count++)
            hashes[count] = universe[below(NUM_HASHES)];
        return n;
    }
    for (int32_t at = below(NUM_HASHES); at > 0; at = (at - 1) / 3)
        path[n++] = at;
    while (n > 0)
        hashes[count++] = universe[path[--n]];
    return count;
}

static handle *free_slot(void) {
    for (int h = 0; h < MAX_HANDLES; h++)
        if (!handles[h].lease)
            return &handles[h];
    return NULL;
}

static handle *some_handle(bool is_mutable) {
    int32_t start = below(MAX_HANDLES);
    for (int h = 0; h < MAX_HANDLES; h++) {
        handle *at = &handles[(start + h) % MAX_HANDLES];
        if (at->lease && at->lease->is_mutable == is_mutable)
            return at;
    }
    return NULL;
}

static void keep(handle *slot, kvp_lease *lease, const int32_t *ids, int32_t n) {
    int32_t held = 0;
    KVP_EXPECT((int32_t)lease->count == n);
    for (int32_t i = 0; i < n; i++) {
        KVP_EXPECT(lease->ids[i] == ids[i]);
        slot->ids[i] = ids[i];
        slot->gone[i] = ids[i] == KVP_NO_BLOCK;
        held += !slot->gone[i];
    }
    slot->lease = lease;
    slot->count = n;
    KVP_EXPECT(lease->is_live == (held > 0) && (int32_t)lease->held == held);
    if (!lease->is_live) {
        kvp_lease_unshare(lease);
        slot->lease = NULL;
    }
}

static void forget_if_dead(handle *self) {
    if (!self->lease->is_live) {
        for (int32_t i = 0; i < self->count; i++)
            KVP_EXPECT(self->gone[i]);
        kvp_lease_unshare(self->lease);
        self->lease = NULL;
    }
}

static void do_allocate(handle *slot) {
    int32_t n = below(model.num_blocks + 2), ids[ORACLE_MAX + 2], num_expected;
    uint64_t expected[ORACLE_MAX], evicted[ORACLE_MAX];
    uint32_t num_evicted = 0;
    n = below(3) ? n % 4 : n;
    kvp_lease *lease = kvp_lease_new((size_t)n, true);
    int32_t missing = n - model.num_empty;
    bool is_short = missing > 0 && below(8) == 0;
    kvp_status status =
        kvp_pool_allocate(&pool, lease, now, evicted, is_short ? (uint32_t)missing - 1 : ORACLE_MAX, &num_evicted);
    if (status == KVP_RETRY) {
        KVP_EXPECT(is_short);
        kvp_lease_unshare(lease);
        return;
    }
    bool is_served = oracle_allocate(&model, n, now, ids, expected, &num_expected);
    KVP_EXPECT(status == (is_served ? KVP_OK : KVP_NOT_ENOUGH));
    if (!is_served) {
        kvp_lease_unshare(lease);
        return;
    }
    KVP_EXPECT((int32_t)num_evicted == num_expected);
    KVP_EXPECT(memcmp(evicted, expected, num_evicted * sizeof *evicted) == 0);
    keep(slot, lease, ids, n);
    calls[0]++;
}

/* One to three parts of mutable handles, up to n entries in all; sometimes one that is gone or named twice. */
static int32_t some_parts(kvp_segment *parts, uint32_t *num_parts, int32_t n, handle **from) {
    int32_t total = 0;
    *num_parts = 0;
    while (*num_parts < MAX_SEGMENTS && total < n && (*num_parts == 0 || below(2))) {
        handle *source = some_handle(true);
        if (!source)
            break;
        int32_t count = 1 + below(source->count), first;
        count = count < n - total ? count : n - total;
        first = below(source->count - count + 1);
        bool is_backwards = below(4) == 0;
        parts[*num_parts] = (kvp_segment){.lease = source->lease,
                                          .offset = is_backwards ? first + count - 1 : first,
                                          .stride = is_backwards ? -1 : 1,
                                          .count = (uint32_t)count};
        from[(*num_parts)++] = source;
        total += count;
    }
    return total;
}

/* The blocks of the parts; the position of the first entry that is gone or named twice, or -1. The model's handles
 * lose their entries if there is none. */
static int32_t take(const kvp_segment *parts, handle **from, uint32_t num_parts, int32_t *ids) {
    bool was[MAX_HANDLES][ORACLE_MAX];
    int32_t n = 0;
    for (int h = 0; h < MAX_HANDLES; h++)
        memcpy(was[h], handles[h].gone, sizeof was[h]);
    for (uint32_t p = 0; p < num_parts; p++) {
        for (uint32_t i = 0; i < parts[p].count; i++) {
            int64_t entry = parts[p].offset + parts[p].stride * i;
            if (from[p]->gone[entry]) {
                for (int h = 0; h < MAX_HANDLES; h++)
                    memcpy(handles[h].gone, was[h], sizeof was[h]);
                return n;
            }
            from[p]->gone[entry] = true;
            ids[n++] = from[p]->ids[entry];
        }
    }
    return -1;
}

static void forget_dead(handle **from, uint32_t num_parts) {
    for (uint32_t p = 0; p < num_parts; p++)
        if (from[p]->lease)
            forget_if_dead(from[p]);
}

static void do_register(handle *slot) {
    kvp_segment parts[MAX_SEGMENTS];
    handle *from[MAX_SEGMENTS];
    uint64_t hashes[ORACLE_MAX], parent = universe[below(NUM_HASHES)];
    int32_t ids[ORACLE_MAX], n = some_hashes(hashes), skipped = 0;
    uint32_t num_parts, at = 0;
    while (skipped < n && below(4) && oracle_find(&model, hashes[skipped]) != KVP_NO_BLOCK)
        skipped++; /* as after a match */
    n = some_parts(parts, &num_parts, n - skipped, from);
    if (n == 0)
        return;
    bool has_parent = skipped > 0 ? below(2) : below(4) == 0;
    if (skipped > 0)
        parent = hashes[skipped - 1];
    static const int32_t levels[] = {0, 20, 35, 36, 80, 100};
    kvp_registration registration = {.segments = parts,
                                     .num_segments = num_parts,
                                     .hashes = hashes + skipped,
                                     .has_parent = has_parent,
                                     .parent = parent,
                                     .level = below(2) ? -1 : levels[below(6)],
                                     .expiry = below(3) ? KVP_NO_EXPIRY : now + below(20)};
    kvp_lease *lease = kvp_lease_new((size_t)n, false);
    kvp_status status = kvp_pool_register(&pool, &registration, now, lease, &at);
    int32_t bad = take(parts, from, num_parts, ids);
    KVP_EXPECT(status == (bad < 0 ? KVP_OK : KVP_CONSUMED));
    if (bad >= 0) {
        KVP_EXPECT((int32_t)at == bad);
        kvp_lease_unshare(lease);
        return;
    }
    for (int32_t i = 0; i < n; i++)
        model.blocks[ids[i]].is_mutable = false;
    oracle_register(&model, ids, n, hashes + skipped, has_parent ? &parent : NULL, registration.level,
                    registration.expiry, now);
    forget_dead(from, num_parts);
    keep(slot, lease, ids, n);
    calls[1]++;
}

static void do_join(handle *slot) {
    kvp_segment parts[MAX_SEGMENTS];
    handle *from[MAX_SEGMENTS];
    int32_t ids[ORACLE_MAX];
    uint32_t num_parts, at = 0;
    int32_t n = some_parts(parts, &num_parts, ORACLE_MAX, from);
    if (n == 0)
        return;
    kvp_lease *lease = kvp_lease_new((size_t)n, true);
    kvp_status status = kvp_pool_join(&pool, parts, num_parts, now, lease, &at);
    int32_t bad = take(parts, from, num_parts, ids);
    KVP_EXPECT(status == (bad < 0 ? KVP_OK : KVP_CONSUMED));
    if (bad >= 0) {
        KVP_EXPECT((int32_t)at == bad);
        kvp_lease_unshare(lease);
        return;
    }
    oracle_see_time(&model, now);
    forget_dead(from, num_parts);
    keep(slot, lease, ids, n);
    calls[2]++;
}

static void do_match(handle *slot) {
    uint64_t hashes[ORACLE_MAX];
    int32_t ids[ORACLE_MAX], n = some_hashes(hashes);
    kvp_lease *lease = kvp_lease_new((size_t)n, false);
    kvp_pool_match(&pool, hashes, (uint32_t)n, now, lease);
    keep(slot, lease, ids, oracle_match(&model, hashes, n, now, ids));
    calls[3]++;
}

static void do_match_scattered(handle *slot) {
    uint64_t hashes[ORACLE_MAX];
    int32_t ids[ORACLE_MAX], n = some_hashes(hashes);
    kvp_lease *lease = kvp_lease_new((size_t)n, false);
    kvp_pool_match_scattered(&pool, hashes, (uint32_t)n, now, lease);
    oracle_see_time(&model, now);
    oracle_match_scattered(&model, hashes, n, ids);
    keep(slot, lease, ids, n);
    calls[4]++;
}

static void do_release(handle *self) {
    bool is_mutable = self->lease->is_mutable;
    KVP_EXPECT(kvp_pool_release(&pool, self->lease) == KVP_OK);
    for (int32_t i = self->count; i-- > 0;) {
        if (self->gone[i])
            continue;
        if (is_mutable)
            oracle_give_back(&model, self->ids[i]);
        else
            oracle_drop(&model, self->ids[i]);
        self->gone[i] = true;
    }
    forget_if_dead(self);
    calls[5]++;
}

static void do_release_segment(void) {
    handle *self = some_handle(true);
    if (!self)
        return;
    int32_t count = below(self->count + 1);
    kvp_segment part = {self->lease, below(self->count - count + 1), 1, (uint32_t)count};
    KVP_EXPECT(kvp_pool_release_segment(&pool, &part) == KVP_OK);
    for (int32_t i = count; i-- > 0;) {
        int64_t entry = part.offset + i;
        if (!self->gone[entry])
            oracle_give_back(&model, self->ids[entry]);
        self->gone[entry] = true;
    }
    forget_if_dead(self);
    calls[6]++;
}

static void do_share(handle *slot) {
    handle *source = some_handle(false);
    if (!source)
        return;
    int32_t count = 1 + below(source->count);
    kvp_segment part = {source->lease, below(source->count - count + 1), 1, (uint32_t)count};
    kvp_lease *lease = kvp_lease_new((size_t)count, false);
    KVP_EXPECT(kvp_pool_share(&pool, &part, 1, now, lease) == KVP_OK);
    oracle_see_time(&model, now);
    for (int32_t i = 0; i < count; i++)
        if (source->ids[part.offset + i] != KVP_NO_BLOCK)
            oracle_hold(&model, source->ids[part.offset + i]);
    keep(slot, lease, &source->ids[part.offset], count);
    calls[7]++;
}

static void do_upgrade(handle *slot) {
    int32_t id = below(model.num_blocks);
    const oracle_block *block = &model.blocks[id];
    uint32_t generation = block->generation - (below(4) == 0);
    uint64_t hash = below(4) ? block->hash : universe[below(NUM_HASHES)];
    bool is_same = block->is_registered && generation == block->generation && hash == block->hash;
    kvp_lease *lease = kvp_lease_new(1, false);
    KVP_EXPECT(kvp_pool_upgrade(&pool, id, generation, hash, now, lease) == (is_same ? KVP_OK : KVP_STALE));
    if (!is_same) {
        kvp_lease_unshare(lease);
        return;
    }
    oracle_see_time(&model, now);
    oracle_hold(&model, id);
    keep(slot, lease, &id, 1);
    calls[8]++;
}

static void do_touch(void) {
    uint64_t hashes[ORACLE_MAX];
    int32_t ids[ORACLE_MAX], n = some_hashes(hashes), known = 0;
    for (int32_t i = 0; i < n; i++)
        known += oracle_find(&model, hashes[i]) != KVP_NO_BLOCK;
    KVP_EXPECT((int32_t)kvp_pool_touch(&pool, hashes, (uint32_t)n, ids) == known);
    oracle_touch(&model, hashes, n);
    calls[9]++;
}

static void do_reset_blocks(void) {
    uint64_t hashes[ORACLE_MAX];
    uint8_t outcomes[ORACLE_MAX], expected[ORACLE_MAX];
    kvp_identity gone[ORACLE_MAX];
    int32_t ids[ORACLE_MAX], n = some_hashes(hashes);
    uint32_t num_gone, max = below(4) ? ORACLE_MAX : (uint32_t)below(4);
    kvp_status status = kvp_pool_reset_blocks(&pool, hashes, (uint32_t)n, outcomes, gone, max, &num_gone);
    if (status == KVP_RETRY) {
        KVP_EXPECT(num_gone > max);
        return;
    }
    KVP_EXPECT(status == KVP_OK);
    KVP_EXPECT(oracle_reset_blocks(&model, hashes, n, expected, ids) == (int32_t)num_gone);
    KVP_EXPECT(memcmp(outcomes, expected, (size_t)n) == 0);
    for (uint32_t i = 0; i < num_gone; i++)
        KVP_EXPECT(gone[i].id == ids[i] && gone[i].hash == model.blocks[ids[i]].hash);
    calls[10]++;
}

static void do_reset(void) {
    kvp_identity gone[ORACLE_MAX];
    int32_t ids[ORACLE_MAX];
    uint32_t num_gone;
    kvp_status status = kvp_pool_reset(&pool, gone, ORACLE_MAX, &num_gone);
    int32_t expected = oracle_reset(&model, ids);
    KVP_EXPECT(status == (expected < 0 ? KVP_IN_USE : KVP_OK));
    for (int32_t i = 0; i < expected; i++)
        KVP_EXPECT((int32_t)num_gone == expected && gone[i].id == ids[i]);
    calls[11] += expected >= 0;
}

/* The events up to now, replayed, give the registry. */
static void replay_events(void) {
    kvp_event events[RING];
    uint64_t first, n = kvp_event_ring_read(&pool.events, replayed, events, NULL, RING, &first);
    KVP_EXPECT(first == replayed);
    replayed += n;
    for (uint64_t i = 0; i < n; i++) {
        if (events[i].kind == KVP_EVENT_CLEARED) {
            memset(is_in_replay, 0, sizeof is_in_replay);
            continue;
        }
        int32_t number = number_of(events[i].hash);
        KVP_EXPECT(is_in_replay[number] == (events[i].kind == KVP_EVENT_REMOVED));
        is_in_replay[number] = events[i].kind == KVP_EVENT_STORED;
    }
    for (int32_t h = 0; h < NUM_HASHES; h++)
        KVP_EXPECT(is_in_replay[h] == (oracle_find(&model, universe[h]) != KVP_NO_BLOCK));
}

static void expect_same(void) {
    static uint8_t scratch[5 * ORACLE_MAX];
    KVP_EXPECT_SOUND(kvp_pool_check(&pool, scratch));
    KVP_EXPECT(pool.now == model.now);
    KVP_EXPECT(pool.empty.count == model.num_empty);
    KVP_EXPECT(memcmp(pool.empty.ids, model.empty, (size_t)model.num_empty * sizeof(int32_t)) == 0);
    KVP_EXPECT(pool.num_cached == oracle_num_cached(&model));
    for (int32_t id = 0; id < model.num_blocks; id++) {
        const kvp_block *row = &pool.table.rows[id];
        const oracle_block *block = &model.blocks[id];
        KVP_EXPECT(row->generation == block->generation);
        KVP_EXPECT(kvp_block_is_registered(row) == block->is_registered);
        if (!block->is_registered) {
            KVP_EXPECT((row->refs == 1) == block->is_mutable);
            continue;
        }
        KVP_EXPECT(row->hash == block->hash && kvp_block_parent(row) == block->parent);
        KVP_EXPECT((row->refs > 0) == oracle_is_active(&model, id));
        KVP_EXPECT((int32_t)row->level == block->level);
        KVP_EXPECT(kvp_expiry_heap_time(&pool.expiries, id) == block->expiry);
        KVP_EXPECT((row->refs == 0 && kvp_block_is_parked(row)) == block->is_parked);
        KVP_EXPECT(row->is_indexed == (oracle_find(&model, block->hash) == id));
    }
    replay_events();
}

static void step(void) {
    handle *slot = free_slot();
    int32_t what = below(100);
    now += below(4) == 0 ? below(6) - 1 : 0;
    if (!slot || what < 26) {
        handle *self = some_handle(below(2));
        if (self || (self = some_handle(true)) || (self = some_handle(false)))
            do_release(self);
    } else if (what < 46) {
        do_allocate(slot);
    } else if (what < 66) {
        do_register(slot);
    } else if (what < 78) {
        do_match(slot);
    } else if (what < 82) {
        do_match_scattered(slot);
    } else if (what < 85) {
        do_join(slot);
    } else if (what < 88) {
        do_release_segment();
    } else if (what < 91) {
        do_share(slot);
    } else if (what < 94) {
        do_upgrade(slot);
    } else if (what < 97) {
        do_touch();
    } else if (what < 99) {
        do_reset_blocks();
    } else {
        do_reset();
    }
}

static void history(unsigned long long *random_state) {
    const char *asked = getenv("KVP_STEPS");
    long steps = asked ? strtol(asked, NULL, 10) : NUM_STEPS;
    state = random_state;
    kvp_pool_config config = {.num_blocks = 1 + below(ORACLE_MAX),
                              .keeps_duplicates = keeps_duplicates,
                              .event_capacity = RING,
                              .secret = {kvp_random(state), kvp_random(state)}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
    oracle_init(&model, config.num_blocks, keeps_duplicates);
    for (int32_t h = 0; h < NUM_HASHES; h++)
        universe[h] = kvp_random(state);
    memset(is_in_replay, 0, sizeof is_in_replay);
    replayed = 0;
    now = 0;
    for (long i = 0; i < steps; i++) {
        step();
        expect_same();
    }
    for (int h = 0; h < MAX_HANDLES; h++) {
        if (!handles[h].lease)
            continue;
        do_release(&handles[h]);
        expect_same();
    }
    KVP_EXPECT(pool.num_leases == 0 && kvp_pool_available(&pool) == config.num_blocks);
    kvp_pool_destroy(&pool);
}

static void expect_every_kind_of_call(void) {
    for (size_t kind = 0; kind < sizeof calls / sizeof *calls; kind++) {
        KVP_EXPECT(getenv("KVP_SEED") || getenv("KVP_STEPS") || calls[kind] > 100);
        calls[kind] = 0;
    }
}

KVP_TEST(every_history_of_a_pool_that_shares_duplicates_is_the_oracles) {
    keeps_duplicates = false;
    kvp_for_seeds(NUM_SEEDS, history);
    expect_every_kind_of_call();
}

KVP_TEST(every_history_of_a_pool_that_keeps_duplicates_is_the_oracles) {
    keeps_duplicates = true;
    kvp_for_seeds(NUM_SEEDS, history);
    expect_every_kind_of_call();
}

int main(void) {
    KVP_RUN(every_history_of_a_pool_that_shares_duplicates_is_the_oracles);
    KVP_RUN(every_history_of_a_pool_that_keeps_duplicates_is_the_oracles);
    return 0;
}
