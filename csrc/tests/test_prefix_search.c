#define MAX_BLOCKS 700

#include "kvp/prefix_search.h"
#include "pool_fixture.h"

#define LONGEST 5000

static int32_t ids[LONGEST], one_by_one[LONGEST];

/* The search gives what looking up one hash after the other gives; returns how many were found. */
static uint32_t search(const uint64_t *hashes, uint32_t n) {
    bool is_chain;
    uint32_t found = kvp_prefix_search(&pool.index, hashes, n, ids, &is_chain);
    KVP_EXPECT(found == kvp_hash_index_find_prefix(&pool.index, hashes, n, one_by_one));
    KVP_EXPECT(memcmp(ids, one_by_one, found * sizeof *ids) == 0);
    KVP_EXPECT(is_chain == kvp_is_chain(pool.table.rows, ids, found));
    return found;
}

/* hashes[first .. first + n) below the one before, if they have one. */
static void fill(const uint64_t *hashes, uint32_t first, uint32_t n) {
    kvp_registration registration = first ? below(hashes + first, hashes[first - 1]) : of(hashes);
    release(register_with(allocate(n), registration));
}

KVP_TEST(every_length_and_every_end_of_a_prefix_is_found) {
    uint64_t hashes[300];
    for (uint32_t i = 0; i < 300; i++)
        hashes[i] = 1000 + i;
    for (uint32_t registered = 1; registered < 300; registered += 1 + registered / 7) {
        begin(300);
        fill(hashes, 0, registered);
        for (uint32_t n = 0; n <= 300; n++)
            KVP_EXPECT(search(hashes, n) == (n < registered ? n : registered));
        end();
    }
}

KVP_TEST(a_prompt_that_begins_in_the_middle_of_a_lineage_is_found) {
    uint64_t hashes[200];
    for (uint32_t i = 0; i < 200; i++)
        hashes[i] = 1 + i;
    begin(200);
    fill(hashes, 0, 200);
    for (uint32_t first = 0; first < 200; first += 13)
        KVP_EXPECT(search(hashes + first, 200 - first) == 200 - first);
    end();
}

KVP_TEST(blocks_without_lineage_are_looked_up) {
    uint64_t hashes[100];
    begin(100);
    for (uint32_t i = 0; i < 100; i++) {
        hashes[i] = 1 + i;
        if (i != 60)
            release(FILL(hashes[i]));
    }
    bool is_chain;
    KVP_EXPECT(search(hashes, 100) == 60);
    KVP_EXPECT(kvp_prefix_search(&pool.index, hashes, 100, ids, &is_chain) == 60 && !is_chain);
    end();
}

KVP_TEST(blocks_of_another_prompt_do_not_stand_in_for_those_before_a_block) {
    uint64_t hashes[64], other[64];
    begin(200);
    for (uint32_t i = 0; i < 64; i++) {
        hashes[i] = 1 + i;
        other[i] = 1001 + i;
    }
    fill(other, 0, 40);
    release(register_with(allocate(24), below(hashes + 40, other[39]))); /* not its hashes' true parent */
    KVP_EXPECT(search(hashes, 64) == 0);
    fill(hashes, 0, 40);
    KVP_EXPECT(search(hashes, 64) == 64);
    end();
}

KVP_TEST(a_very_long_prompt_is_searched_in_rounds) {
    static uint64_t hashes[LONGEST];
    for (uint32_t i = 0; i < LONGEST; i++)
        hashes[i] = i * UINT64_C(0x9E3779B97F4A7C15);
    begin(700);
    fill(hashes, 0, 699);
    for (uint32_t n = 690; n < LONGEST; n += 97)
        KVP_EXPECT(search(hashes, n) == (n < 699 ? n : 699));
    end();
}

/* Documents that share beginnings, registered in pieces with and without their parents, evicted, and asked for with a
 * hash changed here and there; held, so that chains and single holds meet. */
static void history(unsigned long long *state) {
    enum { DOCUMENTS = 6, LENGTH = 150, HOLDS = 5 };
    static uint64_t hashes[DOCUMENTS][LENGTH];
    kvp_lease *holds[HOLDS] = {NULL};
    begin_with(100 + kvp_random_below(state, MAX_BLOCKS - 100), kvp_random_below(state, 2));
    for (int32_t d = 0; d < DOCUMENTS; d++) {
        int32_t shared = d ? kvp_random_below(state, LENGTH) : 0, from = d ? kvp_random_below(state, d) : 0;
        for (int32_t i = 0; i < LENGTH; i++)
            hashes[d][i] = i < shared ? hashes[from][i] : kvp_random(state);
    }
    for (int step = 0; step < 60; step++) {
        uint64_t *document = hashes[kvp_random_below(state, DOCUMENTS)], prompt[LENGTH];
        uint32_t first = (uint32_t)kvp_random_below(state, LENGTH);
        uint32_t n = 1 + (uint32_t)kvp_random_below(state, LENGTH - (int32_t)first);
        kvp_lease **hold = &holds[kvp_random_below(state, HOLDS)];
        if (*hold)
            release(*hold);
        *hold = NULL;
        memcpy(prompt, document, sizeof prompt);
        switch (kvp_random_below(state, 5)) {
        case 0: /* a piece from anywhere, with or without its parent */
            if (kvp_pool_available(&pool) >= (int32_t)n)
                *hold = register_with(allocate(n), first && kvp_random_below(state, 3)
                                                       ? below(document + first, document[first - 1])
                                                       : of(document + first));
            break;
        case 1: /* the beginning, as servers do */
            if (kvp_pool_available(&pool) >= (int32_t)n)
                *hold = register_with(allocate(n), of(document));
            break;
        case 2:
            if (kvp_pool_available(&pool) >= (int32_t)n)
                release(allocate(n));
            break;
        case 3:
            *hold = match_n(prompt + first, n);
            break;
        default:
            *hold = match_n(prompt, LENGTH);
        }
        for (int ask = 0; ask < 4; ask++) {
            if (kvp_random_below(state, 2))
                prompt[kvp_random_below(state, LENGTH)] = hashes[0][kvp_random_below(state, LENGTH)];
            search(prompt, LENGTH);
            search(prompt + first, n);
        }
    }
    for (int h = 0; h < HOLDS; h++)
        if (holds[h])
            release(holds[h]);
    KVP_EXPECT(pool.num_active == 0 && pool.num_mutable == 0);
    end();
}

KVP_TEST(the_search_finds_what_one_look_up_after_the_other_finds) {
    kvp_for_seeds(300, history);
}

int main(void) {
    KVP_RUN(every_length_and_every_end_of_a_prefix_is_found);
    KVP_RUN(a_prompt_that_begins_in_the_middle_of_a_lineage_is_found);
    KVP_RUN(blocks_without_lineage_are_looked_up);
    KVP_RUN(blocks_of_another_prompt_do_not_stand_in_for_those_before_a_block);
    KVP_RUN(a_very_long_prompt_is_searched_in_rounds);
    KVP_RUN(the_search_finds_what_one_look_up_after_the_other_finds);
    return 0;
}
