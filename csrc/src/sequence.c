#include "kvp/sequence.h"

#include "kvp/check.h"
#include "kvp/key_hash.h"
#include "kvp/prefix_search.h"
#include "kvp/seq_hash.h"
#include "pool_transitions.h"

#include <string.h>

#define AHEAD 16 /* index chunks asked for before they are needed */

kvp_status kvp_sequence_init(kvp_sequence *self, uint32_t block_size, uint64_t salt, bool commits_on_append) {
    memset(self, 0, sizeof *self);
    self->block_size = block_size;
    self->shift = block_size & (block_size - 1) ? -1 : __builtin_ctz(block_size);
    self->salt = salt;
    self->commits_on_append = commits_on_append;
    self->lease = kvp_lease_new(0, false);
    if (!self->lease)
        return KVP_NO_MEMORY;
    self->lease->is_sequence = true;
    self->lease->is_chain = true;
    return KVP_OK;
}

void kvp_sequence_keep_checks(kvp_sequence *self, const uint64_t secret[2]) {
    self->has_checks = true;
    memcpy(self->secret, secret, sizeof self->secret);
}

void kvp_sequence_destroy(kvp_sequence *self) {
    kvp_memory_free_raw(self->tokens);
    kvp_memory_free_raw(self->hashes);
    kvp_memory_free_raw(self->checks);
    self->tokens = NULL;
    self->hashes = NULL;
    self->checks = NULL;
}

/* A larger array with the first `used` bytes of the old one, which stays as it is. */
static void *grown(const void *old, size_t used, size_t bytes) {
    void *memory = kvp_memory_new_raw(bytes);
    if (memory && used)
        memcpy(memory, old, used);
    return memory;
}

kvp_status kvp_sequence_make_room(kvp_sequence *self, uint64_t num_tokens) {
    if (num_tokens <= self->token_capacity)
        return KVP_OK;
    uint64_t wanted = num_tokens + (self->token_capacity ? num_tokens / 2 : 4 * (uint64_t)self->block_size);
    uint64_t blocks = (wanted + self->block_size - 1) / self->block_size;
    if (blocks > UINT32_MAX)
        return KVP_NO_MEMORY;
    uint64_t capacity = blocks * self->block_size;
    kvp_lease *lease = self->lease;
    uint32_t *tokens = grown(self->tokens, self->num_tokens * sizeof *tokens, capacity * sizeof *tokens);
    uint64_t *hashes =
        grown(self->hashes, self->num_tokens / self->block_size * sizeof *hashes, blocks * sizeof *hashes);
    uint64_t *checks = NULL;
    if (self->has_checks)
        checks = grown(self->checks, self->num_tokens / self->block_size * sizeof *checks, blocks * sizeof *checks);
    kvp_id_table *table = kvp_id_table_new((uint32_t)blocks);
    if (!tokens || !hashes || !table || (self->has_checks && !checks)) {
        kvp_memory_free_raw(tokens);
        kvp_memory_free_raw(hashes);
        kvp_memory_free_raw(checks);
        kvp_id_table_unshare(table);
        return KVP_NO_MEMORY;
    }
    memcpy(table->ids, lease->ids, lease->count * sizeof *lease->ids);
    kvp_id_table_unshare(lease->table);
    lease->table = table;
    lease->ids = table->ids;
    kvp_sequence_destroy(self);
    self->tokens = tokens;
    self->hashes = hashes;
    self->checks = checks;
    self->token_capacity = capacity;
    return KVP_OK;
}

void kvp_sequence_write(kvp_sequence *self, const uint32_t *tokens, uint64_t n) {
    uint64_t block_size = self->block_size;
    uint32_t first = kvp_sequence_full_blocks(self, self->num_tokens);
    uint32_t full = kvp_sequence_full_blocks(self, self->num_tokens + n);
    if (n == 1)
        self->tokens[self->num_tokens] = tokens[0];
    else
        memcpy(self->tokens + self->num_tokens, tokens, n * sizeof *tokens);
    if (full == first)
        return;
    kvp_seq_hash_chain(self->tokens + first * block_size, full - first, block_size, self->salt, KVP_SEQ_HASH_V2,
                       first ? &self->hashes[first - 1] : NULL, self->hashes + first);
    if (KVP_UNLIKELY(self->has_checks))
        kvp_key_hash_chain(self->tokens + first * block_size, full - first, block_size, self->salt, self->secret,
                           first ? &self->checks[first - 1] : NULL, self->checks + first);
}

