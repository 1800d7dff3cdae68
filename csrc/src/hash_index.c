#include "kvp/hash_index.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define BATCH       16u /* lookups in flight: more than the lines a core can wait for gains nothing */
#define REKEY_TRIES 64

/* Bit s is set when slot s has this tag. */
static inline uint32_t slots_with_tag(const kvp_hash_chunk *chunk, uint8_t tag) {
#if defined(__SSE2__)
    __m128i tags = _mm_load_si128((const __m128i *)(const void *)chunk);
    __m128i same = _mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag));
    return (uint32_t)_mm_movemask_epi8(same) & ((1u << KVP_INDEX_CHUNK_SLOTS) - 1);
#else
    uint32_t bits = 0;
    for (uint32_t slot = 0; slot < KVP_INDEX_CHUNK_SLOTS; slot++)
        bits |= (uint32_t)(chunk->tags[slot] == tag) << slot;
    return bits;
#endif
}

static inline uint32_t next_chunk(const kvp_hash_index *self, uint32_t chunk) {
    return chunk + 1 == self->num_chunks ? 0 : chunk + 1;
}

/* Make the second secret odd, so that the product loses nothing, and dense enough to reach the high half. */
static void set_secret(kvp_hash_index *self, uint64_t first, uint64_t second) {
    self->secret[0] = first;
    self->secret[1] = second | 1 | UINT64_C(1) << 63;
}

kvp_status kvp_hash_index_init(kvp_hash_index *self, const kvp_block_table *table, const uint64_t secret[2]) {
    self->rows = table->rows;
    self->num_chunks = (uint32_t)(((int64_t)table->num_blocks + KVP_INDEX_CHUNK_LOAD - 1) / KVP_INDEX_CHUNK_LOAD);
    self->max_probes = self->num_chunks < KVP_INDEX_MAX_PROBES ? self->num_chunks : KVP_INDEX_MAX_PROBES;
    self->count = 0;
    self->rekeys = 0;
    set_secret(self, secret[0], secret[1]);
    self->chunks = kvp_memory_new(self->num_chunks, sizeof *self->chunks);
    return self->chunks ? KVP_OK : KVP_NO_MEMORY;
}

void kvp_hash_index_destroy(kvp_hash_index *self) {
    kvp_memory_free(self->chunks, self->num_chunks, sizeof *self->chunks);
    self->chunks = NULL;
}

void kvp_hash_index_clear(kvp_hash_index *self) {
    memset(self->chunks, 0, self->num_chunks * sizeof *self->chunks);
    self->count = 0;
}

kvp_status kvp_hash_index_insert_placed(kvp_hash_index *self, int32_t id, kvp_hash_place place) {
    uint32_t at = place.home;
    for (uint32_t probes = 0; probes < self->max_probes; probes++) {
        uint32_t room = slots_with_tag(&self->chunks[at], 0);
        if (KVP_LIKELY(room)) {
            uint32_t slot = (uint32_t)__builtin_ctz(room);
            self->chunks[at].tags[slot] = place.tag;
            self->chunks[at].ids[slot] = id;
            self->count++;
            return KVP_OK;
        }
        self->chunks[at].spilled++;
        at = next_chunk(self, at);
    }
    at = place.home;
    for (uint32_t probes = 0; probes < self->max_probes; probes++) {
        self->chunks[at].spilled--;
        at = next_chunk(self, at);
    }
    return KVP_FULL;
}

bool kvp_hash_index_insert_if_new(kvp_hash_index *self, int32_t id, kvp_hash_place place) {
    kvp_hash_chunk *chunk = &self->chunks[place.home];
    uint32_t room = slots_with_tag(chunk, 0);
    if (KVP_UNLIKELY(!room || chunk->spilled || slots_with_tag(chunk, place.tag)))
        return false;
    uint32_t slot = (uint32_t)__builtin_ctz(room);
    chunk->tags[slot] = place.tag;
    chunk->ids[slot] = id;
    self->count++;
    return true;
}

