#include "kvp/sequence_batch.h"

#include "kvp/check.h"

#include <string.h>

#define AHEAD 4 /* rows asked for before they are needed */

kvp_status kvp_sequence_batch_init(kvp_sequence_batch *self, uint32_t max_rows, uint32_t max_blocks,
                                   uint64_t max_slots) {
    memset(self, 0, sizeof *self);
    self->max_rows = max_rows;
    self->max_blocks = max_blocks;
    self->max_slots = max_slots;
    self->rows = kvp_memory_new(max_rows, sizeof(void *));
    self->shown = kvp_memory_new(max_rows, sizeof *self->shown);
    self->lengths = kvp_memory_new(max_rows, sizeof *self->lengths);
    self->tables = kvp_memory_new((size_t)max_rows * max_blocks, sizeof *self->tables);
    self->slots = kvp_memory_new(max_slots, sizeof *self->slots);
    if (!self->rows || !self->shown || !self->lengths || !self->tables || !self->slots) {
        kvp_sequence_batch_destroy(self);
        return KVP_NO_MEMORY;
    }
    memset(self->tables, 0xFF, (size_t)max_rows * max_blocks * sizeof *self->tables);
    return KVP_OK;
}

void kvp_sequence_batch_destroy(kvp_sequence_batch *self) {
    kvp_memory_free(self->rows, self->max_rows, sizeof(void *));
    kvp_memory_free(self->shown, self->max_rows, sizeof *self->shown);
    kvp_memory_free(self->lengths, self->max_rows, sizeof *self->lengths);
    kvp_memory_free(self->tables, (size_t)self->max_rows * self->max_blocks, sizeof *self->tables);
    kvp_memory_free(self->slots, self->max_slots, sizeof *self->slots);
    memset(self, 0, sizeof *self);
}

static inline int32_t *table_of(const kvp_sequence_batch *self, uint32_t row) {
    return self->tables + (size_t)row * self->max_blocks;
}

void kvp_sequence_batch_show(kvp_sequence_batch *self, uint32_t row) {
    kvp_sequence *sequence = self->rows[row];
    const kvp_lease *lease = sequence->lease;
    int32_t *table = table_of(self, row);
    uint32_t shown = self->shown[row];
    self->lengths[row] = (int32_t)sequence->num_tokens;
    if (KVP_LIKELY(lease->count == shown && sequence->changed >= shown))
        return;
    uint32_t from = sequence->changed < shown ? sequence->changed : shown;
    for (uint32_t i = from; i < lease->count; i++)
        table[i] = lease->ids[i];
    for (uint32_t i = lease->count; i < shown; i++)
        table[i] = KVP_NO_BLOCK;
    self->shown[row] = sequence->changed = lease->count;
}

void kvp_sequence_batch_add(kvp_sequence_batch *self, kvp_sequence *sequence) {
    uint32_t row = self->num_rows++;
    self->rows[row] = sequence;
    self->shown[row] = 0;
    kvp_sequence_batch_show(self, row);
}

void kvp_sequence_batch_remove(kvp_sequence_batch *self, uint32_t row) {
    uint32_t last = --self->num_rows, kept = row == last ? 0 : self->shown[last];
    if (row != last) {
        memcpy(table_of(self, row), table_of(self, last), kept * sizeof *self->tables);
        self->rows[row] = self->rows[last];
        self->lengths[row] = self->lengths[last];
    }
    for (uint32_t i = kept; i < self->shown[row]; i++)
        table_of(self, row)[i] = KVP_NO_BLOCK;
    self->shown[row] = kept;
    for (uint32_t i = 0; i < self->shown[last]; i++)
        table_of(self, last)[i] = KVP_NO_BLOCK;
    self->shown[last] = 0;
    self->rows[last] = NULL;
    self->lengths[last] = 0;
}

kvp_status kvp_sequence_batch_write(kvp_sequence_batch *self, const kvp_step *step) {
    for (uint32_t row = 0; row < self->num_rows; row++) {
        uint64_t n = kvp_step_count(step, row);
        if (row + 2 * AHEAD < self->num_rows)
            KVP_PREFETCH(self->rows[row + 2 * AHEAD]);
        if (row + AHEAD < self->num_rows) {
            KVP_PREFETCH(&self->rows[row + AHEAD]->shift);
            KVP_PREFETCH(&self->rows[row + AHEAD]->tokens[self->rows[row + AHEAD]->num_tokens]);
            KVP_PREFETCH(&self->rows[row + AHEAD]->lease->count);
        }
        if (kvp_sequence_make_room(self->rows[row], self->rows[row]->num_tokens + n) != KVP_OK)
            return KVP_NO_MEMORY;
        kvp_sequence_write(self->rows[row], step->tokens + kvp_step_start(step, row), n);
    }
    return KVP_OK;
}

/* All rows take their blocks before any of them registers one, so that nothing can come between. */
static void take_for_all(kvp_sequence_batch *self, kvp_pool *pool, const kvp_step *step, const int32_t *refused,
                         uint32_t num_refused) {
    uint32_t next = 0;
    for (uint32_t row = 0; row < self->num_rows; row++) {
        if (KVP_UNLIKELY(next < num_refused) && refused[next] == (int32_t)row) {
            next++;
            continue;
        }
        kvp_sequence *sequence = self->rows[row];
        uint32_t missing = kvp_sequence_missing(sequence, sequence->num_tokens + kvp_step_count(step, row));
        if (missing)
            kvp_sequence_take(sequence, pool, missing);
    }
}

