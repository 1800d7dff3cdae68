/*
 * Reuse-hazard lists. A block's class says how often it was asked for, remembered after eviction in a ring of ghosts;
 * of one that nobody asked for yet, how long the request was that made it and how often the blocks before it were
 * asked for; and what its callers hinted. Blocks of one class that come back together form a segment; each class is a
 * list of segments, oldest to newest. The segment that is worth least, as reuse_hazard.h has learned, goes first, its
 * last block first. Worth rises and falls with age, so the candidates are both ends of each list.
 *
 * What was chosen on the conversation trace, and on generated ones: the numbers in the defines below and in
 * reuse_hazard.c.
 */
#include "kvp/check.h"
#include "kvp/lru_list.h"
#include "kvp/memory.h"
#include "policies.h"
#include "reuse_hazard.h"

#include <string.h>

#define NUM_ORIGINS   4u /* of a new block: nothing before it; asked for once; up to 6 times; more often */
#define NUM_LENGTHS   3u /* of a request: thirds */
#define NUM_NEW       (NUM_ORIGINS * NUM_LENGTHS)
#define NUM_KINDS     (NUM_NEW + 5u) /* and asked for once, twice, 3 to 6, 7 to 14 times, more often */
#define NUM_CLASSES   (NUM_KINDS * KVP_NUM_HINTS)
#define NUM_WORDS     2u /* of 64 classes */
#define LENGTH_BINS   34u
#define NO_SEGMENT    (-1)
#define IN_FRONT      (-2)  /* segment of a block that goes before all others */
#define SAMPLES       4u    /* blocks of a release that are watched */
#define REFRESH_AFTER 96u   /* releases */
#define SPAN          3     /* observations go back so many times as far as the oldest block */
#define SHORTEST      8     /* the shortest horizon is the age of the oldest block by this */
#define NEAR_ENOUGH   1.2f  /* the oldest segment goes when its worth is at most this many times the lowest */
#define WATCHED       0x80u /* in a count */
#define COUNT         0x7Fu
#define MAX_DEPTH     0xFFFFu

_Static_assert(NUM_CLASSES <= KVP_HAZARD_CLASSES && NUM_CLASSES <= 64 * NUM_WORDS, "every class is learned");

typedef struct segment {
    int64_t time;         /* of the release */
    int32_t first, last;  /* blocks; the first goes first */
    int32_t older, newer; /* segments of the class; newer is the next free one when this one is */
    int32_t count;        /* blocks */
    uint32_t class;
} segment;

typedef struct class_list {
    int32_t oldest, newest; /* segments */
    uint32_t batch;         /* release that the newest is of */
} class_list;

typedef struct adaptive {
    kvp_policy base;
    kvp_hash_ring ghosts; /* value: count */
    kvp_reuse_hazard hazard;
    segment *segments;   /* owned; one for each block at most */
    int32_t *segment_of; /* owned; by block: NO_SEGMENT, IN_FRONT or a segment */
    uint16_t *depths;    /* owned; by block: blocks before it in its sequence, at most MAX_DEPTH */
    uint8_t *counts;     /* owned; by block: times it was asked for, at most COUNT; WATCHED */
    uint8_t *origins;    /* owned; by block */
    class_list classes[NUM_CLASSES];
    uint64_t occupied[NUM_WORDS]; /* classes that have a segment */
    int32_t free_segment;         /* first of those that were used */
    int32_t num_segments;         /* ever used */
    int32_t victim;               /* the segment that goes now, or NO_SEGMENT */
    int64_t chosen_at;
    uint32_t batch;               /* releases */
    uint32_t num_added;           /* blocks of this release */
    uint32_t length;              /* class of this release's length */
    int32_t samples[2 * SAMPLES]; /* of this release, evenly spaced */
    uint32_t num_samples, next_sample, stride;
    uint32_t one_in;                /* so many releases one is watched; a power of two */
    int64_t refreshed_at;           /* nanoseconds */
    float lengths[LENGTH_BINS];     /* releases of each length, of late */
    uint8_t length_of[LENGTH_BINS]; /* class of each */
    uint64_t dice;                  /* state of a generator with one fixed history */
} adaptive;

static uint32_t throw_dice(adaptive *self, uint32_t sides) {
    self->dice ^= self->dice << 13;
    self->dice ^= self->dice >> 7;
    self->dice ^= self->dice << 17;
    return (uint32_t)(((self->dice >> 32) * sides) >> 32);
}

static uint32_t frequency_of(uint32_t count) {
    return count < 3 ? count : count < 7 ? 3 : count < 15 ? 4 : 5;
}

