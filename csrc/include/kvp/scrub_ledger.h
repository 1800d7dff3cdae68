/*
 * What:      whose bytes are still in each block, and by which rule blocks are filled with zeros before somebody else can
 *            read them.
 * Cost:      2 bytes a block; O(1) to look one up. Filling is a memset over the regions of the block.
 * Ownership: owns its array.
 * Locking:   none, and not under the pool's lock: the entry of a block, like its bytes, belongs to who holds the block.
 * Errors:    kvp_scrub_ledger_init: KVP_NO_MEMORY.
 *
 * Who has been handed blocks asks which are dirty for its namespace, marks all as its own, fills the dirty ones, and
 * forgets them if that failed. Who is about to give blocks back that will be empty asks kvp_scrub_ledger_leaving, fills
 * those, and marks them as clean. So a block that was not filled is still known to be dirty.
 *
 * Invariants:
 *   last[id] = KVP_SCRUB_CLEAN: all bytes of the block are 0; KVP_SCRUB_UNKNOWN: anybody's; n in [1, 256]: only those of
 *   namespace n - 1, and zeros; with the rule KVP_SCRUB_NEVER nothing is known, and there is no array
 */
#ifndef KVP_SCRUB_LEDGER_H
#define KVP_SCRUB_LEDGER_H

#include "kvp/block_memory.h"

typedef enum kvp_scrub_rule {
    KVP_SCRUB_NEVER,
    KVP_SCRUB_NAMESPACES, /* when a block comes to another namespace */
    KVP_SCRUB_FREE,       /* when a block is given back, or, if it was emptied otherwise, when it is handed out */
    KVP_SCRUB_ALLOCATE    /* when a block is handed out */
} kvp_scrub_rule;

enum { KVP_SCRUB_CLEAN = 0, KVP_SCRUB_UNKNOWN = 0xFFFF, KVP_SCRUB_SPACES = 256 };

typedef struct kvp_scrub_ledger {
    uint16_t *last; /* owned; by id */
    int32_t num_blocks;
    kvp_scrub_rule rule;
} kvp_scrub_ledger;

/* KVP_OK or KVP_NO_MEMORY (then nothing needs to be destroyed). is_zeroed: all bytes of all blocks are 0. */
kvp_status kvp_scrub_ledger_init(kvp_scrub_ledger *self, int32_t num_blocks, kvp_scrub_rule rule, bool is_zeroed);

/* Cannot fail. One of zero bytes is allowed. */
void kvp_scrub_ledger_destroy(kvp_scrub_ledger *self);

/* Which of the blocks must be filled before this namespace may use them: stores their ids, unless `dirty` is NULL, and
 * returns how many. */
uint64_t kvp_scrub_ledger_arriving(const kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, uint8_t space,
                                   int32_t *dirty);

/* The same for blocks that are about to be empty. */
uint64_t kvp_scrub_ledger_leaving(const kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, int32_t *dirty);

/* From now on they have the bytes of this namespace. Cannot fail. */
void kvp_scrub_ledger_own(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n, uint8_t space);

/* They were filled. Cannot fail. */
void kvp_scrub_ledger_clean(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n);

/* Anybody's bytes may be in them: nobody could tell whether they were filled. Cannot fail. */
void kvp_scrub_ledger_forget(kvp_scrub_ledger *self, const int32_t *ids, uint64_t n);

/* Fill the regions of the blocks with zeros, and nothing else. Cannot fail. */
void kvp_scrub_blocks(const kvp_block_memory *memory, const int32_t *ids, uint64_t n);

/* NULL, or the broken invariant. */
const char *kvp_scrub_ledger_check(const kvp_scrub_ledger *self);

#endif
