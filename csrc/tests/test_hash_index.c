#include "ctest.h"
#include "kvp/hash_index.h"

#include <stdlib.h>

typedef struct fixture {
    kvp_block_table table;
    kvp_hash_index index;
} fixture;

static const uint64_t *own_secret; /* NULL: that of most tests */

static void begin(fixture *self, int32_t num_blocks) {
    const uint64_t usual[2] = {0x0123456789ABCDEF, 0xFEDCBA9876543210};
    const uint64_t *secret = own_secret ? own_secret : usual;
    KVP_EXPECT(kvp_block_table_init(&self->table, num_blocks, 0) == KVP_OK);
    KVP_EXPECT(kvp_hash_index_init(&self->index, &self->table, secret) == KVP_OK);
    KVP_EXPECT_SOUND(kvp_hash_index_check(&self->index, num_blocks));
}

static void end(fixture *self) {
    kvp_hash_index_destroy(&self->index);
    kvp_block_table_destroy(&self->table);
    KVP_EXPECT(self->index.chunks == NULL);
}

static kvp_status add(fixture *self, int32_t id, uint64_t hash) {
    kvp_block *row = &self->table.rows[id];
    row->hash = hash;
    row->lineage = KVP_ROOT;
    row->is_indexed = 1;
    return kvp_hash_index_insert(&self->index, id);
}

static void drop(fixture *self, int32_t id) {
    kvp_hash_index_remove(&self->index, id);
    self->table.rows[id].is_indexed = 0;
    self->table.rows[id].lineage = KVP_UNREGISTERED;
}

static void expect_sound(const fixture *self) {
    KVP_EXPECT_SOUND(kvp_hash_index_check(&self->index, self->table.num_blocks));
}

/* No entry, and no count of entries that went on, is left. */
static void expect_no_trace(const fixture *self) {
    KVP_EXPECT(self->index.count == 0);
    for (uint32_t c = 0; c < self->index.num_chunks; c++) {
        KVP_EXPECT(self->index.chunks[c].spilled == 0);
        for (uint32_t slot = 0; slot < KVP_INDEX_CHUNK_SLOTS; slot++)
            KVP_EXPECT(self->index.chunks[c].tags[slot] == 0);
    }
}

/* The next hash from *seed on whose home is this chunk; with tag != 0, which also has this tag. */
static uint64_t mine(const fixture *self, uint32_t home, uint8_t tag, uint64_t *seed) {
    for (;;) {
        kvp_hash_place place = kvp_hash_index_place(&self->index, ++*seed);
        if (place.home == home && (!tag || place.tag == tag))
            return *seed;
    }
}

KVP_TEST(a_hash_is_found_until_it_is_removed) {
    fixture f;
    begin(&f, 10);
    KVP_EXPECT(kvp_hash_index_find(&f.index, 42) == KVP_NO_BLOCK);
    KVP_EXPECT(add(&f, 7, 42) == KVP_OK && add(&f, 0, 0) == KVP_OK && add(&f, 9, UINT64_MAX) == KVP_OK);
    expect_sound(&f);
    KVP_EXPECT(kvp_hash_index_find(&f.index, 42) == 7);
    KVP_EXPECT(kvp_hash_index_find(&f.index, 0) == 0);
    KVP_EXPECT(kvp_hash_index_find(&f.index, UINT64_MAX) == 9);
    KVP_EXPECT(kvp_hash_index_find(&f.index, 43) == KVP_NO_BLOCK);
    drop(&f, 7);
    expect_sound(&f);
    KVP_EXPECT(kvp_hash_index_find(&f.index, 42) == KVP_NO_BLOCK && f.index.count == 2);
    end(&f);
}

KVP_TEST(every_hash_has_a_home_in_range_and_a_tag_that_is_not_0) {
    unsigned long long state = 1;
    static const int32_t sizes[] = {1, 8, 9, 1000, 100000};
    for (int s = 0; s < 5; s++) {
        fixture f;
        begin(&f, sizes[s]);
        for (int i = 0; i < 20000; i++) {
            kvp_hash_place place = kvp_hash_index_place(&f.index, kvp_random(&state));
            KVP_EXPECT(place.home < f.index.num_chunks && place.tag != 0);
        }
        KVP_EXPECT(kvp_hash_index_place(&f.index, f.index.secret[0]).tag != 0); /* the product is 0 */
        end(&f);
    }
}

