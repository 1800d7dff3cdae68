/* The whole pool: every call with every configuration, all invariants after each step. A block that is handed out is
 * nobody's, and one that is found for a hash has that hash's content. */
#include "pool_script.h"
#include "saved_pool.h"

static void keep(kvp_lease **slot, kvp_lease *lease) {
    *slot = lease;
    forget_dead();
}

static void expect_nobodys(const kvp_lease *lease) {
    for (uint32_t i = 0; i < lease->count; i++)
        for (int other = 0; other < MOST_LEASES; other++)
            for (uint32_t j = 0; leases[other] && leases[other] != lease && j < leases[other]->count; j++) {
                bool is_gone = leases[other]->is_mutable && kvp_lease_gone(leases[other])[j];
                KVP_EXPECT(is_gone || leases[other]->ids[j] != lease->ids[i]);
            }
}

static void expect_content(const kvp_lease *lease, const uint64_t *hashes) {
    for (uint32_t i = 0; i < lease->count; i++)
        KVP_EXPECT(lease->ids[i] == KVP_NO_BLOCK || written[lease->ids[i]] == hashes[i]);
}

static void do_allocate(kvp_lease **slot) {
    uint32_t n = take_byte() % (uint32_t)(config.num_blocks + 2), num_evicted;
    uint64_t evicted[MOST_BLOCKS];
    kvp_lease *lease = new_lease(n, true);
    int64_t room = kvp_pool_room(&pool, lease->space);
    uint32_t most = take_below(8) ? MOST_BLOCKS : take_below(4);
    kvp_status status = kvp_pool_allocate(&pool, lease, now, evicted, most, &num_evicted);
    KVP_EXPECT(status == KVP_RETRY || status == (n > room ? KVP_NOT_ENOUGH : KVP_OK));
    if (status == KVP_OK)
        expect_nobodys(lease);
    for (uint32_t i = 0; status == KVP_OK && i < n; i++)
        written[lease->ids[i]] = 0;
    keep(slot, lease);
}

/* Up to three parts of mutable leases of one namespace, `n` blocks in all; returns how many they are. */
static uint32_t take_parts(kvp_segment *parts, uint32_t *num_parts, uint32_t n) {
    uint32_t total = 0;
    for (*num_parts = 0; *num_parts < 3 && total < n; ++*num_parts) {
        kvp_lease *lease = take_lease(true);
        if (!lease || (*num_parts > 0 && lease->space != parts[0].lease->space))
            break;
        uint32_t count = 1 + take_byte() % lease->count;
        count = count < n - total ? count : n - total;
        int64_t first = take_byte() % (lease->count - count + 1);
        bool is_backwards = take_below(4) == 0;
        parts[*num_parts] = (kvp_segment){.lease = lease,
                                          .offset = is_backwards ? first + count - 1 : first,
                                          .stride = is_backwards ? -1 : 1,
                                          .count = count};
        total += count;
    }
    return total;
}

static void do_register(kvp_lease **slot) {
    kvp_segment parts[3];
    uint64_t hashes[MOST_HASHES + 1], parents[MOST_HASHES];
    uint32_t words[TOKENS] = {1, 2}, at;
    const uint32_t *tokens[MOST_HASHES];
    uint32_t n = take_hashes(hashes), flags = take_byte(), skipped = n ? (flags & 3) % n : 0;
    kvp_registration registration = {.hashes = hashes + skipped,
                                     .segments = parts,
                                     .has_parent = skipped > 0 || flags & 4,
                                     .parent = skipped > 0 ? hashes[skipped - 1] : hash_of(take_below(NUM_HASHES)),
                                     .level = flags & 8 ? (int)take_below(KVP_MAX_PRIORITY + 1) : -1,
                                     .expiry = flags & 16 ? now + take_below(40) : KVP_NO_EXPIRY};
    n = take_parts(parts, &registration.num_segments, n - skipped);
    for (uint32_t i = 0; i < n; i++) {
        parents[i] = take_below(4) ? hash_of(take_below(NUM_HASHES)) : registration.hashes[i];
        tokens[i] = flags & 64 && i % 2 == 0 ? words : NULL;
    }
    registration.parents = flags & 32 ? parents : NULL;
    registration.tokens = config.event_tokens ? tokens : NULL;
    if (n == 0)
        return;
    for (uint32_t p = 0, i = 0; p < registration.num_segments; p++)
        for (uint32_t k = 0; k < parts[p].count; k++, i++) {
            int64_t entry = parts[p].offset + parts[p].stride * k;
            if (!kvp_lease_gone(parts[p].lease)[entry])
                written[parts[p].lease->ids[entry]] = registration.hashes[i];
        }
    kvp_lease *lease = new_lease(n, false);
    kvp_status status = kvp_pool_register(&pool, &registration, now, lease, &at);
    KVP_EXPECT(status == KVP_OK || status == KVP_CONSUMED || (status == KVP_FOREIGN && pool.namespaces));
    if (status == KVP_OK)
        expect_content(lease, registration.hashes);
    keep(slot, lease);
}