static uint32_t class_of(const adaptive *self, int32_t id) {
    uint32_t frequency = frequency_of(self->counts[id] & COUNT);
    uint32_t kind = frequency > 0 ? NUM_NEW - 1 + frequency : self->origins[id] * NUM_LENGTHS + self->length;
    return kind * KVP_NUM_HINTS + self->base.hint;
}

/* A release begins with the last block of its request: its depth is the request's length. */
static void begin_release(adaptive *self, int32_t last) {
    uint32_t bin = kvp_half_octave(self->depths[last] + 1u);
    self->lengths[bin] += 1;
    self->length = self->length_of[bin];
}

/* Divide the lengths anew, as many releases to each class; older releases count for less. */
static void divide_lengths(adaptive *self) {
    float all = 0, below = 0;
    for (uint32_t bin = 0; bin < LENGTH_BINS; bin++)
        all += self->lengths[bin] *= 0.99f;
    for (uint32_t bin = 0; bin < LENGTH_BINS; bin++) {
        float middle = below + self->lengths[bin] / 2;
        uint32_t part = all > 0 ? (uint32_t)(NUM_LENGTHS * middle / all) : 0;
        self->length_of[bin] = (uint8_t)(part < NUM_LENGTHS ? part : NUM_LENGTHS - 1);
        below += self->lengths[bin];
    }
}

static void open_segment(adaptive *self, uint32_t class) {
    class_list *list = &self->classes[class];
    int32_t at = self->free_segment;
    if (at != NO_SEGMENT)
        self->free_segment = self->segments[at].newer;
    else
        at = self->num_segments++;
    self->segments[at] = (segment){.time = self->base.now,
                                   .first = KVP_NO_BLOCK,
                                   .last = KVP_NO_BLOCK,
                                   .older = list->newest,
                                   .newer = NO_SEGMENT,
                                   .class = class};
    if (list->newest != NO_SEGMENT)
        self->segments[list->newest].newer = at;
    else
        list->oldest = at;
    list->newest = at;
    list->batch = self->batch;
    self->occupied[class / 64] |= UINT64_C(1) << class % 64;
}

static void close_segment(adaptive *self, int32_t at) {
    const segment *closed = &self->segments[at];
    class_list *list = &self->classes[closed->class];
    if (closed->older != NO_SEGMENT)
        self->segments[closed->older].newer = closed->newer;
    else
        list->oldest = closed->newer;
    if (closed->newer != NO_SEGMENT)
        self->segments[closed->newer].older = closed->older;
    else
        list->newest = closed->older;
    if (list->newest == closed->older)
        list->batch = self->batch - 1; /* what is the newest now is of an earlier release */
    if (list->newest == NO_SEGMENT)
        self->occupied[closed->class / 64] &= ~(UINT64_C(1) << closed->class % 64);
    self->segments[at].newer = self->free_segment;
    self->segments[at].count = 0;
    self->free_segment = at;
    if (self->victim == at)
        self->victim = NO_SEGMENT;
}

/* Nothing of the next release is sampled yet. */
static void start_samples(adaptive *self) {
    self->num_added = self->num_samples = self->next_sample = 0;
    self->stride = 1;
}

/* Take the block as a sample; when there are twice as many as wanted, every other one goes, and the rest comes half
 * as dense. */
static void take_sample(adaptive *self, int32_t id) {
    self->samples[self->num_samples++] = id;
    if (self->num_samples == 2 * SAMPLES) {
        self->num_samples = SAMPLES;
        uint32_t odd = throw_dice(self, 2);
        for (uint32_t i = 0; i < SAMPLES; i++)
            self->samples[i] = self->samples[2 * i + odd];
        self->stride *= 2;
    }
    self->next_sample += self->stride;
}

static void add(kvp_policy *base, int32_t id) {
    adaptive *self = (adaptive *)base;
    if (self->num_added == 0)
        begin_release(self, id);
    uint32_t class = class_of(self, id);
    class_list *list = &self->classes[class];
    if (list->newest == NO_SEGMENT || list->batch != self->batch)
        open_segment(self, class);
    segment *to = &self->segments[list->newest];
    base->rows[id].prev = to->last;
    base->rows[id].next = KVP_NO_BLOCK;
    if (to->count++)
        base->rows[to->last].next = id;
    else
        to->first = id;
    to->last = id;
    self->segment_of[id] = list->newest;
    if (self->num_added++ == self->next_sample)
        take_sample(self, id);
}

