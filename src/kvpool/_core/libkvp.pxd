# What:      the C core's names that the Cython modules use; csrc/include/kvp has their documentation.
# Cost:      none.
# Ownership: as in the headers.
# Locking:   as in the headers: kvp_pool_* only between kvp_shared_pool_enter and _leave.
# Errors:    as in the headers.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t


cdef extern from "kvp/types.h" nogil:
    const int32_t KVP_NO_BLOCK
    const int32_t KVP_MAX_BLOCKS
    const int KVP_NUM_LEVELS
    const int KVP_MAX_PRIORITY
    const int KVP_DEFAULT_LEVEL
    const int KVP_PROTECTED_LEVEL
    const int KVP_TTL_LEVEL
    const int64_t KVP_NO_EXPIRY


cdef extern from "kvp/status.h" nogil:
    ctypedef enum kvp_status:
        KVP_OK
        KVP_NO_MEMORY
        KVP_NOT_ENOUGH
        KVP_RETRY
        KVP_IN_USE
        KVP_STALE
        KVP_CONSUMED
        KVP_FOREIGN
        KVP_FULL
        KVP_CORRUPT


cdef extern from "kvp/block_table.h" nogil:
    ctypedef struct kvp_block:
        uint64_t hash
        uint32_t refs
        uint32_t generation
        uint32_t children
        uint32_t level

    ctypedef struct kvp_block_table:
        kvp_block *rows
        int32_t num_blocks

    bint kvp_block_is_registered(const kvp_block *self)
    int32_t kvp_block_parent(const kvp_block *self)


cdef extern from "kvp/free_list.h" nogil:
    ctypedef struct kvp_free_list:
        int32_t count


cdef extern from "kvp/hash_index.h" nogil:
    ctypedef struct kvp_hash_index:
        pass


cdef extern from "kvp/event_ring.h" nogil:
    ctypedef struct kvp_event:
        uint64_t hash
        uint64_t parent
        int32_t id
        uint8_t kind
        uint8_t reason
        uint8_t space
        bint has_parent
        bint has_tokens

    ctypedef struct kvp_event_ring:
        uint64_t capacity
        uint64_t next

    uint64_t kvp_event_ring_read(const kvp_event_ring *self, uint64_t since, kvp_event *events, uint32_t *tokens,
                                 uint64_t n, uint64_t *first)


cdef extern from "kvp/event_ring.h" nogil:
    ctypedef enum kvp_reason:
        KVP_REASON_PRESSURE
        KVP_REASON_AHEAD


cdef extern from "kvp/stats.h" nogil:
    ctypedef struct kvp_stats:
        uint64_t allocations
        uint64_t allocations_from_empty
        uint64_t evictions
        uint64_t registrations
        uint64_t duplicates
        uint64_t match_hashes_requested
        uint64_t match_blocks_returned
        uint64_t scan_hashes_requested
        uint64_t scan_blocks_returned
        uint64_t touches
        uint64_t resets
        uint64_t evictions_ahead
        uint64_t evictions_for_pressure
        uint64_t truncations
        uint64_t corruptions


cdef extern from "kvp/lease.h" nogil:
    ctypedef struct kvp_id_table:
        uint32_t capacity
        int32_t *ids

    void kvp_id_table_share(kvp_id_table *self)
    void kvp_id_table_unshare(kvp_id_table *self)

    ctypedef struct kvp_lease:
        kvp_lease *next
        kvp_id_table *table
        uint32_t registered
        bint is_sequence
        bint is_pin
        bint is_view
        uint8_t space
        const void *owner
        int64_t since
        uint32_t count
        uint32_t held
        bint is_live
        bint is_mutable
        int32_t *ids

    kvp_lease *kvp_lease_new(size_t n, bint is_mutable)
    uint8_t *kvp_lease_gone(kvp_lease *self)
    bint kvp_lease_guess_live(const kvp_lease *self)
    uint32_t kvp_lease_guess_held(const kvp_lease *self)
    bint kvp_lease_guess_entry(kvp_lease *self, uint32_t i)
    void kvp_lease_share(kvp_lease *self)
    void kvp_lease_unshare(kvp_lease *self)