/* Chunk and slot of an entry that is known to be there. */
static kvp_hash_chunk *locate(const kvp_hash_index *self, int32_t id, kvp_hash_place place, uint32_t *slot) {
    uint32_t at = place.home;
    for (uint32_t probes = 0; probes < self->max_probes; probes++) {
        kvp_hash_chunk *chunk = &self->chunks[at];
        for (uint32_t bits = slots_with_tag(chunk, place.tag); bits; bits &= bits - 1) {
            *slot = (uint32_t)__builtin_ctz(bits);
            if (chunk->ids[*slot] == id)
                return chunk;
        }
        at = next_chunk(self, at);
    }
    KVP_ASSERT(false && "the block is in the index");
    return NULL;
}

void kvp_hash_index_remove(kvp_hash_index *self, int32_t id) {
    kvp_hash_place place = kvp_hash_index_place(self, self->rows[id].hash);
    uint32_t slot;
    kvp_hash_chunk *chunk = locate(self, id, place, &slot);
    if (KVP_UNLIKELY(!chunk))
        return; /* the caller's is_indexed said otherwise; kvp_hash_index_check names it */
    chunk->tags[slot] = 0;
    self->count--;
    for (uint32_t at = place.home; &self->chunks[at] != chunk; at = next_chunk(self, at))
        self->chunks[at].spilled--;
}

void kvp_hash_index_replace(kvp_hash_index *self, int32_t old, int32_t id) {
    uint32_t slot;
    kvp_hash_chunk *chunk = locate(self, old, kvp_hash_index_place(self, self->rows[old].hash), &slot);
    if (KVP_LIKELY(chunk))
        chunk->ids[slot] = id;
}

void kvp_hash_index_rekey(kvp_hash_index *self, int32_t num_blocks) {
    for (int tries = 0;; tries++) {
        uint64_t mixed = self->secret[0] * UINT64_C(0x9E3779B97F4A7C15) + self->secret[1];
        set_secret(self, mixed ^ (mixed >> 29), mixed * UINT64_C(0xBF58476D1CE4E5B9));
        if (tries == REKEY_TRIES)
            self->max_probes = self->num_chunks;
        self->rekeys++;
        kvp_hash_index_clear(self);
        int32_t id = 0;
        while (id < num_blocks && (!self->rows[id].is_indexed || kvp_hash_index_insert(self, id) == KVP_OK))
            id++;
        if (id == num_blocks)
            return;
    }
}

int32_t kvp_hash_index_find_placed(const kvp_hash_index *self, uint64_t hash, kvp_hash_place place) {
    uint32_t at = place.home;
    for (uint32_t probes = 0; probes < self->max_probes; probes++) {
        const kvp_hash_chunk *chunk = &self->chunks[at];
        for (uint32_t bits = slots_with_tag(chunk, place.tag); bits; bits &= bits - 1) {
            int32_t id = chunk->ids[__builtin_ctz(bits)];
            if (KVP_LIKELY(self->rows[id].hash == hash))
                return id;
        }
        if (KVP_LIKELY(chunk->spilled == 0))
            break;
        at = next_chunk(self, at);
    }
    return KVP_NO_BLOCK;
}

/*
 * Both lookups of many hashes go in batches of three passes, so that the cache misses of a batch overlap: ask for the
 * chunks, ask for the rows that the tags point to, then compare.
 */
static inline void ask_for_chunks(const kvp_hash_index *self, const uint64_t *hashes, uint32_t n,
                                  kvp_hash_place *places) {
    for (uint32_t i = 0; i < n; i++) {
        places[i] = kvp_hash_index_place(self, hashes[i]);
        KVP_PREFETCH(&self->chunks[places[i].home]);
    }
}

static inline void ask_for_rows(const kvp_hash_index *self, const kvp_hash_place *places, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        const kvp_hash_chunk *chunk = &self->chunks[places[i].home];
        uint32_t bits = slots_with_tag(chunk, places[i].tag);
        if (bits)
            KVP_PREFETCH(&self->rows[chunk->ids[__builtin_ctz(bits)]]);
    }
}

