/* The ring of events, beside all events that ever were. */
#include "kvp/event_ring.h"
#include "script.h"

#define MOST   1024
#define TOKENS 3

static kvp_event all[MOST];
static uint32_t all_tokens[MOST][TOKENS];

static void read_some(const kvp_event_ring *ring, uint64_t capacity, uint64_t since, uint64_t n) {
    kvp_event events[64];
    uint32_t tokens[64 * TOKENS];
    uint64_t start = ring->next - (ring->next < capacity ? ring->next : capacity), first;
    uint64_t count = kvp_event_ring_read(ring, since, events, ring->block_size ? tokens : NULL, n, &first);
    start = since > start ? since : start;
    uint64_t left = start < ring->next ? ring->next - start : 0;
    KVP_EXPECT(count == (left < n ? left : n) && (count == 0 || first == start));
    for (uint64_t i = 0; i < count; i++) {
        const kvp_event *one = &events[i], *other = &all[first + i];
        KVP_EXPECT(one->hash == other->hash && one->id == other->id && one->kind == other->kind);
        KVP_EXPECT(one->has_tokens == (other->has_tokens && ring->block_size > 0));
        if (ring->block_size > 0)
            KVP_EXPECT(
                memcmp(&tokens[i * ring->block_size], all_tokens[first + i], ring->block_size * sizeof *tokens) == 0);
    }
}

static void run(void) {
    kvp_event_ring ring;
    uint64_t capacity = take_below(40);
    uint32_t block_size = take_below(TOKENS + 1);
    bool is_due = false;
    KVP_EXPECT(kvp_event_ring_init(&ring, capacity, block_size) == KVP_OK);
    while (has_more() && ring.next < MOST) {
        uint32_t what = take_byte();
        if (what % 4 == 0) {
            read_some(&ring, capacity, what & 16 ? take_number(8) : take_byte(), take_below(65));
        } else if (what % 16 == 1) {
            ring.awaited = ring.next + take_below(8);
            ring.has_news = is_due = false;
        } else {
            uint32_t tokens[TOKENS] = {what, 7, take_byte()};
            bool has_tokens = what & 32 && block_size > 0;
            kvp_event event = {.hash = hash_of(what), .id = (int32_t)what, .kind = KVP_EVENT_STORED};
            all[ring.next] = event;
            all[ring.next].has_tokens = has_tokens;
            memset(all_tokens[ring.next], 0, sizeof *all_tokens);
            if (has_tokens)
                memcpy(all_tokens[ring.next], tokens, block_size * sizeof *tokens);
            is_due |= capacity > 0 && ring.next >= ring.awaited;
            kvp_event_ring_push(&ring, event, what & 32 ? tokens : NULL);
            KVP_EXPECT(ring.has_news == is_due);
        }
        KVP_EXPECT_SOUND(kvp_event_ring_check(&ring));
    }
    kvp_event_ring_destroy(&ring);
}
