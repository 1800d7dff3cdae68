#include "reuse_hazard.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

#define DECAY  0.992f /* of what was learned, at each refresh */
#define PRIOR  40.0f  /* observations that a class's own must outweigh, for its curve to have another shape */
#define SCALE  5.0f   /* hits that they must outweigh, for it to be higher or lower */
#define SECOND 1e-9f

kvp_status kvp_reuse_hazard_init(kvp_reuse_hazard *self, const uint64_t secret[2]) {
    memset(self, 0, sizeof *self);
    if (kvp_hash_ring_init(&self->ring, KVP_OBSERVATIONS, secret) != KVP_OK)
        return KVP_NO_MEMORY;
    self->since = kvp_memory_new_lazy(KVP_OBSERVATIONS, sizeof *self->since);
    self->cohorts = kvp_memory_new_lazy(KVP_COHORTS, sizeof *self->cohorts);
    self->classes = kvp_memory_new_lazy(KVP_HAZARD_CLASSES, sizeof *self->classes);
    if (self->since && self->cohorts && self->classes)
        return KVP_OK;
    kvp_reuse_hazard_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_reuse_hazard_destroy(kvp_reuse_hazard *self) {
    kvp_hash_ring_destroy(&self->ring);
    kvp_memory_free(self->since, KVP_OBSERVATIONS, sizeof *self->since);
    kvp_memory_free(self->cohorts, KVP_COHORTS, sizeof *self->cohorts);
    kvp_memory_free(self->classes, KVP_HAZARD_CLASSES, sizeof *self->classes);
    self->since = NULL;
    self->cohorts = NULL;
    self->classes = NULL;
}

void kvp_reuse_hazard_clear(kvp_reuse_hazard *self) {
    kvp_hash_ring_clear(&self->ring);
    memset(self->classes, 0, KVP_HAZARD_CLASSES * sizeof *self->classes);
    memset(self->cohorts, 0, KVP_COHORTS * sizeof *self->cohorts);
    memset(&self->all, 0, sizeof self->all);
    self->counted = INT64_MIN;
    self->seen_all = 0;
}

/* Nanoseconds at which an age begins. */
static int64_t start_of(uint32_t age) {
    if (age == 0)
        return 0;
    int64_t octave = (int64_t)1 << ((age - 1) / 2 + 20);
    return (age - 1) % 2 ? octave + octave / 2 : octave;
}

/* Seconds that an age lasts; the last one, which has no end, as if it had. */
static float length_of(uint32_t age) {
    return (float)(start_of(age + 1) - start_of(age)) * SECOND;
}

static kvp_cohort *cohort_of(const kvp_reuse_hazard *self, uint64_t position) {
    return &self->cohorts[position / KVP_COHORT % KVP_COHORTS];
}

/* Position of a slot that is in use. */
static uint64_t position_of(const kvp_hash_ring *ring, uint32_t slot) {
    uint32_t behind = kvp_hash_ring_oldest(ring);
    return ring->oldest + (slot >= behind ? slot - behind : slot + ring->capacity - behind);
}

/* A block of this class took up room while its age went from one to another. */
static void add_exposure(kvp_reuse_hazard *self, uint32_t class, int64_t from, int64_t to) {
    for (uint32_t age = kvp_hazard_age(from); from < to; age++) {
        int64_t end = age + 1 < KVP_HAZARD_AGES && start_of(age + 1) < to ? start_of(age + 1) : to;
        float seconds = (float)(end - from) * SECOND;
        self->classes[class].exposure[age] += seconds;
        self->all.exposure[age] += seconds;
        from = end;
    }
}

/* The observation ends; what of its exposure was not counted with its cohort is counted now. */
static void end_observation(kvp_reuse_hazard *self, uint32_t slot, int64_t now) {
    uint32_t class = self->ring.entries[slot].value;
    kvp_cohort *cohort = cohort_of(self, position_of(&self->ring, slot));
    int64_t since = self->since[slot], from = since > self->counted ? since : self->counted;
    add_exposure(self, class, from - since, now - since);
    cohort->live[class]--;
    cohort->num_live--;
}

void kvp_reuse_hazard_watch(kvp_reuse_hazard *self, uint64_t hash, uint32_t class, int64_t now) {
    KVP_ASSERT(class < KVP_HAZARD_CLASSES);
    if (kvp_hash_ring_find(&self->ring, hash) != KVP_NO_SLOT)
        return;
    if (kvp_hash_ring_is_full(&self->ring)) {
        end_observation(self, kvp_hash_ring_oldest(&self->ring), now);
        kvp_hash_ring_drop_oldest(&self->ring);
    }
    kvp_cohort *cohort = cohort_of(self, self->ring.newest);
    if (self->ring.newest % KVP_COHORT == 0 || self->ring.count == 0) {
        KVP_ASSERT(self->ring.newest % KVP_COHORT || cohort->num_live == 0);
        cohort->since = now;
    }
    cohort->since += (now - cohort->since) / (int64_t)(self->ring.newest % KVP_COHORT + 1);
    cohort->live[class]++;
    cohort->num_live++;
    uint32_t slot = kvp_hash_ring_put(&self->ring, hash, class);
    self->since[slot] = now;
    self->classes[class].is_used = true;
    self->seen_all += 1;
}

void kvp_reuse_hazard_reuse(kvp_reuse_hazard *self, uint64_t hash, int64_t now) {
    uint32_t slot = kvp_hash_ring_find(&self->ring, hash);
    if (slot == KVP_NO_SLOT)
        return;
    uint32_t age = kvp_hazard_age(now - self->since[slot]), class = self->ring.entries[slot].value;
    end_observation(self, slot, now);
    self->classes[class].hits[age] += 1;
    self->all.hits[age] += 1;
    kvp_hash_ring_remove(&self->ring, slot);
}

static void decay(kvp_hazard_class *class) {
    for (uint32_t age = 0; age < KVP_HAZARD_AGES; age++) {
        class->hits[age] *= DECAY;
        class->exposure[age] *= DECAY;
    }
}

/* Count what the observations of a cohort, all of which began before the last count, have lasted since. */
static void count_cohort(kvp_reuse_hazard *self, const kvp_cohort *cohort, int64_t now) {
    int64_t from = self->counted > cohort->since ? self->counted - cohort->since : 0, to = now - cohort->since;
    for (uint32_t age = kvp_hazard_age(from); from < to; age++) {
        int64_t end = age + 1 < KVP_HAZARD_AGES && start_of(age + 1) < to ? start_of(age + 1) : to;
        float seconds = (float)(end - from) * SECOND;
        uint32_t left = cohort->num_live;
        for (uint32_t class = 0; left > 0; class++) {
            self->classes[class].exposure[age] += seconds * (float)cohort->live[class];
            left -= cohort->live[class];
        }
        self->all.exposure[age] += seconds * (float)cohort->num_live;
        from = end;
    }
}

/* Count the exposure of all observations up to now. The youngest cohort is counted one by one: its mean says little. */
static void count_all(kvp_reuse_hazard *self, int64_t now) {
    const kvp_hash_ring *ring = &self->ring;
    uint64_t youngest = ring->newest - ring->newest % KVP_COHORT, position = ring->oldest;
    if (youngest >= KVP_COHORT)
        youngest -= KVP_COHORT; /* and the one before, of which some may be younger than the last count */
    for (; position < youngest; position += KVP_COHORT - position % KVP_COHORT)
        count_cohort(self, cohort_of(self, position), now);
    for (; position < ring->newest; position++) {
        uint32_t slot = (uint32_t)(position % ring->capacity);
        if (!ring->entries[slot].is_used)
            continue;
        int64_t since = self->since[slot], from = since > self->counted ? since : self->counted;
        add_exposure(self, ring->entries[slot].value, from - since, now - since);
    }
    self->counted = now;
}

/* Hits a second at each age: those of the class as far as it was seen; where it was not, those of all classes, made
 * higher or lower as the class's are on the whole. */
static void smooth(const kvp_reuse_hazard *self, const kvp_hazard_class *class, float hazard[KVP_HAZARD_AGES]) {
    const kvp_hazard_class *all = &self->all;
    float share = self->seen_all > PRIOR ? PRIOR / self->seen_all : 1, hits = SCALE, expected = SCALE;
    for (uint32_t age = 0; age < KVP_HAZARD_AGES; age++) {
        hits += class->hits[age];
        if (all->exposure[age] > 0)
            expected += class->exposure[age] * all->hits[age] / all->exposure[age];
    }
    for (uint32_t age = 0; age < KVP_HAZARD_AGES; age++) {
        float exposure = class->exposure[age] + share * all->exposure[age];
        float borrowed = share * all->hits[age] * hits / expected;
        hazard[age] = exposure > 0 ? (class->hits[age] + borrowed) / exposure : 0;
    }
}

/* Roughly exp(-x) for x >= 0, by what every machine computes alike. */
static float decline(float x) {
    return 1 / (1 + x * (1 + x / 2 * (1 + x / 3 * (1 + x / 4))));
}

/* For each age the best ratio of hits to room, over all horizons. */
static void work_out_worth(const float hazard[KVP_HAZARD_AGES], float shortest, float worth[KVP_HAZARD_AGES]) {
    float survival[KVP_HAZARD_AGES], room[KVP_HAZARD_AGES];
    uint32_t end = KVP_HAZARD_AGES;
    while (end > 0 && hazard[end - 1] <= 0)
        worth[--end] = 0;
    for (uint32_t age = 0; age < end; age++) {
        float seconds = length_of(age), chance = hazard[age] * seconds;
        survival[age] = decline(chance);
        room[age] = chance > 1e-4f ? (1 - survival[age]) / hazard[age] : seconds;
    }
    uint32_t first = kvp_hazard_age((int64_t)(shortest / SECOND) / 4);
    for (uint32_t start = first < end ? first : 0; start < end; start++) {
        float left = 1, held = shortest, best = 0;
        for (uint32_t age = start; age < end && left > 0.01f; age++) {
            held += left * room[age];
            left *= survival[age];
            if (1 - left > best * held)
                best = (1 - left) / held;
        }
        worth[start] = best;
    }
    /* What is young beside the shortest horizon is all the same. */
    for (uint32_t start = 0; start < first && first < end; start++)
        worth[start] = worth[first];
}

void kvp_reuse_hazard_refresh(kvp_reuse_hazard *self, int64_t shortest, int64_t now) {
    float hazard[KVP_HAZARD_AGES], seconds = (float)shortest * SECOND;
    count_all(self, now);
    for (uint32_t i = 0; i < KVP_HAZARD_CLASSES; i++) {
        kvp_hazard_class *class = &self->classes[i];
        if (!class->is_used)
            continue;
        smooth(self, class, hazard);
        work_out_worth(hazard, seconds, class->worth);
        decay(class);
    }
    smooth(self, &self->all, hazard);
    work_out_worth(hazard, seconds, self->all.worth);
    decay(&self->all);
    self->seen_all *= DECAY;
}

const char *kvp_reuse_hazard_check(const kvp_reuse_hazard *self) {
    const char *broken = kvp_hash_ring_check(&self->ring);
    uint64_t position = self->ring.oldest;
    while (!broken && position < self->ring.newest) {
        const kvp_cohort *cohort = cohort_of(self, position);
        uint32_t num_live = 0;
        uint16_t live[KVP_HAZARD_CLASSES] = {0};
        do {
            const kvp_hash_ring_entry *entry = &self->ring.entries[position % self->ring.capacity];
            KVP_REQUIRE(!entry->is_used || entry->value < KVP_HAZARD_CLASSES, "an observation is of no class");
            num_live += entry->is_used;
            if (entry->is_used)
                live[entry->value]++;
        } while (++position % KVP_COHORT && position < self->ring.newest);
        KVP_REQUIRE(num_live == cohort->num_live && memcmp(live, cohort->live, sizeof live) == 0,
                    "a cohort miscounts its observations");
    }
    for (uint32_t i = 0; i < KVP_HAZARD_CLASSES; i++)
        for (uint32_t age = 0; age < KVP_HAZARD_AGES; age++)
            KVP_REQUIRE(self->classes[i].hits[age] >= 0 && self->classes[i].exposure[age] >= 0,
                        "a class was seen less than never");
    return broken;
}
