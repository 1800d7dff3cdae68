#include "ctest.h"
#include "kvp/event_ring.h"

static kvp_event stored(uint64_t hash) {
    return (kvp_event){.hash = hash, .id = (int32_t)hash, .kind = KVP_EVENT_STORED};
}

static kvp_event_ring new_ring(uint64_t capacity, uint64_t num_events) {
    kvp_event_ring ring;
    KVP_EXPECT(kvp_event_ring_init(&ring, capacity, 0) == KVP_OK);
    for (uint64_t number = 0; number < num_events; number++)
        kvp_event_ring_push(&ring, stored(number), NULL);
    KVP_EXPECT_SOUND(kvp_event_ring_check(&ring));
    return ring;
}

KVP_TEST(events_are_read_back_in_order_and_whole) {
    kvp_event_ring ring = new_ring(8, 0);
    const kvp_event event = {
        .hash = 1, .parent = 2, .id = 3, .kind = KVP_EVENT_REMOVED, .reason = KVP_REASON_CAPACITY, .has_parent = 1};
    kvp_event read;
    uint64_t first;
    KVP_EXPECT(kvp_event_ring_read(&ring, 0, &read, NULL, 1, &first) == 0 && first == 0);
    kvp_event_ring_push(&ring, event, NULL);
    KVP_EXPECT(kvp_event_ring_read(&ring, 0, &read, NULL, 1, &first) == 1 && first == 0);
    KVP_EXPECT(read.hash == 1 && read.parent == 2 && read.id == 3 && read.kind == KVP_EVENT_REMOVED);
    KVP_EXPECT(read.reason == KVP_REASON_CAPACITY && read.has_parent == 1);
    kvp_event_ring_destroy(&ring);
    KVP_EXPECT(ring.entries == NULL);
}

KVP_TEST(a_full_ring_drops_the_oldest_and_shows_the_gap) {
    kvp_event_ring ring = new_ring(4, 10);
    kvp_event events[8];
    uint64_t first;
    KVP_EXPECT(kvp_event_ring_read(&ring, 2, events, NULL, 8, &first) == 4);
    KVP_EXPECT(first == 6);
    for (uint64_t i = 0; i < 4; i++)
        KVP_EXPECT(events[i].hash == 6 + i);
    KVP_EXPECT(kvp_event_ring_read(&ring, 8, events, NULL, 1, &first) == 1 && first == 8 && events[0].hash == 8);
    KVP_EXPECT(kvp_event_ring_read(&ring, 10, events, NULL, 8, &first) == 0 && first == 10);
    kvp_event_ring_destroy(&ring);
}

KVP_TEST(a_ring_without_capacity_counts_and_records_nothing) {
    kvp_event_ring ring = new_ring(0, 5);
    kvp_event event;
    uint64_t first;
    KVP_EXPECT(ring.next == 5 && ring.entries == NULL);
    KVP_EXPECT(kvp_event_ring_read(&ring, 0, &event, NULL, 1, &first) == 0 && first == 5);
    kvp_event_ring_destroy(&ring);
}

KVP_TEST(tokens_are_read_back_where_they_were_pushed) {
    kvp_event_ring ring;
    kvp_event events[4];
    uint32_t tokens[8];
    uint64_t first;
    KVP_EXPECT(kvp_event_ring_init(&ring, 3, 2) == KVP_OK);
    for (uint32_t number = 0; number < 5; number++) {
        const uint32_t pair[] = {number, 10 * number};
        kvp_event_ring_push(&ring, stored(number), number % 2 ? NULL : pair);
    }
    memset(tokens, 0xFF, sizeof tokens);
    KVP_EXPECT(kvp_event_ring_read(&ring, 0, events, tokens, 4, &first) == 3 && first == 2);
    KVP_EXPECT(events[0].has_tokens && !events[1].has_tokens && events[2].has_tokens);
    const uint32_t expected[] = {2, 20, 0, 0, 4, 40};
    KVP_EXPECT(memcmp(tokens, expected, sizeof expected) == 0);
    KVP_EXPECT(kvp_event_ring_read(&ring, 4, events, NULL, 4, &first) == 1 && events[0].has_tokens);
    KVP_EXPECT_SOUND(kvp_event_ring_check(&ring));
    kvp_event_ring_destroy(&ring);
}