static void take_out(adaptive *self, int32_t id) {
    kvp_block *rows = self->base.rows;
    int32_t before = rows[id].prev, after = rows[id].next, at = self->segment_of[id];
    self->segment_of[id] = NO_SEGMENT;
    if (at == IN_FRONT) {
        kvp_lru_list_close(rows, before, after);
        return;
    }
    segment *from = &self->segments[at];
    if (before != KVP_NO_BLOCK)
        rows[before].next = after;
    else
        from->first = after;
    if (after != KVP_NO_BLOCK)
        rows[after].prev = before;
    else
        from->last = before;
    if (--from->count == 0)
        close_segment(self, at);
}

static void take_back(kvp_policy *base, int32_t id) {
    take_out((adaptive *)base, id);
}

static void add_next(kvp_policy *base, int32_t id) {
    kvp_lru_list_push_oldest(base->rows, base->first_end, id);
    ((adaptive *)base)->segment_of[id] = IN_FRONT;
}

static void hit(kvp_policy *base, int32_t id) {
    adaptive *self = (adaptive *)base;
    if (self->counts[id] & WATCHED)
        kvp_reuse_hazard_reuse(&self->hazard, base->rows[id].hash, base->now);
    uint32_t count = self->counts[id] & COUNT;
    self->counts[id] = (uint8_t)(count < COUNT ? count + 1 : COUNT);
}

/* What is to be known of a block from its place in the sequence. */
static void place(adaptive *self, int32_t id) {
    int32_t parent = kvp_block_parent(&self->base.rows[id]);
    self->depths[id] = 0;
    self->origins[id] = 0;
    if (parent == KVP_NO_BLOCK)
        return;
    uint32_t frequency = frequency_of(self->counts[parent] & COUNT), depth = self->depths[parent];
    self->depths[id] = (uint16_t)(depth < MAX_DEPTH ? depth + 1 : MAX_DEPTH);
    self->origins[id] = (uint8_t)(frequency == 0 ? self->origins[parent] : frequency == 1 ? 1 : frequency <= 3 ? 2 : 3);
}

static void admit(kvp_policy *base, int32_t id) {
    adaptive *self = (adaptive *)base;
    uint64_t hash = base->rows[id].hash;
    uint32_t ghost = kvp_hash_ring_find(&self->ghosts, hash);
    self->counts[id] = 0;
    place(self, id);
    kvp_reuse_hazard_reuse(&self->hazard, hash, base->now);
    if (ghost == KVP_NO_SLOT)
        return;
    uint32_t count = self->ghosts.entries[ghost].value;
    self->counts[id] = (uint8_t)(count < COUNT ? count + 1 : COUNT);
    kvp_hash_ring_remove(&self->ghosts, ghost);
}

static void leave(kvp_policy *base, int32_t id, bool is_evicted) {
    adaptive *self = (adaptive *)base;
    uint64_t hash = base->rows[id].hash;
    uint32_t count = self->counts[id] & COUNT;
    self->counts[id] = 0;
    self->depths[id] = 0; /* or a later block in its place, of another level, would pass them on to what continues it */
    self->origins[id] = 0;
    if (!is_evicted)
        return;
    if (kvp_hash_ring_is_full(&self->ghosts))
        kvp_hash_ring_drop_oldest(&self->ghosts);
    (void)kvp_hash_ring_put(&self->ghosts, hash, count);
}

/* Call the body for each class that has a segment. */
#define EACH_CLASS(self, list)                                                                                         \
    for (uint32_t word = 0; word < NUM_WORDS; word++)                                                                  \
        for (uint64_t left = (self)->occupied[word]; left; left &= left - 1)                                           \
            for (const class_list *list = &(self)->classes[64 * word + (uint32_t)__builtin_ctzll(left)]; list;         \
                 list = NULL)

/* Nanoseconds since the oldest block came back. */
static int64_t oldest_age(const adaptive *self) {
    int64_t oldest = self->base.now;
    EACH_CLASS(self, list)
    if (self->segments[list->oldest].time < oldest)
        oldest = self->segments[list->oldest].time;
    return self->base.now - oldest;
}

/* Learn from what was observed, and watch so few releases that the ring of observations goes back far enough. */
static void refresh(adaptive *self) {
    int64_t now = self->base.now, oldest = oldest_age(self);
    kvp_reuse_hazard_refresh(&self->hazard, oldest / SHORTEST, now);
    divide_lengths(self);
    double span = (double)KVP_OBSERVATIONS / SAMPLES * (double)(now - self->refreshed_at) / REFRESH_AFTER;
    self->refreshed_at = now;
    self->one_in = 1;
    for (; self->one_in < 64 && span < SPAN * (double)oldest; span *= 2)
        self->one_in *= 2;
}