uint32_t kvp_hash_index_find_prefix(const kvp_hash_index *self, const uint64_t *hashes, uint32_t n, int32_t *ids) {
    kvp_hash_place places[BATCH];
    for (uint32_t done = 0; done < n; done += BATCH) {
        uint32_t batch = n - done < BATCH ? n - done : BATCH;
        ask_for_chunks(self, hashes + done, batch, places);
        ask_for_rows(self, places, batch);
        for (uint32_t i = 0; i < batch; i++) {
            int32_t id = kvp_hash_index_find_placed(self, hashes[done + i], places[i]);
            if (id == KVP_NO_BLOCK)
                return done + i;
            ids[done + i] = id;
        }
    }
    return n;
}

uint32_t kvp_hash_index_find_each(const kvp_hash_index *self, const uint64_t *hashes, uint32_t n, int32_t *ids) {
    kvp_hash_place places[BATCH];
    uint32_t found = 0;
    for (uint32_t done = 0; done < n; done += BATCH) {
        uint32_t batch = n - done < BATCH ? n - done : BATCH;
        ask_for_chunks(self, hashes + done, batch, places);
        ask_for_rows(self, places, batch);
        for (uint32_t i = 0; i < batch; i++) {
            ids[done + i] = kvp_hash_index_find_placed(self, hashes[done + i], places[i]);
            found += ids[done + i] != KVP_NO_BLOCK;
        }
    }
    return found;
}

/* How many chunks the entry of block id in chunk `at` passed on its way, or UINT32_MAX when it is out of bounds. */
static uint32_t way(const kvp_hash_index *self, int32_t id, uint32_t at) {
    uint32_t home = kvp_hash_index_place(self, self->rows[id].hash).home;
    uint32_t passed = at >= home ? at - home : at + self->num_chunks - home;
    return passed < self->max_probes ? passed : UINT32_MAX;
}

const char *kvp_hash_index_check(const kvp_hash_index *self, int32_t num_blocks) {
    int32_t entries = 0, indexed = 0;
    uint64_t passed_in_all = 0, spilled_in_all = 0;
    for (uint32_t at = 0; at < self->num_chunks; at++) {
        const kvp_hash_chunk *chunk = &self->chunks[at];
        spilled_in_all += chunk->spilled;
        for (uint32_t slot = 0; slot < KVP_INDEX_CHUNK_SLOTS; slot++) {
            if (!chunk->tags[slot])
                continue;
            entries++;
            int32_t id = chunk->ids[slot];
            KVP_REQUIRE(id >= 0 && id < num_blocks, "the index names what is not a block");
            const kvp_block *row = &self->rows[id];
            KVP_REQUIRE(row->is_indexed && kvp_block_is_registered(row), "the index names a block without identity");
            KVP_REQUIRE(kvp_hash_index_place(self, row->hash).tag == chunk->tags[slot], "a tag is not its hash's");
            uint32_t passed = way(self, id, at);
            KVP_REQUIRE(passed != UINT32_MAX, "an entry is further from home than the probe bound");
            passed_in_all += passed;
            for (uint32_t way_back = at; passed--;) {
                way_back = way_back == 0 ? self->num_chunks - 1 : way_back - 1;
                KVP_REQUIRE(self->chunks[way_back].spilled > 0, "a passed chunk does not count who passed it");
            }
            KVP_REQUIRE(kvp_hash_index_find(self, row->hash) == id, "a hash is not found under its block");
        }
    }
    for (int32_t id = 0; id < num_blocks; id++)
        indexed += self->rows[id].is_indexed;
    KVP_REQUIRE(entries == self->count, "the index miscounts its entries");
    KVP_REQUIRE(indexed == self->count, "a block that says it is in the index is not");
    KVP_REQUIRE(passed_in_all == spilled_in_all, "the chunks miscount who passed them");
    return NULL;
}
