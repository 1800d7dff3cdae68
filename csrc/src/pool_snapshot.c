#include "pool_transitions.h"

#include <string.h>

/* The event that would tell of the block. */
static kvp_event stored(const kvp_pool *self, int32_t id) {
    const kvp_block *row = &self->table.rows[id];
    int32_t parent = kvp_block_parent(row);
    return (kvp_event){.hash = row->hash,
                       .parent = parent != KVP_NO_BLOCK ? self->table.rows[parent].hash : 0,
                       .id = id,
                       .kind = KVP_EVENT_STORED,
                       .space = (uint8_t)kvp_space_of(self, id),
                       .has_parent = parent != KVP_NO_BLOCK,
                       .has_tokens = kvp_block_tokens_get(&self->tokens, id) != NULL};
}

static void copy_tokens(const kvp_pool *self, int32_t id, uint32_t *tokens) {
    const uint32_t *known = kvp_block_tokens_get(&self->tokens, id);
    size_t bytes = self->tokens.block_size * sizeof *tokens;
    if (known)
        memcpy(tokens, known, bytes);
    else
        memset(tokens, 0, bytes);
}

/* Each block goes up until it meets one that was told of, and those that it passed are told of on the way back. */
uint32_t kvp_pool_snapshot(const kvp_pool *self, kvp_event *events, uint32_t *tokens, uint32_t max, int32_t *scratch,
                           uint64_t *next) {
    const kvp_block *rows = self->table.rows;
    uint8_t *is_told = (uint8_t *)(scratch + self->table.num_blocks);
    uint32_t count = 0, total = 0;
    *next = self->events.next;
    for (int32_t id = 0; id < self->table.num_blocks; id++)
        total += kvp_block_is_registered(&rows[id]) && rows[id].is_indexed;
    for (int32_t start = 0; total <= max && start < self->table.num_blocks; start++) {
        if (!kvp_block_is_registered(&rows[start]))
            continue;
        int32_t passed = 0;
        for (int32_t id = start; id != KVP_NO_BLOCK && !is_told[id]; id = kvp_block_parent(&rows[id])) {
            is_told[id] = 1;
            scratch[passed++] = id;
        }
        while (passed-- > 0) {
            int32_t id = scratch[passed];
            if (!rows[id].is_indexed)
                continue; /* a further copy of a hash */
            if (tokens)
                copy_tokens(self, id, tokens + (size_t)count * self->tokens.block_size);
            events[count++] = stored(self, id);
        }
    }
    return total;
}
