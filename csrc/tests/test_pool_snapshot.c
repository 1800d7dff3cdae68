#define MAX_BLOCKS 64
#include "pool_fixture.h"

#define BLOCK_SIZE 2

static kvp_event told[MAX_BLOCKS];
static uint32_t tokens[MAX_BLOCKS * BLOCK_SIZE];
static int32_t room[MAX_BLOCKS + MAX_BLOCKS / 4 + 1];
static uint64_t next;

static uint32_t snapshot_of(uint32_t max) {
    memset(room, 0, sizeof room);
    return kvp_pool_snapshot(&pool, told, pool.tokens.block_size ? tokens : NULL, max, room, &next);
}

/* Every registered hash once, after its parent. */
static void expect_told(uint32_t n) {
    uint32_t registered = 0;
    for (int32_t id = 0; id < pool.table.num_blocks; id++)
        registered += kvp_block_is_registered(&pool.table.rows[id]) && pool.table.rows[id].is_indexed;
    KVP_EXPECT(n == registered && next == pool.events.next);
    for (uint32_t i = 0; i < n; i++) {
        int32_t id = kvp_hash_index_find(&pool.index, told[i].hash);
        KVP_EXPECT(id == told[i].id && told[i].kind == KVP_EVENT_STORED && told[i].reason == KVP_REASON_NONE);
        int32_t parent = kvp_block_parent(&pool.table.rows[id]);
        KVP_EXPECT(told[i].has_parent == (parent != KVP_NO_BLOCK));
        bool is_after_parent = !told[i].has_parent;
        for (uint32_t j = 0; j < n; j++) {
            is_after_parent |= j < i && told[j].hash == told[i].parent;
            KVP_EXPECT(j == i || told[j].hash != told[i].hash);
        }
        KVP_EXPECT(is_after_parent);
        KVP_EXPECT(!told[i].has_parent || told[i].parent == pool.table.rows[parent].hash);
    }
}

KVP_TEST(a_new_pool_has_nothing_to_tell) {
    begin(4);
    KVP_EXPECT(snapshot_of(0) == 0 && next == 0);
    end();
}

KVP_TEST(blocks_are_told_after_those_that_they_continue_whatever_their_ids) {
    begin(8);
    kvp_lease *all = allocate(8), *last = kvp_lease_new(1, false), *first = kvp_lease_new(1, false);
    kvp_segment segments[] = {{all, 6, 1, 1}, {all, 0, 1, 1}};
    uint32_t at;
    kvp_registration registration = of(HASHES(1));
    registration.num_segments = 1;
    registration.segments = &segments[0];
    KVP_EXPECT(kvp_pool_register(&pool, &registration, now, first, &at) == KVP_OK);
    registration = below(HASHES(2), 1);
    registration.num_segments = 1;
    registration.segments = &segments[1];
    KVP_EXPECT(kvp_pool_register(&pool, &registration, now, last, &at) == KVP_OK);
    KVP_EXPECT(snapshot_of(8) == 2);
    expect_told(2);
    KVP_EXPECT(told[0].hash == 1 && told[0].id == 6 && told[1].hash == 2 && told[1].id == 0);
    release(all);
    release(last);
    release(first);
    end();
}

KVP_TEST(active_and_cached_blocks_are_told_and_nothing_when_there_is_no_room) {
    begin(8);
    kvp_lease *held = FILL(1, 2);
    release(FILL(3));
    kvp_lease *mutable = allocate(1);
    told[0].hash = 77;
    KVP_EXPECT(snapshot_of(2) == 3 && told[0].hash == 77);
    KVP_EXPECT(snapshot_of(3) == 3);
    expect_told(3);
    release(held);
    release(mutable);
    end();
}

KVP_TEST(a_hash_with_several_copies_is_told_once) {
    begin_with(8, true);
    kvp_lease *first = FILL(1), *second = FILL(1), *child = FILL_BELOW(1, 2), *other = FILL(3);
    release(first);
    KVP_EXPECT(snapshot_of(8) == 3);
    expect_told(3);
    release(second);
    release(child);
    release(other);
    KVP_EXPECT(snapshot_of(8) == 3);
    expect_told(3);
    end();
}

