/* The ring of hashes, beside a list that is searched from its end. */
#include "kvp/hash_ring.h"
#include "script.h"

#define MOST 2048

static struct {
    uint64_t hash;
    uint32_t value;
    bool is_used;
} list[MOST];
static uint32_t first, next;

static uint32_t newest_of(uint64_t hash) {
    uint32_t at = next;
    while (at > first && !(list[at - 1].is_used && list[at - 1].hash == hash))
        at--;
    return at > first ? at - 1 : MOST;
}

static void forget(uint32_t at) {
    list[at].is_used = false;
    while (first < next && !list[first].is_used)
        first++;
}

static void run(void) {
    kvp_hash_ring ring;
    uint32_t capacity = 1 + take_below(20), count = 0;
    uint64_t secret[2] = {hash_of(1), take_below(2) ? hash_of(2) : 0}; /* 0: all in one bucket */
    KVP_EXPECT(kvp_hash_ring_init(&ring, capacity, secret) == KVP_OK);
    first = next = 0;
    while (has_more() && next < MOST) {
        uint32_t what = take_byte(), slot;
        uint64_t hash = what / 8 % 16;
        uint32_t at = newest_of(hash);
        slot = kvp_hash_ring_find(&ring, hash);
        KVP_EXPECT((slot == KVP_NO_SLOT) == (at == MOST));
        KVP_EXPECT(slot == KVP_NO_SLOT || ring.entries[slot].value == list[at].value);
        if (what == 0) {
            kvp_hash_ring_clear(&ring);
            first = next;
            count = 0;
        } else if (what % 8 == 1 && count > 0) {
            kvp_hash_ring_drop_oldest(&ring);
            forget(first);
            count--;
        } else if (what % 8 < 4 && slot != KVP_NO_SLOT) {
            kvp_hash_ring_remove(&ring, slot);
            forget(at);
            count--;
        } else {
            if (kvp_hash_ring_is_full(&ring)) {
                kvp_hash_ring_drop_oldest(&ring);
                forget(first);
                count--;
            }
            kvp_hash_ring_put(&ring, hash, next);
            list[next].hash = hash;
            list[next].value = next;
            list[next++].is_used = true;
            count++;
        }
        KVP_EXPECT(ring.count == count);
        KVP_EXPECT(count == 0 || ring.entries[kvp_hash_ring_oldest(&ring)].value == list[first].value);
        KVP_EXPECT_SOUND(kvp_hash_ring_check(&ring));
    }
    kvp_hash_ring_destroy(&ring);
}
