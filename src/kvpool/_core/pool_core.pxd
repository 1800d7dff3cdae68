# What:      the C pool as an object, and the place where its lock is taken: here for all that is done with blocks, in
#            PoolWaiting and PoolEvents for waiting and events. Handles and BlockPool are built on it.
# Cost:      one lock and unlock for each method.
# Ownership: has a share of the C pool; handles keep the PoolCore alive, so it outlives every lease but those of views
#            whose tensors others have, which have shares of their own.
# Locking:   each method locks for itself; none is called with the lock held. Inside, no Python object is touched,
#            nothing is allocated and nothing calls out: a finalizer that ran there would take the lock again, and
#            hang. What is no part of the C pool, fields of objects and what sequences and token drafts have, is guarded
#            by the GIL, and where there is none by the critical section of the PoolCore, which is as good as a GIL of
#            the pool's own: entered before the lock, and left while Python code waits for something.
# Errors:    methods return a kvp_status unless they can raise; status.pyx turns one into an exception.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from kvpool._core.attachment cimport Attachment
from kvpool._core.libkvp cimport (kvp_anchor, kvp_candidate, kvp_foresight, kvp_identity, kvp_index_columns,
                                  kvp_latency, kvp_lease, kvp_policy_kind, kvp_pool, kvp_quota, kvp_reason,
                                  kvp_registration, kvp_restoration, kvp_reuse_stats, kvp_segment, kvp_sequence,
                                  kvp_sequence_batch, kvp_shared_pool, kvp_stats, kvp_status, kvp_step)
from kvpool._core.scrub_ledger cimport ScrubLedger


# Numbers of one moment.
cdef struct Counts:
    int32_t total
    int32_t empty
    int32_t cached
    int32_t active
    int32_t mutable
    int32_t pinned
    uint64_t waiting
    uint64_t leases
    uint64_t next_event


cdef inline void count_locked(const kvp_shared_pool *shared, Counts *counts) noexcept nogil:
    cdef const kvp_pool *pool = &shared.pool
    counts.total = pool.table.num_blocks
    counts.empty = pool.empty.count
    counts.cached = pool.num_cached
    counts.active = pool.num_active + pool.num_mutable
    counts.mutable = pool.num_mutable
    counts.pinned = pool.num_pinned
    counts.waiting = shared.num_waiters
    counts.leases = pool.num_leases
    counts.next_event = pool.events.next


# A column for each thing that is known of a block, with room for num_blocks entries.
cdef struct BlockColumns:
    uint8_t *states
    uint64_t *hashes
    int32_t *parents
    uint32_t *references
    uint32_t *children
    uint8_t *levels
    uint32_t *generations
    uint8_t *spaces


# One live lease, as outstanding() and errors tell of it. `owner` is borrowed from a handle: valid under the GIL, or in
# the pool's critical section, only.
cdef struct HoldRecord:
    const void *owner
    int64_t since
    uint32_t blocks
    bint is_mutable
    bint is_sequence
    bint is_pin
    bint is_view