kvp_status kvp_sequence_copy_tokens(kvp_sequence *self, const kvp_sequence *other) {
    if (kvp_sequence_make_room(self, other->num_tokens) != KVP_OK)
        return KVP_NO_MEMORY;
    memcpy(self->tokens, other->tokens, other->num_tokens * sizeof *self->tokens);
    memcpy(self->hashes, other->hashes, other->num_tokens / other->block_size * sizeof *self->hashes);
    if (self->has_checks)
        memcpy(self->checks, other->checks, other->num_tokens / other->block_size * sizeof *self->checks);
    self->num_tokens = other->num_tokens;
    return KVP_OK;
}

static void set_count(kvp_sequence *self, uint32_t count) {
    if (count < self->changed) /* what comes behind from now on is other than it was */
        self->changed = count;
    self->lease->count = self->lease->held = count;
}

kvp_status kvp_sequence_open(kvp_sequence *self, kvp_pool *pool, uint64_t slots, int64_t now) {
    kvp_lease *lease = self->lease;
    uint32_t matchable = kvp_sequence_full_blocks(self, self->num_tokens - 1);
    uint32_t needed = kvp_sequence_blocks_for(self, self->num_tokens + slots);
    uint32_t found = kvp_prefix_search(&pool->index, self->hashes, matchable, lease->ids, &lease->is_chain);
    int64_t available = kvp_pool_room(pool, lease->space);
    if (KVP_UNLIKELY(pool->keys.is_kept))
        found = kvp_key_checks_count(&pool->keys, lease->ids, self->checks, found);
    for (uint32_t i = 0; KVP_UNLIKELY(pool->namespaces != NULL) && i < found; i++)
        if (kvp_space_of(pool, lease->ids[i]) != lease->space)
            found = i;
    /* What the match itself makes unavailable is counted before anything is touched, unless it cannot matter: there is
     * room even if all was cached, and nothing but the blocks found is held with them. */
    bool is_all = found == 0 || (lease->is_chain && kvp_block_parent(&pool->table.rows[lease->ids[0]]) == KVP_NO_BLOCK);
    if ((available < (int64_t)needed || !is_all) &&
        available - kvp_count_cached(pool->table.rows, lease->ids, found) < (int64_t)(needed - found))
        return KVP_NOT_ENOUGH;
    kvp_pool_see_time(pool, now);
    kvp_notice_request(pool, self->hashes, matchable, lease->ids, found);
    kvp_hold(pool, lease, found);
    if (found == 0)
        lease->is_chain = true;
    (void)kvp_take(pool, lease->ids + found, needed - found, lease->space, NULL);
    pool->stats.match_hashes_requested += matchable;
    pool->stats.match_blocks_returned += found;
    lease->registered = found;
    lease->count = needed;
    kvp_make_live(pool, lease, needed, now);
    self->num_cached = self->num_computed = (uint64_t)found * self->block_size;
    self->changed = 0;
    return KVP_OK;
}

kvp_status kvp_sequence_give_back(kvp_sequence *self, kvp_pool *pool, uint32_t hint) {
    kvp_status status = kvp_pool_release_hinted(pool, self->lease, hint);
    self->lease->count = self->lease->registered = 0;
    self->lease->is_chain = true;
    self->num_cached = self->num_computed = 0;
    return status;
}

void kvp_sequence_take(kvp_sequence *self, kvp_pool *pool, uint32_t n) {
    kvp_lease *lease = self->lease;
    (void)kvp_take(pool, lease->ids + lease->count, n, lease->space, NULL);
    set_count(self, lease->count + n);
}

/* Whether the hash of a block is registered in another namespace, or for another key. */
__attribute__((noinline, cold)) static bool is_taken(const kvp_sequence *self, const kvp_pool *pool, uint32_t at) {
    int32_t id = kvp_hash_index_find(&pool->index, self->hashes[at]);
    if (id == KVP_NO_BLOCK)
        return false;
    return kvp_space_of(pool, id) != self->lease->space ||
           (pool->keys.is_kept && !kvp_key_checks_agree(&pool->keys, id, self->checks[at]));
}