static void released(kvp_policy *base) {
    adaptive *self = (adaptive *)base;
    if (self->num_added == 0)
        return;
    bool is_watched = self->one_in == 1 || throw_dice(self, self->one_in) == 0;
    while (self->num_samples > SAMPLES) {
        uint32_t out = throw_dice(self, self->num_samples--);
        self->samples[out] = self->samples[self->num_samples];
    }
    for (uint32_t i = 0; i < self->num_samples && is_watched; i++) {
        int32_t id = self->samples[i];
        if (self->segment_of[id] < 0) /* held again since */
            continue;
        uint32_t class = self->segments[self->segment_of[id]].class;
        kvp_reuse_hazard_watch(&self->hazard, base->rows[id].hash, class, base->now);
        self->counts[id] |= WATCHED;
    }
    start_samples(self);
    self->victim = NO_SEGMENT;
    if (++self->batch % REFRESH_AFTER == 0)
        refresh(self);
}

static float worth_of(const adaptive *self, int32_t at) {
    const segment *of = &self->segments[at];
    return kvp_reuse_hazard_worth(&self->hazard, of->class, self->base.now - of->time);
}

static int32_t choose_victim(const adaptive *self) {
    int32_t lowest = NO_SEGMENT, oldest = NO_SEGMENT;
    float least = 0, of_oldest = 0;
    EACH_CLASS(self, list) {
        float worth = worth_of(self, list->oldest);
        if (oldest == NO_SEGMENT || self->segments[list->oldest].time < self->segments[oldest].time) {
            oldest = list->oldest;
            of_oldest = worth;
        }
        if (lowest == NO_SEGMENT || worth < least) {
            lowest = list->oldest;
            least = worth;
        }
        worth = worth_of(self, list->newest);
        if (worth < least) {
            lowest = list->newest;
            least = worth;
        }
    }
    return of_oldest <= NEAR_ENOUGH * least ? oldest : lowest;
}

static int32_t next(kvp_policy *base) {
    adaptive *self = (adaptive *)base;
    int32_t id = base->rows[base->first_end].next;
    if (id == base->first_end) {
        if (self->victim == NO_SEGMENT || self->chosen_at != base->now) {
            self->victim = choose_victim(self);
            self->chosen_at = base->now;
        }
        id = self->segments[self->victim].first;
    }
    take_out(self, id);
    return id;
}

static void clear(kvp_policy *base) {
    adaptive *self = (adaptive *)base;
    kvp_lru_list_init(base->rows, base->first_end);
    kvp_hash_ring_clear(&self->ghosts);
    kvp_reuse_hazard_clear(&self->hazard);
    memset(self->counts, 0, (size_t)base->num_blocks);
    memset(self->depths, 0, (size_t)base->num_blocks * sizeof *self->depths);
    memset(self->origins, 0, (size_t)base->num_blocks);
    for (int32_t id = 0; id < base->num_blocks; id++)
        self->segment_of[id] = NO_SEGMENT;
    for (uint32_t i = 0; i < NUM_CLASSES; i++)
        self->classes[i] = (class_list){.oldest = NO_SEGMENT, .newest = NO_SEGMENT};
    self->free_segment = self->victim = NO_SEGMENT;
    self->num_segments = 0;
    start_samples(self);
    self->batch = 1;
    self->one_in = 1;
    self->refreshed_at = base->now;
    self->length = 0;
    memset(self->occupied, 0, sizeof self->occupied);
    memset(self->lengths, 0, sizeof self->lengths);
    memset(self->length_of, 0, sizeof self->length_of);
    self->dice = UINT64_C(0x9E3779B97F4A7C15);
}

static void destroy(kvp_policy *base) {
    adaptive *self = (adaptive *)base;
    size_t n = (size_t)base->num_blocks;
    kvp_memory_free(self->segments, n, sizeof *self->segments);
    kvp_memory_free(self->segment_of, n, sizeof *self->segment_of);
    kvp_memory_free(self->depths, n, sizeof *self->depths);
    kvp_memory_free(self->counts, n, sizeof *self->counts);
    kvp_memory_free(self->origins, n, sizeof *self->origins);
    kvp_reuse_hazard_destroy(&self->hazard);
    kvp_hash_ring_destroy(&self->ghosts);
    kvp_policy_deallocate(base, sizeof(adaptive));
}

