/* The sampler of reuse, with the depths of a plain list of what was asked for last. */
#include "kvp/reuse_sampler.h"
#include "script.h"

#define BLOCKS   4
#define CAPACITY (KVP_REUSE_HORIZON * BLOCKS)
#define HASHES   32

static uint64_t newest[CAPACITY + 1]; /* first: what was asked for last */
static uint32_t length;

static void move_to_front(uint64_t hash) {
    uint32_t at = 0;
    while (at < length && newest[at] != hash)
        at++;
    memmove(&newest[1], newest, at * sizeof *newest);
    newest[0] = hash;
    length += at == length;
    length = length < CAPACITY ? length : CAPACITY;
}

static void compare(const kvp_reuse_sampler *sampler) {
    KVP_EXPECT_SOUND(kvp_reuse_sampler_check(sampler));
    KVP_EXPECT(sampler->count == length);
    for (uint32_t position = 1; position < sampler->next; position++) {
        uint32_t owner = sampler->owners[position];
        if (owner)
            KVP_EXPECT(newest[kvp_reuse_sampler_depth(sampler, owner - 1)] == sampler->entries[owner - 1].hash);
    }
}

static void run(void) {
    static const uint64_t secret[2] = {1, 2};
    kvp_reuse_sampler sampler;
    bool is_stored[HASHES] = {false};
    int64_t now = 0;
    KVP_EXPECT(kvp_reuse_sampler_init(&sampler, 1.0, BLOCKS, secret) == KVP_OK);
    length = 0;
    while (has_more()) {
        uint32_t what = take_byte(), hash = take_below(HASHES), n = 0, found = 0;
        uint64_t request[HASHES];
        now += what & 16 ? (int64_t)(take_size() % (uint64_t)(INT64_MAX - now)) : 0;
        if (what == 0) {
            kvp_reuse_sampler_clear(&sampler);
            length = 0;
        } else if (what % 4 == 0 && is_stored[hash]) {
            is_stored[hash] = false;
            kvp_reuse_sampler_remove(&sampler, hash, what & 8, now);
        } else if (what % 4 == 1 && !is_stored[hash]) {
            is_stored[hash] = true;
            kvp_reuse_sampler_store(&sampler, hash, now);
            length = sampler.count; /* whether it moves depends on what became of it before: taken as it is */
            for (uint32_t position = 1, left = length; position < sampler.next; position++)
                if (sampler.owners[position])
                    newest[--left] = sampler.entries[sampler.owners[position] - 1].hash;
        } else {
            for (uint32_t most = take_below(HASHES); n < most && hash + n < HASHES; n++)
                request[n] = hash + n;
            while (found < n && is_stored[request[found]])
                found++;
            kvp_reuse_sampler_request(&sampler, request, n, found, now);
            for (uint32_t i = n; i-- > 0;)
                move_to_front(request[i]);
        }
        compare(&sampler);
    }
    kvp_reuse_sampler_destroy(&sampler);
}