void kvp_sequence_register(kvp_sequence *self, kvp_pool *pool, uint32_t until) {
    kvp_lease *lease = self->lease;
    uint32_t first = lease->registered;
    kvp_hash_place places[AHEAD];
    for (uint32_t done = first; done < until;) {
        uint32_t batch = until - done < AHEAD ? until - done : AHEAD, rekeys = pool->index.rekeys, i = 0;
        for (uint32_t j = 0; j < batch; j++) {
            places[j] = kvp_hash_index_place(&pool->index, self->hashes[done + j]);
            KVP_PREFETCH(&pool->index.chunks[places[j].home]);
        }
        for (; i < batch && pool->index.rekeys == rekeys; i++) {
            uint32_t at = done + i;
            int32_t id = lease->ids[at], before = at > 0 ? lease->ids[at - 1] : KVP_NO_BLOCK;
            if (KVP_UNLIKELY(pool->namespaces || pool->keys.is_kept) && is_taken(self, pool, at)) {
                until = at; /* what others have is not ours to share */
                break;
            }
            if (before != KVP_NO_BLOCK && !pool->table.rows[before].is_indexed) {
                before = kvp_hash_index_find(&pool->index, self->hashes[at - 1]);
                if (KVP_UNLIKELY(pool->namespaces != NULL))
                    before = kvp_permitted_parent(pool, before, lease->space);
            }
            kvp_enrolment enrolment = {.hash = self->hashes[at],
                                       .check = KVP_UNLIKELY(self->has_checks) ? self->checks[at] : 0,
                                       .place = places[i],
                                       .parent = before,
                                       .level = KVP_DEFAULT_LEVEL,
                                       .expiry = KVP_NO_EXPIRY,
                                       .tokens = self->tokens + (uint64_t)at * self->block_size};
            bool is_duplicate = kvp_enrol(pool, lease->ids, at, &enrolment, &lease->is_chain);
            pool->stats.duplicates += is_duplicate;
            if (lease->ids[at] != id) {
                kvp_give_back(pool, id);
                self->changed = at < self->changed ? at : self->changed;
            }
        }
        done += i;
    }
    pool->stats.registrations += until - first;
    lease->registered = until;
}

/* Hold the first `kept` of the registered blocks alone. */
static void keep_registered(kvp_pool *pool, kvp_lease *lease, uint32_t kept) {
    uint32_t registered = lease->registered;
    if (lease->is_chain && registered > kept) {
        if (kept > 0)
            pool->table.rows[lease->ids[kept - 1]].refs++; /* it is active: a block of ours continues it */
        (void)kvp_let_go_chain(pool, lease->ids + kept, registered - kept);
    } else {
        for (uint32_t i = registered; i-- > kept;)
            kvp_let_go(pool, lease->ids[i]);
    }
    lease->registered = kept;
}

/* Blocks that the namespace can take once it has given back so many mutable ones. */
static int64_t room_after(kvp_pool *pool, int32_t space, int32_t given) {
    if (KVP_LIKELY(!pool->namespaces))
        return (int64_t)kvp_pool_available(pool) + given;
    kvp_namespaces_hold(pool->namespaces, space, -given);
    int64_t room = kvp_pool_room(pool, space);
    kvp_namespaces_hold(pool->namespaces, space, given);
    return room;
}

