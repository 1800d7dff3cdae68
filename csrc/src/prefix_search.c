#include "kvp/prefix_search.h"

#define LANES     16u /* stretches that are walked at a time: as many cache misses as a core waits for at once */
#define WALK_FROM 32u /* hashes; for fewer, looking each one up is as good */
#define MAX_FOUND 128 /* LANES anchors for each of the rounds that 2^32 positions take */

/* A position of the prompt whose block was looked up. */
typedef struct anchor {
    uint32_t position;
    int32_t id;
} anchor;

static inline uint32_t advance(uint32_t low, uint32_t high, uint32_t step) {
    return high - low < step ? high : low + step;
}

/* Look evenly spaced positions up, and again between the last that is registered and the first that is not. Returns the
 * number of anchors; *end is the first missing position. */
static uint32_t find_anchors(const kvp_hash_index *index, const uint64_t *hashes, uint32_t n, anchor anchors[MAX_FOUND],
                             uint32_t *end) {
    uint32_t low = 0, high = n, found = 0;
    while (low < high) {
        uint64_t probes[LANES];
        int32_t ids[LANES];
        /* Odd, or lanes at a power of two of each other would fight for the same lines of the cache. */
        uint32_t step = ((high - low + LANES - 1) / LANES) | 1, count = 0;
        for (uint32_t at = low; at < high;) {
            at = advance(at, high, step);
            probes[count++] = hashes[at - 1];
        }
        uint32_t present = kvp_hash_index_find_prefix(index, probes, count, ids);
        for (uint32_t i = 0; i < present; i++) {
            low = advance(low, high, step);
            anchors[found++] = (anchor){low - 1, ids[i]};
        }
        if (present < count)
            high = advance(low, high, step) - 1;
    }
    *end = high;
    return found;
}

/* Write the blocks of the stretches that end in these anchors, `below` being the first position of the first stretch.
 * False where the lineage is not that of the prompt. */
static bool walk(const kvp_block *rows, const uint64_t *hashes, const anchor *anchors, uint32_t count, uint32_t below,
                 int32_t *ids) {
    int32_t at[LANES];
    uint32_t length[LANES], longest = 0;
    for (uint32_t lane = 0; lane < count; lane++) {
        at[lane] = anchors[lane].id;
        length[lane] = anchors[lane].position + 1 - (lane ? anchors[lane - 1].position + 1 : below);
        longest = length[lane] > longest ? length[lane] : longest;
    }
    for (uint32_t step = 0; step < longest; step++) {
        for (uint32_t lane = 0; lane < count; lane++) {
            if (step >= length[lane])
                continue;
            uint32_t position = anchors[lane].position - step;
            if (KVP_UNLIKELY(at[lane] < 0 || rows[at[lane]].hash != hashes[position]))
                return false;
            ids[position] = at[lane];
            at[lane] = rows[at[lane]].lineage - KVP_PARENT_BASE;
        }
    }
    for (uint32_t lane = 0; lane < count; lane++) {
        uint32_t first = lane ? anchors[lane - 1].position + 1 : below;
        if (first > 0 && at[lane] != ids[first - 1])
            return false;
    }
    return true;
}

/* Whether the lineage proves the prefix; if so, it is in ids and *found long. */
static bool search_lineage(const kvp_hash_index *index, const uint64_t *hashes, uint32_t n, int32_t *ids,
                           uint32_t *found) {
    anchor anchors[MAX_FOUND];
    uint32_t count = find_anchors(index, hashes, n, anchors, found), below = 0;
    for (uint32_t done = 0; done < count; done += LANES) {
        uint32_t lanes = count - done < LANES ? count - done : LANES;
        if (!walk(index->rows, hashes, anchors + done, lanes, below, ids))
            return false;
        below = anchors[done + lanes - 1].position + 1;
    }
    return true;
}

uint32_t kvp_prefix_search(const kvp_hash_index *index, const uint64_t *hashes, uint32_t n, int32_t *ids,
                           bool *is_chain) {
    uint32_t found;
    if (n >= WALK_FROM && search_lineage(index, hashes, n, ids, &found)) {
        *is_chain = found > 0;
        return found;
    }
    found = kvp_hash_index_find_prefix(index, hashes, n, ids);
    *is_chain = kvp_is_chain(index->rows, ids, found);
    return found;
}