KVP_TEST(the_event_that_is_awaited_is_news) {
    kvp_event_ring ring = new_ring(4, 2);
    KVP_EXPECT(!ring.has_news);
    ring.awaited = 3;
    kvp_event_ring_push(&ring, stored(2), NULL);
    KVP_EXPECT(!ring.has_news);
    kvp_event_ring_push(&ring, stored(3), NULL);
    KVP_EXPECT(ring.has_news);
    kvp_event_ring_destroy(&ring);
}

static void against_an_array(unsigned long long *state) {
    enum { NUM_EVENTS = 500 };
    uint64_t capacity = (uint64_t)kvp_random_below(state, 40) + 1, history[NUM_EVENTS];
    kvp_event_ring ring = new_ring(capacity, 0);
    kvp_event events[NUM_EVENTS];
    for (uint64_t next = 0; next < NUM_EVENTS; next++) {
        history[next] = kvp_random(state);
        kvp_event_ring_push(&ring, stored(history[next]), NULL);
        KVP_EXPECT_SOUND(kvp_event_ring_check(&ring));
        uint64_t since = (uint64_t)kvp_random_below(state, (int32_t)next + 2), n = kvp_random(state) % NUM_EVENTS;
        uint64_t oldest = next + 1 > capacity ? next + 1 - capacity : 0, start = since < oldest ? oldest : since;
        uint64_t left = next + 1 - start, first;
        KVP_EXPECT(kvp_event_ring_read(&ring, since, events, NULL, n, &first) == (left < n ? left : n) &&
                   first == start);
        for (uint64_t i = 0; i < left && i < n; i++)
            KVP_EXPECT(events[i].hash == history[start + i]);
    }
    kvp_event_ring_destroy(&ring);
}

KVP_TEST(what_is_read_is_the_tail_of_the_history) {
    kvp_for_seeds(30, against_an_array);
}

KVP_TEST(the_check_names_each_broken_invariant) {
    kvp_event_ring ring = new_ring(4, 10);
    KVP_EXPECT_BROKEN_BY(ring.entries[1].kind, 0, kvp_event_ring_check(&ring), "an event has no kind");
    KVP_EXPECT_BROKEN_BY(ring.entries[1].kind, 4, kvp_event_ring_check(&ring), "an event has no kind");
    KVP_EXPECT_BROKEN_BY(ring.entries[1].reason, KVP_REASON_RESET, kvp_event_ring_check(&ring),
                         "an event's reason does not go with its kind");
    KVP_EXPECT_BROKEN_BY(ring.entries[1].kind, KVP_EVENT_REMOVED, kvp_event_ring_check(&ring),
                         "an event's reason does not go with its kind");
    KVP_EXPECT_BROKEN_BY(ring.at, 1, kvp_event_ring_check(&ring), "the next event's entry is another");
    ring.entries[1].has_tokens = true;
    KVP_EXPECT_BROKEN(kvp_event_ring_check(&ring), "an event has tokens that nobody kept");
    uint32_t tokens[16];
    ring.tokens = tokens;
    KVP_EXPECT_SOUND(kvp_event_ring_check(&ring));
    ring.entries[1].kind = KVP_EVENT_REMOVED;
    ring.entries[1].reason = KVP_REASON_CAPACITY;
    KVP_EXPECT_BROKEN(kvp_event_ring_check(&ring), "an event has tokens that nobody kept");
    ring.tokens = NULL;
    kvp_event_ring_destroy(&ring);
}

KVP_TEST(more_tokens_than_can_be_counted_are_refused) {
    kvp_event_ring ring;
    KVP_EXPECT(kvp_event_ring_init(&ring, SIZE_MAX / 64, 65) == KVP_NO_MEMORY);
    KVP_EXPECT(kvp_event_ring_init(&ring, SIZE_MAX / 64, 0) == KVP_NO_MEMORY);
    KVP_EXPECT(kvp_event_ring_init(&ring, (uint64_t)1 << 33, UINT32_MAX) == KVP_NO_MEMORY);
}

int main(void) {
    KVP_RUN(events_are_read_back_in_order_and_whole);
    KVP_RUN(a_full_ring_drops_the_oldest_and_shows_the_gap);
    KVP_RUN(a_ring_without_capacity_counts_and_records_nothing);
    KVP_RUN(tokens_are_read_back_where_they_were_pushed);
    KVP_RUN(the_event_that_is_awaited_is_news);
    KVP_RUN(what_is_read_is_the_tail_of_the_history);
    KVP_RUN(the_check_names_each_broken_invariant);
    KVP_RUN(more_tokens_than_can_be_counted_are_refused);
    return 0;
}