KVP_TEST(hashes_of_one_home_and_one_tag_are_told_apart) {
    fixture f;
    begin(&f, 64);
    uint64_t seed = 0, hashes[12];
    for (int32_t i = 0; i < 12; i++)
        hashes[i] = mine(&f, 3, 77, &seed);
    for (int32_t i = 0; i < 11; i++)
        KVP_EXPECT(add(&f, i, hashes[i]) == KVP_OK);
    expect_sound(&f);
    for (int32_t i = 0; i < 11; i++)
        KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[i]) == i);
    KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[11]) == KVP_NO_BLOCK);
    drop(&f, 4);
    KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[4]) == KVP_NO_BLOCK);
    KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[5]) == 5);
    end(&f);
}

/* A full chunk counts who went on; the way goes round the end of the array. */
KVP_TEST(entries_spill_past_a_full_chunk_and_leave_no_trace) {
    fixture f;
    begin(&f, 64);
    uint32_t last = f.index.num_chunks - 1;
    uint64_t seed = 0, hashes[40];
    for (int32_t i = 0; i < 40; i++) {
        hashes[i] = mine(&f, last, 0, &seed);
        KVP_EXPECT(add(&f, i, hashes[i]) == KVP_OK);
        expect_sound(&f);
    }
    KVP_EXPECT(f.index.chunks[last].spilled == 28 && f.index.chunks[0].spilled == 16 && f.index.chunks[1].spilled == 4);
    for (int32_t i = 0; i < 40; i++)
        KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[i]) == i);
    for (int32_t i = 0; i < 40; i++) { /* from home on, so that others are found past chunks with room */
        drop(&f, i);
        expect_sound(&f);
        for (int32_t j = 0; j < 40; j++)
            KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[j]) == (j > i ? j : KVP_NO_BLOCK));
    }
    expect_no_trace(&f);
    end(&f);
}

enum { CROWD = KVP_INDEX_CHUNK_SLOTS * KVP_INDEX_MAX_PROBES }; /* that many fit within the probe bound of one home */

KVP_TEST(beyond_the_probe_bound_an_insert_is_refused_and_changes_nothing) {
    fixture f;
    begin(&f, CROWD + 1);
    KVP_EXPECT(f.index.num_chunks > KVP_INDEX_MAX_PROBES);
    uint64_t seed = 0;
    for (int32_t i = 0; i < CROWD; i++)
        KVP_EXPECT(add(&f, i, mine(&f, 1, 0, &seed)) == KVP_OK);
    expect_sound(&f);
    size_t bytes = f.index.num_chunks * sizeof *f.index.chunks;
    void *before = malloc(bytes);
    memcpy(before, f.index.chunks, bytes);
    KVP_EXPECT(add(&f, CROWD, mine(&f, 1, 0, &seed)) == KVP_FULL);
    KVP_EXPECT(memcmp(before, f.index.chunks, bytes) == 0 && f.index.count == CROWD);
    free(before);
    end(&f);
}

KVP_TEST(a_rekey_makes_room_for_mined_hashes_and_keeps_every_answer) {
    fixture f;
    begin(&f, CROWD + 1);
    uint64_t seed = 0, secret = f.index.secret[1], hashes[CROWD + 1];
    for (int32_t i = 0; i <= CROWD; i++) {
        hashes[i] = mine(&f, 1, 0, &seed);
        KVP_EXPECT(add(&f, i, hashes[i]) == (i < CROWD ? KVP_OK : KVP_FULL));
    }
    kvp_hash_index_rekey(&f.index, f.table.num_blocks);
    expect_sound(&f);
    KVP_EXPECT(f.index.rekeys == 1 && f.index.secret[1] != secret && f.index.count == CROWD + 1);
    KVP_EXPECT(f.index.max_probes == KVP_INDEX_MAX_PROBES);
    for (int32_t i = 0; i <= CROWD; i++)
        KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[i]) == i);
    for (int32_t i = 0; i <= CROWD; i++)
        drop(&f, i);
    expect_no_trace(&f);
    end(&f);
}

/* What it takes to find all of these: chunks looked at, and rows of other hashes looked at because of their tags. */
static uint64_t cost_of(const uint64_t *hashes, int32_t n) {
    fixture f;
    uint64_t cost = 0;
    begin(&f, n);
    for (int32_t i = 0; i < n; i++)
        if (add(&f, i, hashes[i]) != KVP_OK)
            kvp_hash_index_rekey(&f.index, n);
    for (int32_t i = 0; i < n; i++) {
        kvp_hash_place place = kvp_hash_index_place(&f.index, hashes[i]);
        uint32_t at = place.home, found = 0;
        while (!found) {
            const kvp_hash_chunk *chunk = &f.index.chunks[at];
            cost++;
            for (uint32_t slot = 0; slot < KVP_INDEX_CHUNK_SLOTS && !found; slot++) {
                found = chunk->tags[slot] == place.tag && chunk->ids[slot] == i;
                cost += chunk->tags[slot] == place.tag && !found;
            }
            at = at + 1 == f.index.num_chunks ? 0 : at + 1;
        }
    }
    KVP_EXPECT(f.index.max_probes == KVP_INDEX_MAX_PROBES && f.index.rekeys == 0);
    end(&f);
    return cost;
}

