/*
 * What:      registrations and removals in the order in which they happened, numbered from 0. A ring: when it is full
 *            the oldest is dropped, which a reader sees as a gap in the numbers.
 * Cost:      24 bytes an entry, and 4 for each token of a block if tokens are kept; O(1) for each event. A ring of
 *            capacity 0 records nothing but the numbers.
 * Ownership: owns its entries and their tokens.
 * Locking:   none here; the caller holds the pool's lock.
 * Errors:    only kvp_event_ring_init can fail (KVP_NO_MEMORY).
 *
 * Invariants:
 *   the events still there are those with number in [next - min(next, capacity), next)
 *   event number s is entries[s % capacity], its tokens begin at tokens[s % capacity * block_size]
 *   at = next % capacity
 */
#ifndef KVP_EVENT_RING_H
#define KVP_EVENT_RING_H

#include "kvp/status.h"
#include "kvp/types.h"

#include <string.h>

typedef enum kvp_event_kind { KVP_EVENT_STORED = 1, KVP_EVENT_REMOVED = 2, KVP_EVENT_CLEARED = 3 } kvp_event_kind;

/* Why a block lost its identity. */
typedef enum kvp_reason {
    KVP_REASON_NONE = 0,
    KVP_REASON_CAPACITY = 1,
    KVP_REASON_RESET = 2,
    KVP_REASON_TRUNCATED = 3,
    KVP_REASON_PRESSURE = 4,
    KVP_REASON_AHEAD = 5
} kvp_reason;

typedef struct kvp_event {
    uint64_t hash;       /* of the block */
    uint64_t parent;     /* of the block before it; 0 when has_parent is not set */
    int32_t id;          /* block, or KVP_NO_BLOCK */
    uint8_t kind;        /* kvp_event_kind */
    uint8_t reason;      /* kvp_reason */
    uint8_t space;       /* namespace of the block */
    bool has_parent : 1; /* the parent is known */
    bool has_tokens : 1; /* the tokens are known, and kept */
} kvp_event;

typedef struct kvp_event_ring {
    kvp_event *entries;  /* owned; NULL when capacity is 0 */
    uint32_t *tokens;    /* owned; capacity * block_size; NULL when none are kept */
    uint64_t capacity;   /* entries */
    uint64_t next;       /* number of the next event */
    uint64_t at;         /* its entry */
    uint32_t block_size; /* tokens kept of a block; 0: none */
    uint64_t awaited;    /* number of the event that a reader wants to be told of; UINT64_MAX: none */
    bool has_news;       /* it has come */
} kvp_event_ring;

/* KVP_OK or KVP_NO_MEMORY (then nothing needs to be destroyed). */
kvp_status kvp_event_ring_init(kvp_event_ring *self, uint64_t capacity, uint32_t block_size);

/* Cannot fail. */
void kvp_event_ring_destroy(kvp_event_ring *self);

/* Copy up to n events from number `since` on, or from the first still there if that is later; stores the number of the
 * first one copied and returns how many. `tokens`, if it is not NULL, has room for block_size each; what is not known
 * is 0. */
uint64_t kvp_event_ring_read(const kvp_event_ring *self, uint64_t since, kvp_event *events, uint32_t *tokens,
                             uint64_t n, uint64_t *first);

/* NULL, or the broken invariant. */
const char *kvp_event_ring_check(const kvp_event_ring *self);

/* Tokens may be NULL: not known. */
static inline void kvp_event_ring_push(kvp_event_ring *self, kvp_event event, const uint32_t *tokens) {
    if (self->capacity) {
        if (tokens && self->tokens) {
            event.has_tokens = true;
            memcpy(self->tokens + self->at * self->block_size, tokens, self->block_size * sizeof *tokens);
        }
        self->entries[self->at] = event;
        self->at = self->at + 1 == self->capacity ? 0 : self->at + 1;
        if (KVP_UNLIKELY(self->next >= self->awaited))
            self->has_news = true;
    }
    self->next++;
}

#endif
