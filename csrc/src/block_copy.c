#include "kvp/block_copy.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <pthread.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MAX_THREADS 64

/* Batches from here on would push everything else out of the caches: they are written past them. */
#define PAST_CACHES ((uint64_t)32 << 20)

static uint64_t find_outside(const kvp_block_list *list, uint64_t count) {
    uint64_t num_blocks = list->memory->layout.config.num_blocks;
    if (!list->ids)
        return count <= num_blocks ? count : num_blocks;
    uint64_t at = 0;
    while (at < count && list->ids[at] >= 0 && (uint64_t)list->ids[at] < num_blocks)
        at++;
    return at;
}

static bool is_set(const uint8_t *bits, uint64_t i) {
    return bits[i / 8] >> (i % 8) & 1;
}

/* The ids of `to` differ from each other, and if is_same from those of `from`. */
static kvp_status find_repeated(const kvp_block_copy *self, bool is_same, uint64_t *at, bool *is_to) {
    int32_t low = INT32_MAX, high = 0;
    for (uint64_t i = 0; i < self->count; i++) {
        int32_t id = kvp_block_list_id(&self->to, i);
        low = id < low ? id : low;
        high = id > high ? id : high;
    }
    uint64_t bytes = ((uint64_t)high - (uint64_t)low) / 8 + 1;
    uint8_t *bits = kvp_memory_new_raw(bytes);
    if (!bits)
        return KVP_NO_MEMORY;
    memset(bits, 0, bytes);
    kvp_status status = KVP_OK;
    for (uint64_t i = 0; i < self->count && status == KVP_OK; i++) {
        uint64_t place = (uint64_t)(kvp_block_list_id(&self->to, i) - low);
        *at = i;
        *is_to = true;
        if (is_set(bits, place))
            status = KVP_OVERLAP;
        bits[place / 8] |= (uint8_t)(1u << (place % 8));
    }
    for (uint64_t i = 0; is_same && i < self->count && status == KVP_OK; i++) {
        int32_t id = kvp_block_list_id(&self->from, i);
        *at = i;
        *is_to = false;
        if (id >= low && id <= high && is_set(bits, (uint64_t)(id - low)))
            status = KVP_OVERLAP;
    }
    kvp_memory_free_raw(bits);
    return status;
}

kvp_status kvp_block_copy_prepare(const kvp_block_copy *self, uint64_t *at, bool *is_to) {
    *is_to = false;
    *at = find_outside(&self->from, self->count);
    if (*at < self->count)
        return KVP_NO_SUCH;
    *is_to = true;
    *at = find_outside(&self->to, self->count);
    if (*at < self->count)
        return KVP_NO_SUCH;
    if (!self->count)
        return KVP_OK;
    bool is_same = kvp_block_memory_is_same(self->from.memory, self->to.memory);
    *at = 0;
    if (!is_same && kvp_block_memory_overlaps(self->from.memory, self->to.memory))
        return KVP_OVERLAP;
    return find_repeated(self, is_same, at, is_to);
}

/* What is the same for all runs of a copy. A block consists of `num_units` units, each of which lies together on both
 * sides; where a unit of a block and that of the next lie together, too, they are joined. */
typedef struct plan {
    const kvp_block_copy *copy;
    uint64_t span; /* regions of a unit */
    uint64_t unit_bytes;
    uint64_t num_units;
    bool is_joining;
} plan;

static plan plan_of(const kvp_block_copy *copy) {
    const kvp_layout *from = &copy->from.memory->layout, *to = &copy->to.memory->layout;
    uint64_t one = kvp_layout_span(from), two = kvp_layout_span(to), span = one < two ? one : two;
    uint64_t bytes = span * from->region_bytes;
    return (plan){copy, span, bytes, from->config.num_layers * from->config.outer_dim / span,
                  from->block_stride == bytes && to->block_stride == bytes};
}

/* The run that begins with item *item, of which each unit has one for each block, ending before item `end`. */
static kvp_run next_run(const plan *self, uint64_t *item, uint64_t end) {
    const kvp_block_copy *copy = self->copy;
    uint64_t unit = *item / copy->count, i = *item % copy->count, n = 1;
    int32_t from = kvp_block_list_id(&copy->from, i), to = kvp_block_list_id(&copy->to, i);
    if (self->is_joining) {
        uint64_t most = end - *item < copy->count - i ? end - *item : copy->count - i;
        while (n < most && kvp_block_list_id(&copy->from, i + n) == from + (int64_t)n &&
               kvp_block_list_id(&copy->to, i + n) == to + (int64_t)n)
            n++;
    }
    *item += n;
    return (kvp_run){kvp_block_memory_region(copy->from.memory, (uint64_t)from, unit * self->span),
                     kvp_block_memory_region(copy->to.memory, (uint64_t)to, unit * self->span), n * self->unit_bytes};
}