kvp_status kvp_sequence_truncate(kvp_sequence *self, kvp_pool *pool, uint64_t num_tokens, int64_t now, int32_t copy[2],
                                 uint32_t *num_copies) {
    kvp_lease *lease = self->lease;
    kvp_block *rows = pool->table.rows;
    uint32_t full = kvp_sequence_full_blocks(self, num_tokens), kept = kvp_sequence_blocks_for(self, num_tokens);
    bool loses_identity = kept > full && full < lease->registered;
    int32_t partial = loses_identity ? lease->ids[full] : KVP_NO_BLOCK;
    bool is_ours =
        loses_identity && full + 1 == lease->registered && rows[partial].refs == 1 && rows[partial].children == 0;
    bool has_copy = loses_identity && !is_ours;
    uint32_t first_given = lease->registered > kept ? lease->registered : kept;
    uint32_t given = lease->count > first_given ? lease->count - first_given : 0;
    *num_copies = 0;
    if (has_copy && room_after(pool, lease->space, (int32_t)given) < 1)
        return KVP_NOT_ENOUGH;
    kvp_pool_see_time(pool, now);
    for (uint32_t i = lease->count; i-- > first_given;)
        kvp_give_back(pool, lease->ids[i]);
    if (lease->count > kept)
        set_count(self, first_given);
    if (has_copy) {
        copy[0] = partial;
        (void)kvp_take(pool, &copy[1], 1, lease->space,
                       NULL); /* while we hold the block that it is to be copied from */
    }
    if (lease->registered > full) {
        if (is_ours) {
            if (lease->is_chain && full > 0)
                rows[lease->ids[full - 1]].refs++;
            lease->registered = full;
            kvp_disown(pool, partial);
        } else {
            keep_registered(pool, lease, full);
        }
        set_count(self, kept);
    }
    if (has_copy) {
        lease->ids[full] = copy[1];
        self->changed = full < self->changed ? full : self->changed;
    }
    *num_copies = has_copy;
    self->num_tokens = num_tokens;
    self->num_computed = num_tokens < self->num_computed ? num_tokens : self->num_computed;
    self->num_cached = num_tokens < self->num_cached ? num_tokens : self->num_cached;
    return KVP_OK;
}

kvp_status kvp_sequence_fork(kvp_sequence *self, const kvp_sequence *other, kvp_pool *pool, int64_t now,
                             int32_t *copies, uint32_t *num_copies) {
    kvp_lease *lease = self->lease;
    const kvp_lease *source = other->lease;
    uint32_t blocks = kvp_sequence_blocks_for(other, other->num_tokens), shared = source->registered;
    lease->space = source->space;
    if (kvp_pool_room(pool, lease->space) < (int64_t)(blocks - shared))
        return KVP_NOT_ENOUGH;
    kvp_pool_see_time(pool, now);
    memcpy(lease->ids, source->ids, shared * sizeof *lease->ids);
    lease->is_chain = source->is_chain;
    lease->registered = shared;
    if (shared > 0)
        kvp_hold(pool, lease, shared);
    (void)kvp_take(pool, lease->ids + shared, blocks - shared, lease->space, NULL);
    *num_copies = blocks - shared;
    for (uint32_t i = 0; i < blocks - shared; i++) {
        copies[2 * i] = source->ids[shared + i];
        copies[2 * i + 1] = lease->ids[shared + i];
    }
    lease->count = blocks;
    kvp_make_live(pool, lease, blocks, now);
    self->num_cached = other->num_cached;
    self->num_computed = other->num_computed;
    self->changed = 0;
    return KVP_OK;
}

const char *kvp_sequence_check(const kvp_sequence *self, const kvp_pool *pool) {
    const kvp_lease *lease = self->lease;
    KVP_REQUIRE(self->num_tokens <= self->token_capacity, "a sequence has more tokens than room");
    KVP_REQUIRE(self->num_computed <= self->num_tokens, "a sequence computed more tokens than it has");
    KVP_REQUIRE(self->num_cached <= self->num_computed, "a sequence found more tokens than it computed");
    if (!lease->is_live)
        return NULL;
    KVP_REQUIRE(lease->is_sequence && lease->held == lease->count, "a sequence miscounts its blocks");
    KVP_REQUIRE((uint64_t)lease->count * self->block_size >= self->num_tokens, "a sequence has tokens without a block");
    KVP_REQUIRE(lease->registered <= self->num_computed / self->block_size,
                "a block of a sequence is registered before its KV is written");
    for (uint32_t i = 0; i < lease->registered; i++)
        KVP_REQUIRE(pool->table.rows[lease->ids[i]].hash == self->hashes[i],
                    "a block of a sequence is registered under another hash");
    return kvp_seq_hash_check(self->tokens, self->num_tokens / self->block_size, self->block_size, self->salt,
                              KVP_SEQ_HASH_V2, NULL, self->hashes);
}
