/*
 * What:      the second halves of 128-bit keys: a check word for each registered block, beside the sequence hash that is
 *            the first half. The index goes by the hash alone; a block whose check word is another is no hit.
 * Cost:      8 bytes a block; one comparison for each block that is found. None when keys are 64 bits.
 * Ownership: owns the words.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_key_checks_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   of == NULL <=> keys are the hash alone, and every block agrees with everything
 */
#ifndef KVP_KEY_CHECKS_H
#define KVP_KEY_CHECKS_H

#include "kvp/status.h"
#include "kvp/types.h"

typedef struct kvp_key_checks {
    uint64_t *of;       /* owned; by id; meaningful while the block is registered */
    int32_t num_blocks; /* blocks in all */
    bool is_kept;       /* keys are 128 bits */
} kvp_key_checks;

/* KVP_OK or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_key_checks_init(kvp_key_checks *self, int32_t num_blocks, bool is_kept);

/* Cannot fail. */
void kvp_key_checks_destroy(kvp_key_checks *self);

/* How many of ids[0 .. n), from the first, have these check words. */
uint32_t kvp_key_checks_count(const kvp_key_checks *self, const int32_t *ids, const uint64_t *checks, uint32_t n);

/* Make entries KVP_NO_BLOCK whose blocks have another check word; returns how many name a block afterwards. */
uint32_t kvp_key_checks_leave_out(const kvp_key_checks *self, int32_t *ids, const uint64_t *checks, uint32_t n);

/* NULL, or the broken invariant. */
const char *kvp_key_checks_check(const kvp_key_checks *self);

/* Whether the registered block is that of a key with this check word. */
static inline bool kvp_key_checks_agree(const kvp_key_checks *self, int32_t id, uint64_t check) {
    return self->of[id] == check;
}

#endif