static void do_join(kvp_lease **slot) {
    kvp_segment parts[3];
    uint32_t num_parts, at, n = take_parts(parts, &num_parts, MOST_BLOCKS);
    if (n == 0)
        return;
    kvp_lease *lease = new_lease(n, true);
    kvp_status status = kvp_pool_join(&pool, parts, num_parts, now, lease, &at);
    KVP_EXPECT(status == KVP_OK || status == KVP_CONSUMED);
    keep(slot, lease);
}

static void do_match(kvp_lease **slot, uint32_t how) {
    uint64_t hashes[MOST_HASHES];
    uint32_t n = take_hashes(hashes);
    int32_t wanted, limit = (int32_t)take_below(MOST_BLOCKS);
    kvp_lease *lease = new_lease(n, false);
    if (how == 0)
        kvp_pool_match(&pool, hashes, n, now, lease);
    else if (how == 1)
        kvp_pool_match_scattered(&pool, hashes, n, now, lease);
    else if (how == 2)
        kvp_pool_hold_ahead(&pool, hashes, n, now, lease);
    else if (kvp_pool_pin(&pool, hashes, n, limit, now, lease, &wanted) == KVP_NOT_ENOUGH)
        KVP_EXPECT(wanted > limit && !lease->is_live);
    else
        KVP_EXPECT(pool.num_pinned <= limit);
    if (lease->is_live)
        expect_content(lease, hashes);
    keep(slot, lease);
}

static void do_share(kvp_lease **slot, bool is_view) {
    kvp_lease *source = take_lease(is_view && take_below(2));
    if (!source)
        return;
    uint32_t count = 1 + take_byte() % source->count;
    kvp_segment part = {source, take_byte() % (source->count - count + 1), 1, count};
    kvp_lease *lease = new_lease(count, false);
    kvp_status status = is_view ? kvp_pool_lend(&pool, &part, now, lease) : kvp_pool_share(&pool, &part, 1, now, lease);
    KVP_EXPECT(status == KVP_OK || is_view);
    keep(slot, lease);
}

static void do_upgrade(kvp_lease **slot) {
    int32_t id = (int32_t)take_byte() % config.num_blocks;
    const kvp_block *row = &pool.table.rows[id];
    bool is_old = take_below(4) == 0;
    kvp_lease *lease = new_lease(1, false);
    kvp_status status = kvp_pool_upgrade(&pool, id, row->generation - is_old, row->hash, now, lease);
    KVP_EXPECT(!is_old || status == KVP_STALE);
    KVP_EXPECT(status != KVP_OK || written[id] == row->hash);
    keep(slot, lease);
}

static void do_release_part(void) {
    kvp_lease *lease = take_lease(true);
    if (!lease)
        return;
    uint32_t count = take_byte() % (lease->count + 1);
    kvp_segment part = {lease, take_byte() % (lease->count - count + 1), 1, count};
    KVP_EXPECT(kvp_pool_release_segment(&pool, &part) == KVP_OK);
    forget_dead();
}

/* What concerns hashes, whoever holds their blocks. */
static void do_to_hashes(uint32_t how) {
    uint64_t hashes[2 * MOST_HASHES];
    int32_t ids[2 * MOST_HASHES];
    kvp_identity evicted[MOST_BLOCKS];
    uint8_t outcomes[MOST_HASHES];
    uint32_t n = take_hashes(hashes), lengths[2] = {n, 0}, num_evicted;
    if (how == 0) {
        KVP_EXPECT(kvp_pool_touch(&pool, hashes, n, ids) <= n);
    } else if (how == 1) {
        int level = (int)take_below(KVP_MAX_PRIORITY + 1);
        (void)kvp_pool_retain(&pool, hashes, n, level, take_below(2) ? KVP_NO_EXPIRY : now + take_below(40), now);
    } else if (how == 2) {
        lengths[1] = take_hashes(hashes + n);
        kvp_pool_protect(&pool, hashes, lengths, take_below(3), ids);
    } else {
        uint32_t most = take_below(8) ? MOST_BLOCKS : take_below(4);
        kvp_status status = kvp_pool_reset_blocks(&pool, hashes, n, outcomes, evicted, most, &num_evicted);
        KVP_EXPECT(status == KVP_OK || (status == KVP_RETRY && most < MOST_BLOCKS));
    }
}