/* Which rows go without, when blocks are given to one row after the other. */
static uint32_t find_refused(const kvp_sequence_batch *self, const kvp_step *step, int64_t available,
                             int32_t *refused) {
    uint32_t count = 0;
    for (uint32_t row = 0; row < self->num_rows; row++) {
        const kvp_sequence *sequence = self->rows[row];
        int64_t missing = kvp_sequence_missing(sequence, sequence->num_tokens + kvp_step_count(step, row));
        if (missing > available)
            refused[count++] = (int32_t)row;
        else
            available -= missing;
    }
    return count;
}

/* As find_refused, where each namespace has room of its own: what a row takes is held while the others are looked at. */
static uint32_t find_refused_by_namespace(const kvp_sequence_batch *self, const kvp_step *step, kvp_pool *pool,
                                          int32_t *refused) {
    uint32_t count = 0, next = 0;
    for (uint32_t row = 0; row < self->num_rows; row++) {
        const kvp_sequence *sequence = self->rows[row];
        uint32_t missing = kvp_sequence_missing(sequence, sequence->num_tokens + kvp_step_count(step, row));
        if (missing > kvp_pool_room(pool, sequence->lease->space))
            refused[count++] = (int32_t)row;
        else
            kvp_namespaces_hold(pool->namespaces, sequence->lease->space, (int32_t)missing);
    }
    for (uint32_t row = 0; row < self->num_rows; row++) {
        const kvp_sequence *sequence = self->rows[row];
        uint32_t missing = kvp_sequence_missing(sequence, sequence->num_tokens + kvp_step_count(step, row));
        if (next < count && refused[next] == (int32_t)row)
            next++;
        else
            kvp_namespaces_hold(pool->namespaces, sequence->lease->space, -(int32_t)missing);
    }
    return count;
}

static void append_row(kvp_sequence_batch *self, kvp_pool *pool, uint32_t row, uint64_t n, int64_t *slots) {
    kvp_sequence *sequence = self->rows[row];
    uint64_t block_size = sequence->block_size, position = sequence->num_tokens;
    if (sequence->commits_on_append)
        kvp_sequence_commit(sequence, pool, position);
    kvp_sequence_count_in(sequence, n);
    uint64_t block = kvp_sequence_full_blocks(sequence, position), offset = position - block * block_size;
    for (uint64_t i = 0; i < n; i++) {
        slots[i] = (int64_t)sequence->lease->ids[block] * (int64_t)block_size + (int64_t)offset;
        if (++offset == block_size) {
            offset = 0;
            block++;
        }
    }
    kvp_sequence_batch_show(self, row);
}

kvp_status kvp_sequence_batch_append(kvp_sequence_batch *self, kvp_pool *pool, const kvp_step *step, bool is_partial,
                                     int64_t now, int32_t *refused, uint32_t *num_refused) {
    int64_t missing = 0, available = kvp_pool_available(pool);
    uint32_t next = 0;
    for (uint32_t row = 0; row < self->num_rows; row++) {
        const kvp_sequence *sequence = self->rows[row];
        KVP_PREFETCH(&sequence->lease->ids[sequence->lease->count - 1]);
        missing += kvp_sequence_missing(sequence, sequence->num_tokens + kvp_step_count(step, row));
    }
    *num_refused = missing > available ? find_refused(self, step, available, refused) : 0;
    if (KVP_UNLIKELY(pool->namespaces != NULL) && missing)
        *num_refused = find_refused_by_namespace(self, step, pool, refused);
    if (*num_refused && !is_partial)
        return KVP_NOT_ENOUGH;
    kvp_pool_see_time(pool, now);
    if (missing)
        take_for_all(self, pool, step, refused, *num_refused);
    self->num_slots = kvp_step_start(step, self->num_rows);
    for (uint32_t row = 0; row < self->num_rows; row++) {
        uint64_t n = kvp_step_count(step, row);
        int64_t *slots = self->slots + kvp_step_start(step, row);
        if (next < *num_refused && refused[next] == (int32_t)row) {
            memset(slots, 0xFF, n * sizeof *slots);
            next++;
        } else if (n > 0) {
            append_row(self, pool, row, n, slots);
        }
    }
    return KVP_OK;
}

const char *kvp_sequence_batch_check(const kvp_sequence_batch *self) {
    for (uint32_t row = 0; row < self->max_rows; row++) {
        const kvp_sequence *sequence = row < self->num_rows ? self->rows[row] : NULL;
        uint32_t blocks = sequence ? sequence->lease->count : 0;
        KVP_REQUIRE(self->lengths[row] == (sequence ? (int32_t)sequence->num_tokens : 0), "a row has another length");
        for (uint32_t i = 0; i < self->max_blocks; i++)
            KVP_REQUIRE(table_of(self, row)[i] == (i < blocks ? sequence->lease->ids[i] : KVP_NO_BLOCK),
                        "a row shows other blocks");
    }
    return NULL;
}