cdef extern from "kvp/policy.h" nogil:
    uint32_t KVP_NUM_HINTS

    ctypedef enum kvp_policy_kind:
        KVP_POLICY_LRU
        KVP_POLICY_FIFO
        KVP_POLICY_LFU
        KVP_POLICY_SLRU
        KVP_POLICY_S3FIFO
        KVP_POLICY_SIEVE
        KVP_POLICY_ARC
        KVP_POLICY_MULTI_LRU
        KVP_POLICY_ADAPTIVE


cdef extern from "kvp/candidate.h" nogil:
    const char *KVP_RANK_CAPSULE

    ctypedef struct kvp_candidate:
        uint64_t hash
        int64_t last_access
        int32_t id
        uint32_t generation
        uint32_t reuse_count
        uint32_t position
        uint32_t priority
        uint32_t is_continued

    ctypedef void (*kvp_rank_function)(const kvp_candidate *blocks, size_t n, double *scores, void *context) noexcept


cdef extern from "kvp/namespaces.h" nogil:
    const int32_t KVP_MAX_NAMESPACES

    ctypedef struct kvp_quota:
        int32_t floor
        int32_t cap
        int32_t held
        int32_t cached

    ctypedef struct kvp_namespaces:
        kvp_quota *quotas
        uint8_t *of


cdef extern from "kvp/reuse_sampler.h" nogil:
    enum: KVP_REUSE_BINS
    enum: KVP_AGE_CLASSES
    enum: KVP_COUNT_CLASSES

    ctypedef struct kvp_reuse_stats:
        uint64_t requested
        uint64_t found
        uint64_t sampled
        uint64_t hits[KVP_REUSE_BINS]
        uint64_t evicted
        uint64_t lifetimes[KVP_AGE_CLASSES]
        uint64_t idle_ages[KVP_AGE_CLASSES]
        uint64_t reuse_counts[KVP_COUNT_CLASSES]
        uint64_t absences[KVP_AGE_CLASSES]

    ctypedef struct kvp_reuse_sampler:
        kvp_reuse_stats stats


cdef extern from "kvp/key_hash.h" nogil:
    void kvp_key_hash_chain(const uint32_t *tokens, size_t num_blocks, size_t block_size, uint64_t salt_hash,
                            const uint64_t *secret, const uint64_t *parent, uint64_t *checks)

cdef extern from "kvp/index_columns.h" nogil:
    ctypedef struct kvp_index_columns:
        uint32_t count
        uint32_t block_size
        uint64_t *hashes
        int64_t *lifetimes
        int32_t *ids
        int32_t *parents
        int32_t *elders
        uint32_t *tokens
        uint8_t *levels
        uint8_t *spaces
        uint8_t *is_parked
        uint8_t *has_tokens

    size_t kvp_index_columns_scratch(uint32_t count, int32_t num_blocks)
    const char *kvp_index_columns_check(const kvp_index_columns *self, int32_t num_blocks, uint32_t num_spaces,
                                        void *scratch, uint32_t *at)


