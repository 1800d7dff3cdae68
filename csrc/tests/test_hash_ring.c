#include "ctest.h"
#include "kvp/hash_ring.h"

static kvp_hash_ring ring;
static const uint64_t secret[2] = {0x0123456789ABCDEF, 0x9E3779B97F4A7C15};

static void begin(uint32_t capacity) {
    KVP_EXPECT(kvp_hash_ring_init(&ring, capacity, secret) == KVP_OK);
}

static void end(void) {
    KVP_EXPECT_SOUND(kvp_hash_ring_check(&ring));
    kvp_hash_ring_destroy(&ring);
}

static void put(uint64_t hash, uint32_t value) {
    if (kvp_hash_ring_is_full(&ring))
        kvp_hash_ring_drop_oldest(&ring);
    (void)kvp_hash_ring_put(&ring, hash, value);
}

static bool has(uint64_t hash, uint32_t value) {
    uint32_t slot = kvp_hash_ring_find(&ring, hash);
    return slot != KVP_NO_SLOT && ring.entries[slot].hash == hash && ring.entries[slot].value == value;
}

KVP_TEST(nothing_is_found_in_an_empty_ring) {
    begin(4);
    for (uint64_t hash = 0; hash < 100; hash++)
        KVP_EXPECT(kvp_hash_ring_find(&ring, hash) == KVP_NO_SLOT);
    end();
}

KVP_TEST(the_oldest_is_forgotten_for_the_newest) {
    begin(3);
    for (uint32_t i = 0; i < 5; i++)
        put(i, 10 + i);
    KVP_EXPECT(!has(0, 10) && !has(1, 11) && has(2, 12) && has(3, 13) && has(4, 14) && ring.count == 3);
    KVP_EXPECT(ring.entries[kvp_hash_ring_oldest(&ring)].hash == 2);
    end();
}

KVP_TEST(of_equal_hashes_the_newest_is_found) {
    begin(8);
    put(7, 1);
    put(7, 2);
    KVP_EXPECT(has(7, 2) && ring.count == 2);
    kvp_hash_ring_remove(&ring, kvp_hash_ring_find(&ring, 7));
    KVP_EXPECT(has(7, 1) && ring.count == 1);
    end();
}

KVP_TEST(what_is_removed_makes_room_when_the_ring_comes_round) {
    begin(4);
    for (uint32_t i = 0; i < 4; i++)
        put(i, i);
    kvp_hash_ring_remove(&ring, kvp_hash_ring_find(&ring, 0));
    kvp_hash_ring_remove(&ring, kvp_hash_ring_find(&ring, 2));
    KVP_EXPECT(ring.count == 2 && !kvp_hash_ring_is_full(&ring));
    put(4, 4);
    KVP_EXPECT(kvp_hash_ring_is_full(&ring) && has(1, 1) && has(3, 3) && has(4, 4));
    put(5, 5);
    KVP_EXPECT(!has(1, 1) && has(3, 3) && has(5, 5) && ring.entries[kvp_hash_ring_oldest(&ring)].hash == 3);
    end();
}

KVP_TEST(a_cleared_ring_knows_nothing) {
    begin(16);
    for (uint32_t i = 0; i < 40; i++)
        put(i, i);
    kvp_hash_ring_clear(&ring);
    KVP_EXPECT(ring.count == 0);
    for (uint32_t i = 0; i < 40; i++)
        KVP_EXPECT(kvp_hash_ring_find(&ring, i) == KVP_NO_SLOT);
    put(3, 3);
    KVP_EXPECT(has(3, 3));
    end();
}