#ifdef __SSE2__
enum { LINE = 64, PAGE = 4096, NUM_PAGES = 4, AHEAD = 512 };

static inline void stream_line(char *to, const char *from) {
    __m128i part[LINE / 16];
    for (int i = 0; i < LINE / 16; i++)
        part[i] = _mm_loadu_si128((const __m128i *)(const void *)(from + 16 * i));
    for (int i = 0; i < LINE / 16; i++)
        _mm_stream_si128((__m128i *)(void *)(to + 16 * i), part[i]);
}

/* Written without being read into the caches first, which saves a third of the traffic. Four pages side by side, as the C
 * library does it for single copies of many megabytes: a run here is seldom that long. */
static void copy_past_caches(char *to, const char *from, uint64_t bytes) {
    uint64_t head = (LINE - (uintptr_t)to % LINE) % LINE;
    if (bytes < head + LINE) {
        memcpy(to, from, bytes);
        return;
    }
    memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    for (; bytes >= NUM_PAGES * PAGE; to += NUM_PAGES * PAGE, from += NUM_PAGES * PAGE, bytes -= NUM_PAGES * PAGE)
        for (uint64_t at = 0; at < PAGE; at += LINE) {
            for (uint64_t page = 0; page < NUM_PAGES; page++)
                _mm_prefetch(from + page * PAGE + at + AHEAD, _MM_HINT_T0);
            for (uint64_t page = 0; page < NUM_PAGES; page++)
                stream_line(to + page * PAGE + at, from + page * PAGE + at);
        }
    for (; bytes >= LINE; to += LINE, from += LINE, bytes -= LINE)
        stream_line(to, from);
    memcpy(to, from, bytes);
}

static void finish_stream(void) {
    _mm_sfence(); /* or another thread could see the copy as done before it sees the bytes */
}
#else
static void copy_past_caches(char *to, const char *from, uint64_t bytes) {
    memcpy(to, from, bytes);
}

static void finish_stream(void) {}
#endif

static void copy_items(const plan *self, uint64_t item, uint64_t end) {
    bool is_large = self->num_units * self->copy->count * self->unit_bytes >= PAST_CACHES;
    while (item < end) {
        kvp_run run = next_run(self, &item, end);
        if (is_large)
            copy_past_caches(run.to, run.from, run.bytes);
        else
            memcpy(run.to, run.from, run.bytes);
    }
    finish_stream();
}

typedef struct share {
    pthread_t thread;
    const plan *whole; /* borrowed */
    uint64_t first, end;
} share;

static void *copy_share(void *argument) {
    const share *self = argument;
    copy_items(self->whole, self->first, self->end);
    return NULL;
}

void kvp_block_copy_run(const kvp_block_copy *self, unsigned num_threads) {
    if (!self->count)
        return;
    KVP_ASSERT(kvp_block_copy_check(self) == NULL);
    plan whole = plan_of(self);
    uint64_t num_items = whole.num_units * self->count;
    share shares[MAX_THREADS];
    uint64_t n = num_threads < MAX_THREADS ? num_threads : MAX_THREADS;
    n = n < num_items ? n : num_items;
    uint64_t begun = 1;
    for (uint64_t first = num_items / (n ? n : 1), s = 1; s < n; s++, begun++) {
        uint64_t end = s + 1 < n ? first + num_items / n : num_items;
        shares[s] = (share){.whole = &whole, .first = first, .end = end};
        if (pthread_create(&shares[s].thread, NULL, copy_share, &shares[s]) != 0)
            break;
        first = end;
    }
    copy_items(&whole, 0, n > 1 ? num_items / n : num_items);
    if (begun < n)
        copy_items(&whole, begun * (num_items / n), num_items);
    for (uint64_t s = 1; s < begun; s++)
        pthread_join(shares[s].thread, NULL);
}

uint64_t kvp_block_copy_runs(const kvp_block_copy *self, kvp_run *runs, uint64_t capacity) {
    if (!self->count)
        return 0;
    plan whole = plan_of(self);
    uint64_t count = 0, item = 0, end = whole.num_units * self->count;
    for (; item < end; count++) {
        kvp_run run = next_run(&whole, &item, end);
        if (count < capacity)
            runs[count] = run;
    }
    return count;
}

const char *kvp_block_copy_check(const kvp_block_copy *self) {
    const kvp_layout *from = &self->from.memory->layout, *to = &self->to.memory->layout;
    KVP_REQUIRE(from->config.num_layers == to->config.num_layers && from->config.outer_dim == to->config.outer_dim &&
                    from->region_bytes == to->region_bytes,
                "the blocks of the two sides are not of the same sizes");
    KVP_REQUIRE(find_outside(&self->from, self->count) == self->count, "an id is not one of the source's");
    KVP_REQUIRE(find_outside(&self->to, self->count) == self->count, "an id is not one of the destination's");
    return NULL;
}