cdef extern from "kvp/pool.h" nogil:
    ctypedef struct kvp_pool_config:
        int32_t num_blocks
        bint keeps_duplicates
        bint keeps_facts
        bint has_outer_lock
        bint keeps_checks
        uint64_t event_capacity
        uint32_t event_tokens
        uint64_t secret[2]
        kvp_policy_kind policy
        int32_t max_namespaces
        double reuse_sampling
        uint32_t ghost_factor

    ctypedef struct kvp_foresight:
        int32_t count
        uint64_t useful
        uint64_t wasted

    ctypedef struct kvp_block_tokens:
        uint32_t block_size

    ctypedef struct kvp_pool:
        kvp_block_tokens tokens
        kvp_foresight foresight
        kvp_namespaces *namespaces
        kvp_reuse_sampler *sampler
        kvp_block_table table
        kvp_free_list empty
        kvp_hash_index index
        kvp_event_ring events
        kvp_stats stats
        kvp_lease *leases
        uint64_t num_leases
        int32_t num_mutable
        int32_t num_active
        int32_t num_cached
        int32_t num_pinned

    ctypedef struct kvp_identity:
        uint64_t hash
        int32_t id

    ctypedef struct kvp_segment:
        kvp_lease *lease
        int64_t offset
        int64_t stride
        uint32_t count

    ctypedef struct kvp_registration:
        const kvp_segment *segments
        uint32_t num_segments
        const uint64_t *hashes
        const uint64_t *parents
        bint has_parent
        uint64_t parent
        int level
        int64_t expiry
        const uint32_t *const *tokens

    ctypedef enum kvp_reset_outcome:
        KVP_RESET_DONE
        KVP_RESET_NOT_FOUND
        KVP_RESET_HELD

    int32_t kvp_pool_available(const kvp_pool *self)
    int64_t kvp_pool_room(const kvp_pool *self, int32_t space)
    kvp_status kvp_pool_set_quota(kvp_pool *self, int32_t space, int32_t floor, int32_t cap, int64_t now)
    void kvp_pool_see_time(kvp_pool *self, int64_t now)
    kvp_status kvp_pool_allocate(kvp_pool *self, kvp_lease *lease, int64_t now, uint64_t *evicted,
                                 uint32_t max_evicted, uint32_t *num_evicted)
    kvp_status kvp_pool_release(kvp_pool *self, kvp_lease *lease)
    kvp_status kvp_pool_release_hinted(kvp_pool *self, kvp_lease *lease, uint32_t hint)
    kvp_status kvp_pool_release_segment(kvp_pool *self, const kvp_segment *segment)
    kvp_status kvp_pool_register(kvp_pool *self, const kvp_registration *registration, int64_t now,
                                 kvp_lease *lease, uint32_t *at)
    uint32_t kvp_pool_find_prefix(const kvp_pool *self, const uint64_t *hashes, const uint64_t *checks, uint32_t n,
                                  int32_t *ids)
    uint32_t kvp_pool_find_each(const kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t *ids)
    void kvp_pool_match(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease)
    void kvp_pool_hold_ahead(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease)
    void kvp_pool_match_scattered(kvp_pool *self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease)
    kvp_status kvp_pool_lend(kvp_pool *self, const kvp_segment *part, int64_t now, kvp_lease *lease)
    kvp_status kvp_pool_share(kvp_pool *self, const kvp_segment *parts, uint32_t num_parts, int64_t now,
                              kvp_lease *lease)
    kvp_status kvp_pool_join(kvp_pool *self, const kvp_segment *parts, uint32_t num_parts, int64_t now,
                             kvp_lease *lease, uint32_t *at)
    kvp_status kvp_pool_upgrade(kvp_pool *self, int32_t id, uint32_t generation, uint64_t hash, int64_t now,
                                kvp_lease *lease)
    uint32_t kvp_pool_touch(kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t *ids)
    kvp_status kvp_pool_reset(kvp_pool *self, kvp_identity *evicted, uint32_t max_evicted, uint32_t *num_evicted)
    kvp_status kvp_pool_reset_blocks(kvp_pool *self, const uint64_t *hashes, uint32_t n, uint8_t *outcomes,
                                     kvp_identity *evicted, uint32_t max_evicted, uint32_t *num_evicted)
    uint32_t kvp_pool_retain(kvp_pool *self, const uint64_t *hashes, uint32_t n, int level, int64_t expiry, int64_t now)
    kvp_status kvp_pool_pin(kvp_pool *self, const uint64_t *hashes, uint32_t n, int32_t limit, int64_t now,
                            kvp_lease *lease, int32_t *wanted)
    void kvp_pool_protect(kvp_pool *self, const uint64_t *hashes, const uint32_t *lengths, uint32_t num_prompts,
                          int32_t *ids)
    uint32_t kvp_pool_candidates(const kvp_pool *self, kvp_candidate *candidates, uint32_t max)
    uint32_t kvp_pool_prefer(kvp_pool *self, const kvp_candidate *victims, uint32_t n)
    void kvp_pool_end_preference(kvp_pool *self, const kvp_candidate *victims, uint32_t n)
    uint32_t kvp_pool_evict(kvp_pool *self, uint32_t n, uint32_t highest, kvp_reason reason, int64_t now,
                            kvp_identity *evicted)
    uint32_t kvp_pool_snapshot(const kvp_pool *self, kvp_event *events, uint32_t *tokens, uint32_t max,
                               int32_t *scratch, uint64_t *next)
    uint32_t kvp_pool_save(const kvp_pool *self, kvp_index_columns *columns, uint32_t max, int64_t now, void *scratch)

    ctypedef struct kvp_restoration:
        const kvp_index_columns *columns
        int64_t elapsed
        int32_t num_known
        int32_t num_spaces
        const kvp_quota *quotas

    kvp_status kvp_pool_restore(kvp_pool *self, const kvp_restoration *restoration, int64_t now, void *scratch)
    const char *kvp_pool_check(const kvp_pool *self, void *scratch)


