"""The pool's one lock, and what is done under it."""

cimport cython
from libc.math cimport isfinite, llround
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvpool._core.clock cimport CLOCK_MONOTONIC_COARSE, read_clock
from kvpool._core.interpreter cimport KVP_FREE_THREADED, kvp_peek
from kvpool._core.libkvp cimport *
from kvpool.callbacks import call_or_report


cdef inline uint8_t state_of(const kvp_block *row) noexcept nogil:
    if kvp_block_is_registered(row):
        return 4 if row.refs > 0 else 8
    return 2 if row.refs > 0 else 1


cdef class PoolCore:
    """The C pool and its lock. Base of :class:`BlockPool`; not useful by itself."""

    def __cinit__(self, *args, **kwargs):
        if type(self).__name__ != "BlockPool":  # final, so only the real one has its name and this base
            raise TypeError(f"{type(self).__name__} is only the base of BlockPool")
        self.high_count = -1

    cdef int create(self, int32_t num_blocks, bint keeps_duplicates, uint64_t event_capacity, uint32_t event_tokens,
                    kvp_policy_kind policy, uint32_t ghost_factor, bint keeps_facts, double reuse_sampling,
                    int32_t max_namespaces, bytes secret) except -1:
        cdef kvp_pool_config config
        config.num_blocks = num_blocks
        config.keeps_duplicates = keeps_duplicates
        config.has_outer_lock = not KVP_FREE_THREADED  # the GIL, which no call gives up while it has the lock
        config.event_capacity = event_capacity
        config.event_tokens = event_tokens
        config.policy = policy
        config.ghost_factor = ghost_factor
        config.keeps_facts = keeps_facts
        config.keeps_checks = self.has_checks
        config.reuse_sampling = reuse_sampling
        config.max_namespaces = max_namespaces
        memcpy(config.secret, <const char *>secret, sizeof(config.secret))
        self.anchor = kvp_anchor_new(&config)
        if self.anchor == NULL:
            raise MemoryError(f"no memory for a pool of {num_blocks} blocks")
        self.shared = &self.anchor.shared
        self.num_blocks = num_blocks
        self.flights = {}
        self.flights_limit = 64
        return 0

    def __dealloc__(self):
        kvp_anchor_abandon(self.anchor)

    cdef int64_t now(self) except? -1:
        """Nanoseconds of the pool's clock. The system's is read with a resolution of some milliseconds."""
        cdef double seconds
        if self.clock is None:
            return read_clock(CLOCK_MONOTONIC_COARSE)
        seconds = self.clock()
        if not isfinite(seconds) or not -9e9 < seconds < 9e9:
            raise ValueError(f"the pool's clock returned {seconds}, which is not within 9e9 seconds of 0")
        return llround(seconds * 1e9)

    cdef ScrubLedger known_ledger(self):
        """The ledger, or None; another thread may take it from the pool meanwhile."""
        with cython.critical_section(self):
            ledger = self.ledger
        return ledger

    cdef int arrive(self, const int32_t *ids, Py_ssize_t n, uint8_t space) except -1:
        """Blocks were handed out: fill with zeros those that have bytes of others. Called if there is a ledger."""
        cdef ScrubLedger ledger = self.known_ledger()
        if ledger is not None and n > 0:
            ledger.arrive(ids, n, space)

    cdef void drop(self, kvp_lease *lease) noexcept:
        kvp_shared_pool_drop(self.shared, lease)

    cdef kvp_status release(self, kvp_lease *lease, uint32_t hint) noexcept nogil:
        cdef int64_t start = kvp_latency_begin(&self.shared.latency)
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_release_hinted(&self.shared.pool, lease, hint)
        kvp_latency_end(&self.shared.latency, KVP_CALL_RELEASE, start)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status release_segment(self, const kvp_segment *segment) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_release_segment(&self.shared.pool, segment)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status allocate(self, kvp_lease *lease, int64_t now, uint64_t *evicted, uint32_t max_evicted,
                             uint32_t *num_evicted) noexcept nogil:
        cdef int64_t start = kvp_latency_begin(&self.shared.latency)
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_allocate(&self.shared.pool, lease, now, evicted, max_evicted, num_evicted)
        kvp_latency_end(&self.shared.latency, KVP_CALL_ALLOCATE, start)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status register(self, const kvp_registration *registration, int64_t now, kvp_lease *lease,
                             uint32_t *at) noexcept nogil:
        cdef int64_t start = kvp_latency_begin(&self.shared.latency)
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_register(&self.shared.pool, registration, now, lease, at)
        kvp_latency_end(&self.shared.latency, KVP_CALL_REGISTER, start)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef void hold_prefix(self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil:
        cdef int64_t start = kvp_latency_begin(&self.shared.latency)
        kvp_shared_pool_enter(self.shared)
        kvp_pool_match(&self.shared.pool, hashes, n, now, lease)
        kvp_latency_end(&self.shared.latency, KVP_CALL_MATCH, start)
        kvp_shared_pool_leave(self.shared)

    cdef void hold_ahead(self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_pool_hold_ahead(&self.shared.pool, hashes, n, now, lease)
        kvp_shared_pool_leave(self.shared)

    cdef kvp_foresight read_foresight(self) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_foresight foresight = self.shared.pool.foresight
        kvp_shared_pool_leave(self.shared)
        return foresight

    cdef void hold_each(self, const uint64_t *hashes, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_pool_match_scattered(&self.shared.pool, hashes, n, now, lease)
        kvp_shared_pool_leave(self.shared)

    cdef uint32_t find_prefix(self, const uint64_t *hashes, const uint64_t *checks, uint32_t n,
                              int32_t *ids) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t found = kvp_pool_find_prefix(&self.shared.pool, hashes, checks, n, ids)
        kvp_shared_pool_leave(self.shared)
        return found

    cdef uint32_t find_each(self, const uint64_t *hashes, uint32_t n, int32_t *ids) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t found = kvp_pool_find_each(&self.shared.pool, hashes, n, ids)
        kvp_shared_pool_leave(self.shared)
        return found

    cdef uint32_t touch_hashes(self, const uint64_t *hashes, uint32_t n, int64_t now, int32_t *ids) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_pool_see_time(&self.shared.pool, now)
        cdef uint32_t found = kvp_pool_touch(&self.shared.pool, hashes, n, ids)
        kvp_shared_pool_leave(self.shared)
        return found

    cdef kvp_status share(self, const kvp_segment *parts, uint32_t n, int64_t now, kvp_lease *lease) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_share(&self.shared.pool, parts, n, now, lease)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status lend(self, const kvp_segment *part, int64_t now, kvp_lease *lease) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_lend(&self.shared.pool, part, now, lease)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status join(self, const kvp_segment *parts, uint32_t n, int64_t now, kvp_lease *lease,
                         uint32_t *at) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_join(&self.shared.pool, parts, n, now, lease, at)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status upgrade(self, int32_t id, uint32_t generation, uint64_t hash, int64_t now,
                            kvp_lease *lease) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_upgrade(&self.shared.pool, id, generation, hash, now, lease)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef int make_way(self, int64_t n) except -1:
        """Ask the policy which blocks are to go, before a call that takes n."""
        return 0

    cdef int end_way(self) except -1:
        """Forget what the policy said, after that call."""
        return 0

    cdef void end_preference(self, const kvp_candidate *victims, uint32_t n) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_pool_end_preference(&self.shared.pool, victims, n)
        kvp_shared_pool_leave(self.shared)

    cdef uint32_t read_candidates(self, kvp_candidate *candidates, uint32_t room) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t count = kvp_pool_candidates(&self.shared.pool, candidates, room)
        kvp_shared_pool_leave(self.shared)
        return count

    cdef uint32_t prefer(self, const kvp_candidate *victims, uint32_t n) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t taken = kvp_pool_prefer(&self.shared.pool, victims, n)
        kvp_shared_pool_leave(self.shared)
        return taken

    cdef int watch(self) except -1:
        """Tell those who want to know, after a call, that pressure has become high or low, or empty blocks few."""
        if self.has_chooser:
            self.end_way()
        if kvp_peek(self.reserve) > 0:
            self.watch_reserve()
        if self.high_count >= 0:
            self.watch_pressure()
        return 0

    cdef int watch_reserve(self) except -1:
        """Wake who keeps blocks empty if too few are, once until it has looked."""
        wake = None
        with cython.critical_section(self):
            if self.reserve > 0 and not self.is_awake and kvp_shared_pool_guess_empty(self.shared) < self.reserve:
                self.is_awake = True
                wake = self.wake
        if wake is not None:
            wake()

    cdef void watch_pressure(self) noexcept:
        """Tell of pressure if it has become high or low."""
        cdef int32_t held
        cdef bint is_high, has_changed
        if self.high_count < 0:
            return
        with cython.critical_section(self):  # or two threads could tell of the same change
            held = kvp_shared_pool_guess_held(self.shared)  # the next call looks again
            is_high = held > self.low_count if self.is_high else held >= self.high_count
            has_changed = is_high != self.is_high
            self.is_high = is_high
        if not has_changed:
            return
        self.tell_pressure(is_high)
        if kvp_peek(self.is_high):
            self.await_relief()

    cdef void await_relief(self) noexcept:
        """Have the background look at the pressure when blocks are dropped."""
        pass

    cdef void tell_pressure(self, bint is_high) noexcept:
        call_or_report(self.on_pressure, self, bool(is_high))  # an error of the listener's does not undo what was done

    cdef uint32_t retain_hashes(self, const uint64_t *hashes, uint32_t n, int level, int64_t expiry,
                                int64_t now) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t found = kvp_pool_retain(&self.shared.pool, hashes, n, level, expiry, now)
        kvp_shared_pool_leave(self.shared)
        return found

    cdef kvp_status pin_hashes(self, const uint64_t *hashes, uint32_t n, int32_t limit, int64_t now, kvp_lease *lease,
                               int32_t *wanted) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_pin(&self.shared.pool, hashes, n, limit, now, lease, wanted)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef void protect_prompts(self, const uint64_t *hashes, const uint32_t *lengths, uint32_t n,
                              int32_t *ids) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_pool_protect(&self.shared.pool, hashes, lengths, n, ids)
        kvp_shared_pool_leave(self.shared)

    cdef uint32_t evict_some(self, uint32_t n, uint32_t highest, kvp_reason reason, int64_t now,
                             kvp_identity *evicted) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t count = kvp_pool_evict(&self.shared.pool, n, highest, reason, now, evicted)
        kvp_shared_pool_leave(self.shared)
        return count

    cdef kvp_status reset_all(self, kvp_identity *evicted, uint32_t room, uint32_t *count) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_reset(&self.shared.pool, evicted, room, count)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status reset_some(self, const uint64_t *hashes, uint32_t n, uint8_t *outcomes, kvp_identity *evicted,
                               uint32_t room, uint32_t *count) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_reset_blocks(&self.shared.pool, hashes, n, outcomes, evicted, room, count)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef bint read_hashes(self, const kvp_lease *lease, uint64_t *hashes) noexcept nogil:
        """Sequence hashes of a lease's blocks; False when it is not live, and its blocks may be anyone's."""
        cdef uint32_t i
        kvp_shared_pool_enter(self.shared)
        cdef bint is_live = lease.is_live
        if is_live:
            for i in range(lease.count):
                hashes[i] = self.shared.pool.table.rows[lease.ids[i]].hash
        kvp_shared_pool_leave(self.shared)
        return is_live

    cdef bint read_hash(self, const kvp_lease *lease, uint32_t entry, uint64_t *hash) noexcept nogil:
        """Sequence hash of one entry; False when the lease is not live."""
        kvp_shared_pool_enter(self.shared)
        cdef bint is_live = lease.is_live
        if is_live:
            hash[0] = self.shared.pool.table.rows[lease.ids[entry]].hash
        kvp_shared_pool_leave(self.shared)
        return is_live

    cdef uint32_t generation_of(self, int32_t id) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t generation = self.shared.pool.table.rows[id].generation
        kvp_shared_pool_leave(self.shared)
        return generation

    cdef void read_states(self, int32_t first, int32_t n, uint8_t *states) noexcept nogil:
        """Values of BlockState for ids [first, first + n)."""
        cdef int32_t i
        kvp_shared_pool_enter(self.shared)
        for i in range(n):
            states[i] = state_of(&self.shared.pool.table.rows[first + i])
        kvp_shared_pool_leave(self.shared)

    cdef kvp_stats read_counts(self, Counts *counts) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        count_locked(self.shared, counts)
        cdef kvp_stats stats = self.shared.pool.stats
        kvp_shared_pool_leave(self.shared)
        return stats

    cdef kvp_stats read_blocks(self, BlockColumns *columns, Counts *counts) noexcept nogil:
        """What is known of every block, in one moment."""
        cdef int32_t i
        cdef const kvp_block *row
        kvp_shared_pool_enter(self.shared)
        cdef kvp_pool *pool = &self.shared.pool
        count_locked(self.shared, counts)
        for i in range(pool.table.num_blocks):
            row = &pool.table.rows[i]
            columns.states[i] = state_of(row)
            columns.hashes[i] = row.hash if kvp_block_is_registered(row) else 0
            columns.parents[i] = kvp_block_parent(row)
            columns.references[i] = row.refs
            columns.children[i] = row.children
            columns.levels[i] = row.level
            columns.generations[i] = row.generation
            columns.spaces[i] = pool.namespaces.of[i] if pool.namespaces != NULL else 0
        cdef kvp_stats stats = pool.stats
        kvp_shared_pool_leave(self.shared)
        return stats

    cdef uint32_t save_columns(self, kvp_index_columns *columns, uint32_t room, int64_t now,
                               void *scratch) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t total = kvp_pool_save(&self.shared.pool, columns, room, now, scratch)
        kvp_shared_pool_leave(self.shared)
        return total

    cdef kvp_status restore_columns(self, const kvp_restoration *restoration, int64_t now,
                                    void *scratch) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_restore(&self.shared.pool, restoration, now, scratch)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef void begin_latencies(self, uint32_t period) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_latency_restart(&self.shared.latency, period)
        kvp_shared_pool_leave(self.shared)

    cdef void read_latencies(self, kvp_latency *latency) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_latency_read(&self.shared.latency, latency)
        kvp_shared_pool_leave(self.shared)

    cdef uint64_t read_holds(self, HoldRecord *holds, uint64_t room) noexcept nogil:
        """Live leases, oldest last; returns how many there are, which may be more than there was room for."""
        cdef uint64_t count = 0
        kvp_shared_pool_enter(self.shared)
        cdef kvp_lease *lease = self.shared.pool.leases
        while lease != NULL:
            if count < room:
                holds[count].owner = lease.owner
                holds[count].since = lease.since
                holds[count].blocks = lease.held
                holds[count].is_mutable = lease.is_mutable
                holds[count].is_sequence = lease.is_sequence
                holds[count].is_pin = lease.is_pin
                holds[count].is_view = lease.is_view
            count += 1
            lease = lease.next
        kvp_shared_pool_leave(self.shared)
        return count

    cdef kvp_status set_quota(self, int32_t space, int32_t floor, int32_t cap, int64_t now) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_pool_set_quota(&self.shared.pool, space, floor, cap, now)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_quota read_quota(self, int32_t space) noexcept nogil:
        cdef kvp_quota quota
        kvp_shared_pool_enter(self.shared)
        cdef const kvp_pool *pool = &self.shared.pool
        if pool.namespaces != NULL:
            quota = pool.namespaces.quotas[space]
        else:  # there is but the default one, which has everything
            quota.floor = 0
            quota.cap = pool.table.num_blocks
            quota.held = pool.num_active + pool.num_mutable
            quota.cached = pool.num_cached
        kvp_shared_pool_leave(self.shared)
        return quota

    cdef int64_t read_room(self, int32_t space) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef int64_t room = kvp_pool_room(&self.shared.pool, space)
        kvp_shared_pool_leave(self.shared)
        return room

    cdef void read_reuse(self, kvp_reuse_stats *stats, bint reset) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        stats[0] = self.shared.pool.sampler.stats
        if reset:
            memset(&self.shared.pool.sampler.stats, 0, sizeof(kvp_reuse_stats))
        kvp_shared_pool_leave(self.shared)

    cdef const char *check(self, void *scratch) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef const char *broken = kvp_pool_check(&self.shared.pool, scratch)
        kvp_shared_pool_leave(self.shared)
        return broken

    cdef kvp_status open_blocks(self, kvp_sequence *sequence, uint64_t slots, int64_t now) noexcept nogil:
        cdef int64_t start = kvp_latency_begin(&self.shared.latency)
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_sequence_open(sequence, &self.shared.pool, slots, now)
        kvp_latency_end(&self.shared.latency, KVP_CALL_OPEN, start)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status give_back_blocks(self, kvp_sequence *sequence, uint32_t hint) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_sequence_give_back(sequence, &self.shared.pool, hint)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status append_written(self, kvp_sequence *sequence, uint64_t n, uint64_t slots,
                                   int64_t now) noexcept nogil:
        """Count n tokens in that were written, and have blocks for `slots` more. n may be 0."""
        cdef kvp_status status = KVP_NOT_ENOUGH
        cdef uint64_t before = sequence.num_tokens
        kvp_shared_pool_enter(self.shared)
        cdef uint32_t missing = kvp_sequence_missing(sequence, before + n + slots)
        if missing <= kvp_pool_room(&self.shared.pool, sequence.lease.space):
            status = KVP_OK
            kvp_pool_see_time(&self.shared.pool, now)
            if missing:
                kvp_sequence_take(sequence, &self.shared.pool, missing)
            if n and sequence.commits_on_append:
                kvp_sequence_commit(sequence, &self.shared.pool, before)
            kvp_sequence_count_in(sequence, n)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef void commit_blocks(self, kvp_sequence *sequence, uint64_t num_computed) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        kvp_sequence_commit(sequence, &self.shared.pool, num_computed)
        kvp_shared_pool_leave(self.shared)

    cdef kvp_status truncate_blocks(self, kvp_sequence *sequence, uint64_t num_tokens, int64_t now, int32_t *copy,
                                    uint32_t *num_copies) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_sequence_truncate(sequence, &self.shared.pool, num_tokens, now, copy, num_copies)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status fork_blocks(self, kvp_sequence *sequence, const kvp_sequence *other, int64_t now, int32_t *copies,
                                uint32_t *num_copies) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_sequence_fork(sequence, other, &self.shared.pool, now, copies, num_copies)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef kvp_status append_batch(self, kvp_sequence_batch *batch, const kvp_step *step, bint is_partial, int64_t now,
                                 int32_t *refused, uint32_t *num_refused) noexcept nogil:
        cdef int64_t start = kvp_latency_begin(&self.shared.latency)
        kvp_shared_pool_enter(self.shared)
        cdef kvp_status status = kvp_sequence_batch_append(batch, &self.shared.pool, step, is_partial, now, refused,
                                                           num_refused)
        kvp_latency_end(&self.shared.latency, KVP_CALL_APPEND, start)
        kvp_shared_pool_leave(self.shared)
        return status

    cdef const char *check_sequence(self, const kvp_sequence *sequence) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef const char *broken = kvp_sequence_check(sequence, &self.shared.pool)
        kvp_shared_pool_leave(self.shared)
        return broken