/* Families that pile up in tables whose positions are the hash itself, its high or low bits, or its product with a
 * number that everybody knows. */
static void expect_families_to_cost_no_more(void) {
    enum { NUM = 1 << 15 };
    static uint64_t hashes[NUM];
    const uint64_t golden = UINT64_C(0x9E3779B97F4A7C15);
    uint64_t state = 5, inverse = golden;
    for (int i = 0; i < 5; i++)
        inverse *= 2 - golden * inverse;
    KVP_EXPECT(golden * inverse == 1);
    for (uint64_t i = 0; i < NUM; i++)
        hashes[i] = kvp_random((unsigned long long *)&state);
    uint64_t random = cost_of(hashes, NUM);
    KVP_EXPECT(random >= NUM && random < 2 * NUM);
    for (int family = 0; family < 70; family++) {
        for (uint64_t i = 0; i < NUM; i++) {
            if (family < 49)
                hashes[i] = (i + 1) << family;
            else if (family < 64)
                hashes[i] = (i + 1) << 49 | (i + 1) << (family - 49);
            else
                hashes[i] = family == 64   ? (i + 1) * inverse
                            : family == 65 ? ((i + 1) << 32) * inverse
                            : family == 66 ? ~i
                            : family == 67 ? i * i
                            : family == 68 ? (i + 1) * golden
                                           : (i + 1) * UINT64_C(0x0000000100000001);
        }
        KVP_EXPECT(cost_of(hashes, NUM) <= 3 * random);
    }
}

/* With the secret of the other tests, which has a pattern, and with random ones; KVP_SECRETS tells how many. */
KVP_TEST(chosen_hashes_cost_at_most_three_times_what_random_ones_do) {
    unsigned long long state = 77;
    long secrets = getenv("KVP_SECRETS") ? atol(getenv("KVP_SECRETS")) : 3;
    expect_families_to_cost_no_more();
    for (long i = 0; i < secrets; i++) {
        const uint64_t secret[2] = {kvp_random(&state), kvp_random(&state)};
        own_secret = secret;
        expect_families_to_cost_no_more();
        own_secret = NULL;
    }
}

/* Equal hashes have one home under every secret; no pool makes them, but they stand for a secret that never helps. */
KVP_TEST(when_no_secret_helps_the_probe_bound_is_lifted) {
    fixture f;
    begin(&f, CROWD + 1);
    for (int32_t i = 0; i <= CROWD; i++)
        KVP_EXPECT(add(&f, i, 42) == (i < CROWD ? KVP_OK : KVP_FULL));
    kvp_hash_index_rekey(&f.index, f.table.num_blocks);
    KVP_EXPECT(f.index.rekeys == 65 && f.index.max_probes == f.index.num_chunks);
    KVP_EXPECT(f.index.count == CROWD + 1 && kvp_hash_index_find(&f.index, 42) != KVP_NO_BLOCK);
    for (int32_t i = 0; i <= CROWD; i++)
        drop(&f, i);
    expect_no_trace(&f);
    end(&f);
}

KVP_TEST(an_entry_can_be_handed_to_another_block_of_the_same_hash) {
    fixture f;
    begin(&f, 10);
    KVP_EXPECT(add(&f, 1, 42) == KVP_OK);
    f.table.rows[2] = f.table.rows[1];
    f.table.rows[1].is_indexed = 0;
    kvp_hash_index_replace(&f.index, 1, 2);
    expect_sound(&f);
    KVP_EXPECT(kvp_hash_index_find(&f.index, 42) == 2);
    drop(&f, 2);
    expect_no_trace(&f);
    end(&f);
}

#ifndef KVP_CHECK /* a checking build stops here */
KVP_TEST(a_block_that_is_not_in_the_index_cannot_be_removed_from_it) {
    fixture f;
    begin(&f, 10);
    KVP_EXPECT(add(&f, 1, 42) == KVP_OK);
    f.table.rows[2].hash = 43;
    kvp_hash_index_remove(&f.index, 2);
    kvp_hash_index_replace(&f.index, 2, 3);
    KVP_EXPECT(kvp_hash_index_find(&f.index, 42) == 1);
    expect_sound(&f);
    end(&f);
}
#endif