cdef extern from "kvp/sequence.h" nogil:
    ctypedef struct kvp_sequence:
        kvp_lease *lease
        uint32_t *tokens
        uint64_t *hashes
        uint64_t *checks
        uint64_t num_tokens
        uint64_t num_cached
        uint64_t num_computed
        uint64_t salt
        uint32_t block_size
        bint commits_on_append

    kvp_status kvp_sequence_init(kvp_sequence *self, uint32_t block_size, uint64_t salt, bint commits_on_append)
    void kvp_sequence_keep_checks(kvp_sequence *self, const uint64_t *secret)
    void kvp_sequence_destroy(kvp_sequence *self)
    kvp_status kvp_sequence_make_room(kvp_sequence *self, uint64_t num_tokens)
    void kvp_sequence_write(kvp_sequence *self, const uint32_t *tokens, uint64_t n)
    void kvp_sequence_count_in(kvp_sequence *self, uint64_t n)
    uint32_t kvp_sequence_blocks_for(const kvp_sequence *self, uint64_t num_tokens)
    uint32_t kvp_sequence_missing(const kvp_sequence *self, uint64_t num_tokens)
    kvp_status kvp_sequence_open(kvp_sequence *self, kvp_pool *pool, uint64_t slots, int64_t now)
    kvp_status kvp_sequence_give_back(kvp_sequence *self, kvp_pool *pool, uint32_t hint)
    void kvp_sequence_take(kvp_sequence *self, kvp_pool *pool, uint32_t n)
    void kvp_sequence_commit(kvp_sequence *self, kvp_pool *pool, uint64_t num_computed)
    kvp_status kvp_sequence_truncate(kvp_sequence *self, kvp_pool *pool, uint64_t num_tokens, int64_t now,
                                     int32_t *copy, uint32_t *num_copies)
    kvp_status kvp_sequence_copy_tokens(kvp_sequence *self, const kvp_sequence *other)
    kvp_status kvp_sequence_fork(kvp_sequence *self, const kvp_sequence *other, kvp_pool *pool, int64_t now,
                                 int32_t *copies, uint32_t *num_copies)
    const char *kvp_sequence_check(const kvp_sequence *self, const kvp_pool *pool)


cdef extern from "kvp/sequence_batch.h" nogil:
    ctypedef struct kvp_sequence_batch:
        kvp_sequence **rows
        int32_t *tables
        int32_t *lengths
        int64_t *slots
        uint32_t num_rows
        uint32_t max_rows
        uint32_t max_blocks
        uint64_t max_slots
        uint64_t num_slots

    ctypedef struct kvp_step:
        const uint32_t *tokens
        const int64_t *offsets
        uint64_t each

    kvp_status kvp_sequence_batch_init(kvp_sequence_batch *self, uint32_t max_rows, uint32_t max_blocks,
                                       uint64_t max_slots)
    void kvp_sequence_batch_destroy(kvp_sequence_batch *self)
    void kvp_sequence_batch_add(kvp_sequence_batch *self, kvp_sequence *sequence)
    void kvp_sequence_batch_remove(kvp_sequence_batch *self, uint32_t row)
    void kvp_sequence_batch_show(kvp_sequence_batch *self, uint32_t row)
    kvp_status kvp_sequence_batch_write(kvp_sequence_batch *self, const kvp_step *step)
    kvp_status kvp_sequence_batch_append(kvp_sequence_batch *self, kvp_pool *pool, const kvp_step *step,
                                         bint is_partial, int64_t now, int32_t *refused, uint32_t *num_refused)
    const char *kvp_sequence_batch_check(const kvp_sequence_batch *self)