static const char *check_segment(const adaptive *self, int32_t at) {
    const segment *of = &self->segments[at];
    const kvp_block *rows = self->base.rows;
    int32_t count = 0, before = KVP_NO_BLOCK;
    for (int32_t id = of->first; id != KVP_NO_BLOCK; id = rows[id].next) {
        KVP_REQUIRE(id >= 0 && id < self->base.num_blocks, "a segment names what is not a block");
        KVP_REQUIRE(kvp_block_is_registered(&rows[id]) && rows[id].refs == 0, "a block of a segment is not cached");
        KVP_REQUIRE(self->segment_of[id] == at, "a block is in another segment than it says");
        KVP_REQUIRE(rows[id].prev == before, "a segment is linked one way only");
        KVP_REQUIRE(++count <= of->count, "a segment is longer than it says");
        before = id;
    }
    KVP_REQUIRE(count == of->count && count > 0 && of->last == before, "a segment is shorter than it says");
    return NULL;
}

static const char *check(const kvp_policy *base, int32_t *count) {
    const adaptive *self = (const adaptive *)base;
    int32_t in_front, in_segments = 0, segments = 0, end = base->first_end;
    const char *broken = kvp_lru_list_check(base->rows, end + KVP_POLICY_LISTS, end, &in_front);
    for (int32_t id = base->rows[end].next; !broken && id != end; id = base->rows[id].next)
        KVP_REQUIRE(id < base->num_blocks && self->segment_of[id] == IN_FRONT && base->rows[id].refs == 0,
                    "a block that goes first is not known to");
    for (uint32_t i = 0; i < NUM_CLASSES; i++) {
        int32_t older = NO_SEGMENT;
        int64_t time = INT64_MIN;
        for (int32_t at = self->classes[i].oldest; !broken && at != NO_SEGMENT; at = self->segments[at].newer) {
            KVP_REQUIRE(at >= 0 && at < self->num_segments && ++segments <= self->num_segments,
                        "a class's list of segments does not end");
            KVP_REQUIRE(self->segments[at].class == i && self->segments[at].older == older,
                        "a segment is in the list of another class");
            KVP_REQUIRE(self->segments[at].time >= time, "the segments of a class are not in the order of time");
            broken = check_segment(self, at);
            in_segments += self->segments[at].count;
            time = self->segments[at].time;
            older = at;
        }
        KVP_REQUIRE(broken || self->classes[i].newest == older, "a class's newest segment is not its last");
        KVP_REQUIRE(broken || (self->occupied[i / 64] >> i % 64 & 1) == (older != NO_SEGMENT),
                    "an empty class has a segment");
    }
    for (int32_t at = self->free_segment; !broken && at != NO_SEGMENT; at = self->segments[at].newer)
        KVP_REQUIRE(++segments <= self->num_segments && self->segments[at].count == 0, "a free segment is in use");
    KVP_REQUIRE(broken || segments == self->num_segments, "a segment is lost");
    *count = in_front + in_segments;
    if (!broken)
        broken = kvp_hash_ring_check(&self->ghosts);
    return broken ? broken : kvp_reuse_hazard_check(&self->hazard);
}

kvp_policy *kvp_adaptive_new(const kvp_policy_config *config, kvp_block_table *table, int32_t first_end) {
    kvp_policy_methods methods = {.admit = admit,
                                  .hit = hit,
                                  .add = add,
                                  .remove = take_back,
                                  .next = next,
                                  .add_next = add_next,
                                  .released = released,
                                  .leave = leave,
                                  .clear = clear,
                                  .destroy = destroy,
                                  .check = check};
    size_t n = (size_t)table->num_blocks;
    adaptive *self = (adaptive *)kvp_policy_allocate(sizeof(adaptive), &methods, table, first_end);
    if (!self)
        return NULL;
    uint64_t ghosts = (uint64_t)n * config->ghost_factor;
    self->segments = kvp_memory_new_lazy(n, sizeof *self->segments);
    self->segment_of = kvp_memory_new(n, sizeof *self->segment_of);
    self->depths = kvp_memory_new(n, sizeof *self->depths);
    self->counts = kvp_memory_new(n, sizeof *self->counts);
    self->origins = kvp_memory_new(n, sizeof *self->origins);
    bool has_all = self->segments && self->segment_of && self->depths && self->counts && self->origins;
    has_all =
        kvp_hash_ring_init(&self->ghosts, ghosts < 1u << 31 ? (uint32_t)ghosts : 1u << 31, config->secret) == KVP_OK &&
        has_all;
    has_all = kvp_reuse_hazard_init(&self->hazard, config->secret) == KVP_OK && has_all;
    if (!has_all) {
        destroy(&self->base);
        return NULL;
    }
    clear(&self->base);
    return &self->base;
}