/* All on one chunk, or few: what is inserted at a glance is inserted as by a search; what is not changes nothing. */
KVP_TEST(an_insertion_at_a_glance_is_sure_of_itself_or_does_nothing) {
    fixture f;
    begin(&f, 64);
    int32_t glances = 0;
    for (int32_t i = 0; i < 64; i++) {
        uint64_t hash = (uint64_t)(i % 40) * 0x9E3779B97F4A7C15u; /* the last 24 are there already */
        kvp_hash_place place = kvp_hash_index_place(&f.index, hash);
        f.table.rows[i].hash = hash;
        int32_t count = f.index.count;
        bool is_there = kvp_hash_index_find(&f.index, hash) != KVP_NO_BLOCK;
        KVP_EXPECT(is_there == (i >= 40));
        if (kvp_hash_index_insert_if_new(&f.index, i, place)) {
            KVP_EXPECT(!is_there && kvp_hash_index_find(&f.index, hash) == i && f.index.count == count + 1);
            glances++;
        } else {
            KVP_EXPECT(f.index.count == count);
            if (is_there)
                continue;
            KVP_EXPECT(kvp_hash_index_insert_placed(&f.index, i, place) == KVP_OK);
        }
        f.table.rows[i].is_indexed = 1;
        f.table.rows[i].lineage = KVP_ROOT;
        expect_sound(&f);
    }
    KVP_EXPECT(glances > 30);
    end(&f);
}

KVP_TEST(a_cleared_index_finds_nothing) {
    fixture f;
    begin(&f, 100);
    for (int32_t i = 0; i < 100; i++)
        KVP_EXPECT(add(&f, i, (uint64_t)i) == KVP_OK);
    kvp_hash_index_clear(&f.index);
    for (int32_t i = 0; i < 100; i++)
        KVP_EXPECT(kvp_hash_index_find(&f.index, (uint64_t)i) == KVP_NO_BLOCK);
    expect_no_trace(&f);
    end(&f);
}

/* Lookups go in batches of 16: every length around a batch, a miss at every place. */
KVP_TEST(many_are_found_as_if_one_by_one) {
    enum { N = 50 };
    fixture f;
    begin(&f, N);
    uint64_t hashes[N];
    int32_t ids[N];
    for (int32_t i = 0; i < N; i++) {
        hashes[i] = (uint64_t)i << 32;
        KVP_EXPECT(add(&f, N - 1 - i, hashes[i]) == KVP_OK);
    }
    for (uint32_t n = 0; n <= N; n++) {
        for (uint32_t missing = 0; missing <= n; missing++) {
            uint64_t was = missing < n ? hashes[missing] : 0;
            if (missing < n)
                hashes[missing] = 1;
            KVP_EXPECT(kvp_hash_index_find_prefix(&f.index, hashes, n, ids) == missing);
            for (uint32_t i = 0; i < missing; i++)
                KVP_EXPECT(ids[i] == (int32_t)(N - 1 - i));
            KVP_EXPECT(kvp_hash_index_find_each(&f.index, hashes, n, ids) == n - (missing < n));
            for (uint32_t i = 0; i < n; i++)
                KVP_EXPECT(ids[i] == (i == missing ? KVP_NO_BLOCK : (int32_t)(N - 1 - i)));
            if (missing < n)
                hashes[missing] = was;
        }
    }
    end(&f);
}

/* Half of the hashes share two homes, so that chunks fill, spill and empty again. */
static void against_an_array(unsigned long long *state) {
    enum { NUM_HASHES = 90, NUM_BLOCKS = 64 };
    fixture f;
    begin(&f, NUM_BLOCKS);
    uint64_t hashes[NUM_HASHES], seed = kvp_random(state) >> 8;
    int32_t block_of[NUM_HASHES], hash_of[NUM_BLOCKS];
    for (int32_t i = 0; i < NUM_HASHES; i++) {
        hashes[i] = i % 2 ? kvp_random(state) : mine(&f, i % 4 ? 0 : f.index.num_chunks - 1, 0, &seed);
        block_of[i] = KVP_NO_BLOCK;
    }
    for (int32_t id = 0; id < NUM_BLOCKS; id++)
        hash_of[id] = -1;
    for (int step = 0; step < 3000; step++) {
        int32_t id = kvp_random_below(state, NUM_BLOCKS), h = kvp_random_below(state, NUM_HASHES);
        if (kvp_random_below(state, 500) == 0) {
            kvp_hash_index_rekey(&f.index, NUM_BLOCKS);
        } else if (hash_of[id] >= 0) {
            drop(&f, id);
            block_of[hash_of[id]] = KVP_NO_BLOCK;
            hash_of[id] = -1;
        } else if (block_of[h] == KVP_NO_BLOCK) {
            KVP_EXPECT(add(&f, id, hashes[h]) == KVP_OK);
            block_of[h] = id;
            hash_of[id] = h;
        }
        expect_sound(&f);
        for (int32_t i = 0; i < NUM_HASHES; i++)
            KVP_EXPECT(kvp_hash_index_find(&f.index, hashes[i]) == block_of[i]);
    }
    for (int32_t id = 0; id < NUM_BLOCKS; id++)
        if (hash_of[id] >= 0)
            drop(&f, id);
    expect_no_trace(&f);
    end(&f);
}