cdef extern from "kvp/bell.h" nogil:
    ctypedef struct kvp_bell:
        int read_fd

    kvp_status kvp_bell_init(kvp_bell *self)
    void kvp_bell_destroy(kvp_bell *self)
    void kvp_bell_write(const kvp_bell *self)
    void kvp_bell_silence(const kvp_bell *self)


cdef extern from "kvp/waiter.h" nogil:
    ctypedef struct kvp_waiter:
        kvp_waiter *next
        void *request
        uint32_t num_evicted
        bint is_granted

    ctypedef enum kvp_wait_result:
        KVP_WOKEN
        KVP_TIMED_OUT
        KVP_INTERRUPTED

    kvp_status kvp_waiter_init(kvp_waiter *self, kvp_lease *lease, uint64_t *evicted, kvp_bell *bell)
    void kvp_waiter_destroy(kvp_waiter *self)
    kvp_wait_result kvp_waiter_wait(kvp_waiter *self, int64_t timeout)


cdef extern from "kvp/latency.h" nogil:
    ctypedef enum kvp_call:
        KVP_CALL_ALLOCATE
        KVP_CALL_REGISTER
        KVP_CALL_MATCH
        KVP_CALL_RELEASE
        KVP_CALL_OPEN
        KVP_CALL_APPEND
        KVP_NUM_CALLS

    enum: KVP_LATENCY_CLASSES

    ctypedef struct kvp_latency:
        uint32_t period
        uint64_t counts[6][40]
        uint64_t totals[6]

    void kvp_latency_restart(kvp_latency *self, uint32_t period)
    void kvp_latency_read(const kvp_latency *self, kvp_latency *copy)
    int64_t kvp_latency_begin(kvp_latency *self)
    void kvp_latency_end(kvp_latency *self, kvp_call call, int64_t start)


cdef extern from "kvp/shared_pool.h" nogil:
    ctypedef struct kvp_shared_pool:
        kvp_waiter *first
        uint64_t num_waiters
        kvp_bell *news
        int32_t relief
        uint64_t num_failures
        kvp_latency latency
        kvp_pool pool

    void kvp_shared_pool_enter(kvp_shared_pool *self)
    void kvp_shared_pool_leave(kvp_shared_pool *self)
    int32_t kvp_shared_pool_guess_empty(const kvp_shared_pool *self)
    int32_t kvp_shared_pool_guess_held(const kvp_shared_pool *self)
    int32_t kvp_shared_pool_guess_registered(const kvp_shared_pool *self)
    int32_t kvp_shared_pool_guess_cached(const kvp_shared_pool *self)
    void kvp_shared_pool_drop(kvp_shared_pool *self, kvp_lease *lease)
    void kvp_shared_pool_listen(kvp_shared_pool *self, kvp_bell *bell)
    void kvp_shared_pool_enqueue(kvp_shared_pool *self, kvp_waiter *waiter)
    void kvp_shared_pool_withdraw(kvp_shared_pool *self, kvp_waiter *waiter)
    kvp_waiter *kvp_shared_pool_collect(kvp_shared_pool *self, kvp_bell *bell)
    kvp_status kvp_shared_pool_forget_others(kvp_shared_pool *self)
    bint kvp_shared_pool_await_event(kvp_shared_pool *self, uint64_t number)


cdef extern from "kvp/anchor.h" nogil:
    ctypedef struct kvp_anchor:
        kvp_shared_pool shared

    kvp_anchor *kvp_anchor_new(const kvp_pool_config *config)
    void kvp_anchor_abandon(kvp_anchor *self)