/* Beside a list that is searched from its end. */
KVP_TEST(a_random_history_agrees_with_a_list) {
    for (uint32_t capacity = 1; capacity <= 65; capacity += 8) {
        uint64_t hashes[4000], state = capacity;
        bool is_used[4000];
        uint32_t n = 0, first = 0;
        begin(capacity);
        for (uint32_t step = 0; step < 3900; step++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            uint64_t hash = state >> 33 & (capacity < 20 ? 15 : 127);
            int64_t at = (int64_t)n - 1;
            while (at >= (int64_t)first && !(is_used[at] && hashes[at] == hash))
                at--;
            uint32_t slot = kvp_hash_ring_find(&ring, hash);
            KVP_EXPECT((slot != KVP_NO_SLOT) == (at >= (int64_t)first));
            if (slot != KVP_NO_SLOT && state >> 60 & 1) {
                KVP_EXPECT(ring.entries[slot].value == (uint32_t)at);
                kvp_hash_ring_remove(&ring, slot);
                is_used[at] = false;
            } else {
                if (kvp_hash_ring_is_full(&ring)) {
                    KVP_EXPECT(ring.entries[kvp_hash_ring_oldest(&ring)].value == first);
                    is_used[first] = false;
                    kvp_hash_ring_drop_oldest(&ring);
                }
                hashes[n] = hash;
                is_used[n] = true;
                (void)kvp_hash_ring_put(&ring, hash, n++);
            }
            while (first < n && !is_used[first])
                first++;
            KVP_EXPECT_SOUND(kvp_hash_ring_check(&ring));
        }
        end();
    }
}

/* A hash that comes and goes all the time leaves no chain of its own past. */
KVP_TEST(a_hash_that_comes_and_goes_is_found_at_once) {
    begin(1 << 16);
    put(1, 0);
    for (uint32_t i = 0; i < 60000; i++) {
        put(2, i);
        kvp_hash_ring_remove(&ring, kvp_hash_ring_find(&ring, 2));
    }
    uint32_t steps = 0, mine = 0;
    for (uint32_t bucket = 0; bucket < 1u << 16; bucket++)
        mine = ring.heads[bucket] > mine ? ring.heads[bucket] : mine;
    for (uint32_t position = mine; position > 0 && ring.entries[position % ring.capacity].hash == 2; steps++)
        position = ring.entries[position % ring.capacity].before;
    KVP_EXPECT(steps <= 1);
    end();
}

KVP_TEST(what_is_broken_is_named) {
    begin(4);
    for (uint32_t i = 0; i < 3; i++)
        put(i, i);
    uint32_t oldest = kvp_hash_ring_oldest(&ring), *head = NULL;
    for (uint32_t bucket = 0; bucket < 1u << ring.bits; bucket++)
        if (ring.heads[bucket] == (uint32_t)ring.newest - 1)
            head = &ring.heads[bucket];
#define BROKEN(place, value, sentence) KVP_EXPECT_BROKEN_BY(place, value, kvp_hash_ring_check(&ring), sentence)
    BROKEN(ring.newest, ring.oldest + 5, "a ring of hashes holds more than it has room for");
    BROKEN(ring.count, 2, "a ring of hashes is miscounted");
    BROKEN(*head, 0, "a hash of a ring is not found");
    ring.entries[oldest].is_used = 0;
    KVP_EXPECT_BROKEN(kvp_hash_ring_check(&ring), "the oldest entry of a ring of hashes is not in use");
    ring.entries[oldest].is_used = 1;
#undef BROKEN
    end();
}

/* Two rings apart by a whole turn of the positions: a link that is left over leads nowhere. */
KVP_TEST(a_link_that_is_left_over_is_not_followed) {
    begin(2);
    for (uint32_t i = 0; i < 9; i++)
        put(i % 3, i);
    KVP_EXPECT(has(2, 8) && has(1, 7) && !has(0, 6));
    uint32_t slot = kvp_hash_ring_find(&ring, 1);
    ring.entries[slot].before = (uint32_t)ring.newest - 1; /* it leads to a younger one */
    KVP_EXPECT(kvp_hash_ring_find(&ring, 77) == KVP_NO_SLOT && has(1, 7));
    end();
}

int main(void) {
    KVP_RUN(nothing_is_found_in_an_empty_ring);
    KVP_RUN(the_oldest_is_forgotten_for_the_newest);
    KVP_RUN(of_equal_hashes_the_newest_is_found);
    KVP_RUN(what_is_removed_makes_room_when_the_ring_comes_round);
    KVP_RUN(a_cleared_ring_knows_nothing);
    KVP_RUN(a_random_history_agrees_with_a_list);
    KVP_RUN(a_hash_that_comes_and_goes_is_found_at_once);
    KVP_RUN(what_is_broken_is_named);
    KVP_RUN(a_link_that_is_left_over_is_not_followed);
    return 0;
}