static void begin_with_tokens(int32_t num_blocks) {
    kvp_pool_config config = {
        .num_blocks = num_blocks, .event_capacity = 16, .event_tokens = BLOCK_SIZE, .secret = {1, 2}};
    KVP_EXPECT(kvp_pool_init(&pool, &config) == KVP_OK);
}

KVP_TEST(tokens_are_told_where_they_are_known) {
    begin_with_tokens(4);
    const uint32_t known[] = {5, 6};
    const uint32_t *each[] = {known, NULL};
    kvp_registration registration = of(HASHES(1, 2));
    registration.tokens = each;
    release(register_with(allocate(2), registration));
    KVP_EXPECT(snapshot_of(4) == 2);
    expect_told(2);
    KVP_EXPECT(told[0].has_tokens && tokens[0] == 5 && tokens[1] == 6);
    KVP_EXPECT(!told[1].has_tokens && tokens[2] == 0 && tokens[3] == 0);
    kvp_event events[4];
    uint64_t first;
    memset(tokens, 0xFF, sizeof tokens);
    KVP_EXPECT(kvp_event_ring_read(&pool.events, 0, events, tokens, 4, &first) == 2 && first == 0);
    KVP_EXPECT(events[0].has_tokens && tokens[0] == 5 && tokens[1] == 6);
    KVP_EXPECT(!events[1].has_tokens && tokens[2] == 0 && tokens[3] == 0);
    release(allocate(4)); /* evicts both */
    release(FILL(3));     /* in one of their rooms */
    KVP_EXPECT(snapshot_of(4) == 1 && !told[0].has_tokens);
    end();
}

static void against_the_stream(unsigned long long *state) {
    kvp_lease *leases[12] = {NULL};
    uint64_t registry[MAX_BLOCKS], size = 0, read = 0;
    begin_with(24, kvp_random_below(state, 2));
    for (int step = 0; step < 300; step++) {
        int at = kvp_random_below(state, 12);
        if (leases[at]) {
            release(leases[at]);
            leases[at] = NULL;
        } else {
            uint64_t hashes[3], path = (uint64_t)kvp_random_below(state, 6);
            uint32_t n = 1 + (uint32_t)kvp_random_below(state, 3);
            for (uint32_t i = 0; i < n; i++)
                hashes[i] = 100 * path + i;
            if (kvp_pool_available(&pool) >= (int32_t)n)
                leases[at] = register_with(allocate(n), of(hashes));
        }
        kvp_event events[64];
        uint64_t first, count = kvp_event_ring_read(&pool.events, read, events, NULL, 64, &first);
        KVP_EXPECT(first == read);
        read += count;
        for (uint64_t i = 0; i < count; i++) {
            uint64_t place = 0;
            while (place < size && registry[place] != events[i].hash)
                place++;
            KVP_EXPECT((place == size) == (events[i].kind == KVP_EVENT_STORED));
            if (events[i].kind == KVP_EVENT_STORED)
                registry[size++] = events[i].hash;
            else
                registry[place] = registry[--size];
        }
        KVP_EXPECT(snapshot_of(MAX_BLOCKS) == size);
        expect_told((uint32_t)size);
        for (uint64_t i = 0; i < size; i++)
            KVP_EXPECT(is_known(registry[i]));
    }
    for (int at = 0; at < 12; at++)
        if (leases[at])
            release(leases[at]);
    end();
}

KVP_TEST(a_snapshot_is_what_the_stream_says_at_every_number) {
    kvp_for_seeds(40, against_the_stream);
}

int main(void) {
    KVP_RUN(a_new_pool_has_nothing_to_tell);
    KVP_RUN(blocks_are_told_after_those_that_they_continue_whatever_their_ids);
    KVP_RUN(active_and_cached_blocks_are_told_and_nothing_when_there_is_no_room);
    KVP_RUN(a_hash_with_several_copies_is_told_once);
    KVP_RUN(tokens_are_told_where_they_are_known);
    KVP_RUN(a_snapshot_is_what_the_stream_says_at_every_number);
    return 0;
}