KVP_TEST(it_maps_what_an_array_maps) {
    kvp_for_seeds(10, against_an_array);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    fixture f;
    begin(&f, 400);
    uint64_t seed = 0;
    for (int32_t i = 0; i < 20; i++)
        KVP_EXPECT(add(&f, i, mine(&f, 0, 0, &seed)) == KVP_OK);
    kvp_hash_chunk *chunks = f.index.chunks;
    kvp_block *rows = f.table.rows;
    KVP_EXPECT(chunks[0].spilled == 8 && chunks[1].tags[0] != 0);
#define BROKEN_BY(place, value, sentence)                                                                              \
    KVP_EXPECT_BROKEN_BY(place, value, kvp_hash_index_check(&f.index, 400), sentence)
    BROKEN_BY(chunks[0].ids[3], 400, "the index names what is not a block");
    BROKEN_BY(chunks[0].ids[3], KVP_NO_BLOCK, "the index names what is not a block");
    BROKEN_BY(chunks[0].ids[3], 399, "the index names a block without identity");
    BROKEN_BY(rows[3].lineage, KVP_UNREGISTERED, "the index names a block without identity");
    BROKEN_BY(chunks[0].tags[3], (uint8_t)(chunks[0].tags[3] % 255 + 1), "a tag is not its hash's");
    BROKEN_BY(chunks[0].spilled, 0, "a passed chunk does not count who passed it");
    BROKEN_BY(chunks[5].spilled, 1, "the chunks miscount who passed them");
    BROKEN_BY(f.index.count, 19, "the index miscounts its entries");
    BROKEN_BY(chunks[0].tags[3], 0, "the index miscounts its entries");
    rows[300].is_indexed = 1;
    KVP_EXPECT_BROKEN(kvp_hash_index_check(&f.index, 400), "a block that says it is in the index is not");
    rows[300].is_indexed = 0;
    kvp_hash_chunk far = {.tags = {chunks[0].tags[0]}, .ids = {chunks[0].ids[0]}};
    BROKEN_BY(chunks[40], far, "an entry is further from home than the probe bound");
    KVP_EXPECT(add(&f, 20, rows[3].hash) == KVP_OK);
    KVP_EXPECT_BROKEN(kvp_hash_index_check(&f.index, 400), "a hash is not found under its block");
#undef BROKEN_BY
    end(&f);
}

int main(void) {
    KVP_RUN(a_hash_is_found_until_it_is_removed);
    KVP_RUN(every_hash_has_a_home_in_range_and_a_tag_that_is_not_0);
    KVP_RUN(hashes_of_one_home_and_one_tag_are_told_apart);
    KVP_RUN(entries_spill_past_a_full_chunk_and_leave_no_trace);
    KVP_RUN(beyond_the_probe_bound_an_insert_is_refused_and_changes_nothing);
    KVP_RUN(a_rekey_makes_room_for_mined_hashes_and_keeps_every_answer);
    KVP_RUN(chosen_hashes_cost_at_most_three_times_what_random_ones_do);
    KVP_RUN(when_no_secret_helps_the_probe_bound_is_lifted);
    KVP_RUN(an_entry_can_be_handed_to_another_block_of_the_same_hash);
#ifndef KVP_CHECK
    KVP_RUN(a_block_that_is_not_in_the_index_cannot_be_removed_from_it);
#endif
    KVP_RUN(an_insertion_at_a_glance_is_sure_of_itself_or_does_nothing);
    KVP_RUN(a_cleared_index_finds_nothing);
    KVP_RUN(many_are_found_as_if_one_by_one);
    KVP_RUN(it_maps_what_an_array_maps);
    KVP_RUN(the_check_names_each_broken_invariant);
    return 0;
}