cdef class PoolCore:
    cdef kvp_anchor *anchor        # a share
    cdef kvp_shared_pool *shared   # in the anchor
    cdef readonly int32_t num_blocks
    cdef bint has_checks           # keys are 128 bits
    cdef uint64_t[2] key_secret    # of their check words
    cdef readonly size_t block_size
    cdef object clock              # kept alive for now(); None: the system's steady clock
    cdef dict flights              # hash of the block that a sequence computes next -> weak reference to it
    cdef Py_ssize_t flights_limit  # entries at which dead ones are thrown out
    cdef int32_t high_count        # held blocks at which pressure is high; -1: nobody wants to know
    cdef int32_t low_count         # and at which it is low again
    cdef bint is_high
    cdef object on_pressure        # kept alive: called when pressure gets high or low again
    cdef int32_t reserve           # empty blocks below which `wake` is called; 0: none
    cdef object wake               # kept alive
    cdef bint is_awake             # it was called, and evict_ahead was not since
    cdef bint has_chooser          # a policy outside the core is asked before blocks are evicted
    cdef Attachment attachment     # kept alive; the memory of the blocks; None: the pool knows of none
    cdef bint has_ledger           # ledger is not None, for kvp_peek
    cdef ScrubLedger ledger        # kept alive; whose bytes are in it; None: nobody wants to know

    cdef int create(self, int32_t num_blocks, bint keeps_duplicates, uint64_t event_capacity, uint32_t event_tokens,
                    kvp_policy_kind policy, uint32_t ghost_factor, bint keeps_facts, double reuse_sampling,
                    int32_t max_namespaces, bytes secret) except -1
    cdef int64_t now(self) except? -1
    cdef ScrubLedger known_ledger(self)
    cdef int arrive(self, const int32_t *ids, Py_ssize_t n, uint8_t space) except -1
    cdef void drop(self, kvp_lease *lease) noexcept
    cdef kvp_status release(self, kvp_lease *lease, uint32_t hint) noexcept nogil
    cdef kvp_status release_segment(self, const kvp_segment *segment) noexcept nogil
    cdef kvp_status allocate(self, kvp_lease *lease, int64_t now, uint64_t *evicted, uint32_t max_evicted,
                             uint32_t *num_evicted) noexcept nogil
    cdef kvp_status register(self, const kvp_registration *registration, int64_t now, kvp_lease *lease,
                             uint32_t *at) noexcept nogil
    cdef void hold_prefix(self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil
    cdef void hold_ahead(self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil
    cdef kvp_foresight read_foresight(self) noexcept nogil
    cdef void hold_each(self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil
    cdef uint32_t find_prefix(self, const uint64_t *hashes, const uint64_t *checks, uint32_t n,
                              int32_t *ids) noexcept nogil
    cdef uint32_t find_each(self, const uint64_t *hashes, uint32_t n, int32_t *ids) noexcept nogil
    cdef uint32_t touch_hashes(self, const uint64_t *hashes, uint32_t n, int64_t now, int32_t *ids) noexcept nogil
    cdef kvp_status share(self, const kvp_segment *parts, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil
    cdef kvp_status lend(self, const kvp_segment *part, int64_t now, kvp_lease *lease) noexcept nogil
    cdef kvp_status join(self, const kvp_segment *parts, uint32_t n, int64_t now, kvp_lease *lease,
                         uint32_t *at) noexcept nogil
    cdef kvp_status upgrade(self, int32_t id, uint32_t generation, uint64_t hash, int64_t now,
                            kvp_lease *lease) noexcept nogil
    cdef int make_way(self, int64_t n) except -1
    cdef uint32_t read_candidates(self, kvp_candidate *candidates, uint32_t room) noexcept nogil
    cdef int end_way(self) except -1
    cdef void end_preference(self, const kvp_candidate *victims, uint32_t n) noexcept nogil
    cdef uint32_t prefer(self, const kvp_candidate *victims, uint32_t n) noexcept nogil
    cdef int watch(self) except -1
    cdef int watch_reserve(self) except -1
    cdef void watch_pressure(self) noexcept
    cdef void await_relief(self) noexcept
    cdef void tell_pressure(self, bint is_high) noexcept
    cdef uint32_t retain_hashes(self, const uint64_t *hashes, uint32_t n, int level, int64_t expiry,
                                int64_t now) noexcept nogil
    cdef kvp_status pin_hashes(self, const uint64_t *hashes, uint32_t n, int32_t limit, int64_t now, kvp_lease *lease,
                               int32_t *wanted) noexcept nogil
    cdef void protect_prompts(self, const uint64_t *hashes, const uint32_t *lengths, uint32_t n,
                              int32_t *ids) noexcept nogil
    cdef uint32_t evict_some(self, uint32_t n, uint32_t highest, kvp_reason reason, int64_t now,
                             kvp_identity *evicted) noexcept nogil
    cdef kvp_status reset_all(self, kvp_identity *evicted, uint32_t room, uint32_t *count) noexcept nogil
    cdef kvp_status reset_some(self, const uint64_t *hashes, uint32_t n, uint8_t *outcomes, kvp_identity *evicted,
                               uint32_t room, uint32_t *count) noexcept nogil
    cdef bint read_hashes(self, const kvp_lease *lease, uint64_t *hashes) noexcept nogil
    cdef bint read_hash(self, const kvp_lease *lease, uint32_t entry, uint64_t *hash) noexcept nogil
    cdef uint32_t generation_of(self, int32_t id) noexcept nogil
    cdef void read_states(self, int32_t first, int32_t n, uint8_t *states) noexcept nogil
    cdef kvp_stats read_counts(self, Counts *counts) noexcept nogil
    cdef kvp_stats read_blocks(self, BlockColumns *columns, Counts *counts) noexcept nogil
    cdef uint32_t save_columns(self, kvp_index_columns *columns, uint32_t room, int64_t now,
                               void *scratch) noexcept nogil
    cdef kvp_status restore_columns(self, const kvp_restoration *restoration, int64_t now, void *scratch) noexcept nogil
    cdef void begin_latencies(self, uint32_t period) noexcept nogil
    cdef void read_latencies(self, kvp_latency *latency) noexcept nogil
    cdef uint64_t read_holds(self, HoldRecord *holds, uint64_t room) noexcept nogil
    cdef kvp_status set_quota(self, int32_t space, int32_t floor, int32_t cap, int64_t now) noexcept nogil
    cdef kvp_quota read_quota(self, int32_t space) noexcept nogil
    cdef int64_t read_room(self, int32_t space) noexcept nogil
    cdef void read_reuse(self, kvp_reuse_stats *stats, bint reset) noexcept nogil
    cdef const char *check(self, void *scratch) noexcept nogil
    cdef kvp_status open_blocks(self, kvp_sequence *sequence, uint64_t slots, int64_t now) noexcept nogil
    cdef kvp_status give_back_blocks(self, kvp_sequence *sequence, uint32_t hint) noexcept nogil
    cdef kvp_status append_written(self, kvp_sequence *sequence, uint64_t n, uint64_t slots, int64_t now) noexcept nogil
    cdef void commit_blocks(self, kvp_sequence *sequence, uint64_t num_computed) noexcept nogil
    cdef kvp_status truncate_blocks(self, kvp_sequence *sequence, uint64_t num_tokens, int64_t now, int32_t *copy,
                                    uint32_t *num_copies) noexcept nogil
    cdef kvp_status fork_blocks(self, kvp_sequence *sequence, const kvp_sequence *other, int64_t now, int32_t *copies,
                                uint32_t *num_copies) noexcept nogil
    cdef kvp_status append_batch(self, kvp_sequence_batch *batch, const kvp_step *step, bint is_partial, int64_t now,
                                 int32_t *refused, uint32_t *num_refused) noexcept nogil
    cdef const char *check_sequence(self, const kvp_sequence *sequence) noexcept nogil