static void do_evict(void) {
    kvp_identity evicted[MOST_BLOCKS];
    uint32_t n = take_byte() % (uint32_t)(config.num_blocks + 1), highest = take_below(KVP_NUM_LEVELS);
    int32_t cached = pool.num_cached;
    uint32_t count = kvp_pool_evict(&pool, n, highest, KVP_REASON_PRESSURE, now, evicted);
    KVP_EXPECT(count <= n && pool.num_cached == cached - (int32_t)count);
}

static void do_reset(void) {
    kvp_identity evicted[MOST_BLOCKS];
    uint32_t num_evicted, cached = (uint32_t)pool.num_cached;
    kvp_status status = kvp_pool_reset(&pool, evicted, MOST_BLOCKS, &num_evicted);
    KVP_EXPECT(status == (pool.num_leases > 0 ? KVP_IN_USE : KVP_OK));
    KVP_EXPECT(status != KVP_OK || (num_evicted == cached && pool.empty.count == config.num_blocks));
}

static void do_set_quota(void) {
    if (!pool.namespaces)
        return;
    int32_t count = pool.namespaces->count, space = (int32_t)take_byte() % (count + 1);
    int32_t cap = (int32_t)take_byte() % (config.num_blocks + 1), floor = (int32_t)take_byte() % (cap + 1);
    kvp_status status = kvp_pool_set_quota(&pool, space, floor, take_below(2) ? cap : config.num_blocks, now);
    KVP_EXPECT(status == KVP_OK || status == KVP_NOT_ENOUGH || (status == KVP_FULL && space == SPACES));
}

/* As for a policy outside the core: it chooses, blocks are allocated, the choice is taken back. */
static void do_prefer(kvp_lease **slot) {
    kvp_candidate told[MOST_BLOCKS], chosen[MOST_BLOCKS];
    uint32_t n = 0, count, num_evicted;
    uint64_t evicted[MOST_BLOCKS];
    if (!pool.facts)
        return;
    count = kvp_pool_candidates(&pool, told, take_below(MOST_BLOCKS + 1));
    for (uint32_t i = 0, mask = (uint32_t)take_number(3); i < count; i++)
        if (mask >> i & 1)
            chosen[n++] = told[i];
    if (n > 0 && take_below(4) == 0)
        chosen[0].generation--; /* it is another by now */
    KVP_EXPECT(kvp_pool_prefer(&pool, chosen, n) <= n);
    kvp_lease *lease = new_lease(take_below(4), true);
    (void)kvp_pool_allocate(&pool, lease, now, evicted, MOST_BLOCKS, &num_evicted);
    kvp_pool_end_preference(&pool, chosen, n);
    keep(slot, lease);
}

static void do_look(void) {
    kvp_event events[MOST_BLOCKS];
    uint32_t tokens[MOST_BLOCKS * TOKENS];
    int32_t scratch[2 * MOST_BLOCKS] = {0};
    uint64_t next;
    uint32_t count = kvp_pool_snapshot(&pool, events, tokens, MOST_BLOCKS, scratch, &next);
    KVP_EXPECT(next == pool.events.next && count <= (uint32_t)(pool.num_active + pool.num_cached));
    for (uint32_t i = 0; i < count; i++) { /* a parent comes before its children */
        bool is_told = !events[i].has_parent;
        for (uint32_t j = 0; j < i; j++)
            is_told |= events[j].hash == events[i].parent;
        KVP_EXPECT(is_told);
    }
}

static void step(void) {
    uint32_t what = take_byte();
    kvp_lease **slot = free_slot();
    now += what & 128 ? take_below(16) : 0;
    what %= 32;
    if (!slot || what < 8) { /* what is released most often is held longest */
        uint32_t start = take_below(MOST_LEASES);
        for (uint32_t i = 0; i < MOST_LEASES; i++)
            if (leases[(start + i) % MOST_LEASES]) {
                release(&leases[(start + i) % MOST_LEASES]);
                return;
            }
    } else if (what < 12) {
        do_allocate(slot);
    } else if (what < 17) {
        do_register(slot);
    } else if (what < 21) {
        do_match(slot, what - 17);
    } else if (what < 23) {
        do_share(slot, what == 22);
    } else if (what < 27) {
        do_to_hashes(what - 23);
    } else if (what == 27) {
        do_join(slot);
    } else if (what == 28) {
        do_upgrade(slot);
        do_release_part();
    } else if (what == 29) {
        do_evict();
        do_set_quota();
    } else if (what == 30) {
        do_prefer(slot);
        do_look();
    } else {
        do_reset();
        save_and_restore();
    }
}

static void run(void) {
    take_config();
    begin();
    while (has_more()) {
        step();
        expect_sound();
    }
    end();
}
