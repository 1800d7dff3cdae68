#include "kvp/block_tokens.h"

#include "kvp/check.h"
#include "kvp/memory.h"

#include <string.h>

kvp_status kvp_block_tokens_init(kvp_block_tokens *self, int32_t num_blocks, uint32_t block_size) {
    memset(self, 0, sizeof *self);
    if (!block_size)
        return KVP_OK;
    self->num_blocks = num_blocks;
    self->block_size = block_size;
    self->tokens = kvp_memory_new_lazy((size_t)num_blocks, block_size * sizeof *self->tokens);
    self->is_known = kvp_memory_new_lazy((size_t)num_blocks, sizeof *self->is_known);
    if (self->tokens && self->is_known)
        return KVP_OK;
    kvp_block_tokens_destroy(self);
    return KVP_NO_MEMORY;
}

void kvp_block_tokens_destroy(kvp_block_tokens *self) {
    kvp_memory_free(self->tokens, (size_t)self->num_blocks, self->block_size * sizeof *self->tokens);
    kvp_memory_free(self->is_known, (size_t)self->num_blocks, sizeof *self->is_known);
    self->tokens = NULL;
    self->is_known = NULL;
}

void kvp_block_tokens_set(kvp_block_tokens *self, int32_t id, const uint32_t *tokens) {
    self->is_known[id] = tokens != NULL;
    if (tokens)
        memcpy(self->tokens + (size_t)id * self->block_size, tokens, self->block_size * sizeof *tokens);
}

const char *kvp_block_tokens_check(const kvp_block_tokens *self) {
    KVP_REQUIRE(!self->is_known == !self->block_size && !self->tokens == !self->block_size,
                "tokens are kept without room for them");
    for (int32_t id = 0; self->is_known && id < self->num_blocks; id++)
        KVP_REQUIRE(self->is_known[id] <= 1, "whether a block's tokens are known is neither yes nor no");
    return NULL;
}
