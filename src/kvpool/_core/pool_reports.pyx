"""What a pool tells of itself."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.arrays cimport int32_array, uint32_array, uint64_array, uint8_array
from kvpool._core.libkvp cimport *
from kvpool._core.pool_core cimport BlockColumns, Counts, HoldRecord
from kvpool._core.pool_events cimport PoolEvents

from kvpool.errors import AllocationTimeout, BlockPoolError, CorruptionError, NotEnoughBlocksAvailable
from kvpool.types.age_histogram import AgeHistogram
from kvpool.types.block_state import BlockState
from kvpool.types.block_table import BlockTable
from kvpool.types.hold import Hold
from kvpool.types.latency_histogram import LatencyHistogram
from kvpool.types.pool_status import PoolStatus
from kvpool.types.reuse_statistics import ReuseStatistics

cdef dict STATES = {state.value: state for state in BlockState}

cdef tuple CALLS = (("allocate", KVP_CALL_ALLOCATE), ("register", KVP_CALL_REGISTER), ("match", KVP_CALL_MATCH),
                    ("release", KVP_CALL_RELEASE), ("open", KVP_CALL_OPEN), ("append", KVP_CALL_APPEND))


cdef bytes copy_counts(const uint64_t *counts, Py_ssize_t n):
    return PyBytes_FromStringAndSize(<const char *>counts, n * sizeof(uint64_t))


cdef class PoolReports(PoolEvents):
    """Counts, states and holds of a pool. Base of :class:`BlockPool`; not useful by itself."""

    def __repr__(self):
        cdef Counts counts
        self.read_counts(&counts)
        named = f" {self.name!r}" if self.name else ""
        return (f"<BlockPool{named} of {counts.total} blocks of {self.block_size} tokens: {counts.empty} empty, "
                f"{counts.cached} cached, {counts.active} active>")

    @property
    def total_blocks(self):
        """Blocks of the pool."""
        return self.num_blocks

    @property
    def available_blocks(self):
        """Blocks that can be allocated now: empty and cached ones."""
        cdef Counts counts
        self.read_counts(&counts)
        return counts.empty + counts.cached

    @property
    def usage_rate(self):
        """Share of the blocks that is held, in [0, 1]."""
        cdef Counts counts
        self.read_counts(&counts)
        return counts.active / <double>counts.total

    @property
    def cache_hit_rate(self):
        """Blocks returned by ``match_sequence_hashes`` for each hash it was asked for, in [0, 1]; 0 before the
        first."""
        cdef Counts counts
        cdef kvp_stats stats = self.read_counts(&counts)
        if stats.match_hashes_requested == 0:
            return 0.0
        return stats.match_blocks_returned / <double>stats.match_hashes_requested

    @property
    def allocation_failures(self):
        """Calls that raised :class:`NotEnoughBlocksAvailable`."""
        return self.read_failures()

    cdef object new_status(self, const kvp_stats *s, const Counts *counts):
        return PoolStatus(counts.total, counts.empty, counts.cached, counts.active, counts.empty + counts.cached,
                          counts.mutable, counts.active - counts.mutable, s.allocations, s.allocations_from_empty,
                          s.evictions, s.registrations, s.duplicates, s.match_hashes_requested,
                          s.match_blocks_returned, s.scan_hashes_requested, s.scan_blocks_returned, s.touches,
                          s.resets, counts.waiting, counts.pinned, s.evictions_ahead, s.evictions_for_pressure,
                          s.truncations)

    def status(self):
        """Return a :class:`PoolStatus`: block counts and counters of one moment."""
        cdef Counts counts
        cdef kvp_stats stats = self.read_counts(&counts)
        return self.new_status(&stats, &counts)

    def blocks(self):
        """Return a :class:`BlockTable`: what the pool knows of every block, and its status, of one moment."""
        cdef Py_ssize_t n = self.num_blocks  # products of it do not fit an int32
        cdef bytes states = PyBytes_FromStringAndSize(NULL, n), hashes = PyBytes_FromStringAndSize(NULL, 8 * n)
        cdef bytes parents = PyBytes_FromStringAndSize(NULL, 4 * n), references = PyBytes_FromStringAndSize(NULL, 4 * n)
        cdef bytes children = PyBytes_FromStringAndSize(NULL, 4 * n), levels = PyBytes_FromStringAndSize(NULL, n)
        cdef bytes generations = PyBytes_FromStringAndSize(NULL, 4 * n), spaces = PyBytes_FromStringAndSize(NULL, n)
        cdef Counts counts
        cdef BlockColumns columns
        cdef kvp_stats stats
        columns.states = <uint8_t *>PyBytes_AS_STRING(states)
        columns.hashes = <uint64_t *>PyBytes_AS_STRING(hashes)
        columns.parents = <int32_t *>PyBytes_AS_STRING(parents)
        columns.references = <uint32_t *>PyBytes_AS_STRING(references)
        columns.children = <uint32_t *>PyBytes_AS_STRING(children)
        columns.levels = <uint8_t *>PyBytes_AS_STRING(levels)
        columns.generations = <uint32_t *>PyBytes_AS_STRING(generations)
        columns.spaces = <uint8_t *>PyBytes_AS_STRING(spaces)
        stats = self.read_blocks(&columns, &counts)
        return BlockTable(self.new_status(&stats, &counts), uint8_array(states), uint64_array(hashes),
                          int32_array(parents), uint32_array(references), uint32_array(children), uint8_array(levels),
                          uint32_array(generations), uint8_array(spaces), self.known_namespaces())

    def block_state(self, block_id):
        """Return the :class:`BlockState` of a block id in [0, num_blocks)."""
        cdef uint8_t state
        self.read_states(parse_int(block_id, "block_id", 0, self.num_blocks - 1), 1, &state)
        return STATES[state]

    def block_states(self):
        """Return the value of :class:`BlockState` of every block, a uint8 array of shape (num_blocks,)."""
        cdef bytes states = PyBytes_FromStringAndSize(NULL, self.num_blocks)
        self.read_states(0, self.num_blocks, <uint8_t *>PyBytes_AS_STRING(states))
        return uint8_array(states)

    cdef list read_hold_list(self):
        """Live holds as (owner, since, blocks, kind), oldest first."""
        cdef Counts counts
        cdef HoldRecord *records = NULL
        cdef uint64_t i, found, left = 0
        cdef object owner
        cdef list holds = []
        try:
            with cython.critical_section(self):  # no named handle dies before its name has a reference here
                while True:
                    self.read_counts(&counts)
                    records = <HoldRecord *>PyMem_Malloc((counts.leases + 1) * sizeof(HoldRecord))
                    if records == NULL:
                        raise MemoryError(f"no memory for {counts.leases} holds")
                    found = self.read_holds(records, counts.leases + 1)
                    if found <= counts.leases + 1:
                        break
                    PyMem_Free(records)
                # Before anything is made: that may run the collector, which may drop handles and their names.
                for i in range(found):
                    if records[i].owner != NULL:
                        Py_INCREF(<object>records[i].owner)
                left = found
            while left > 0:
                left -= 1
                owner = None
                if records[left].owner != NULL:
                    owner = <object>records[left].owner
                    Py_DECREF(owner)
                holds.append((owner, records[left].since, records[left].blocks,
                              "pin" if records[left].is_pin else "sequence" if records[left].is_sequence
                              else "view" if records[left].is_view else "mutable" if records[left].is_mutable
                              else "immutable"))
            return holds
        finally:
            while left > 0:  # there was no memory for the rest
                left -= 1
                if records[left].owner != NULL:
                    Py_DECREF(<object>records[left].owner)
            PyMem_Free(records)

    def outstanding(self):
        """Return who holds blocks: a :class:`Hold` for each live handle that holds any, oldest first."""
        cdef int64_t now = self.now()
        cdef list holds = []
        for owner, since, blocks, kind in self.read_hold_list():
            holds.append(Hold(owner, kind, blocks, (now - since) / 1e9))
        return holds

    cdef list sum_of_holds(self):
        """Return holds summed up by owner and kind, largest first."""
        cdef int64_t now = self.now()
        cdef dict sums = {}
        cdef list holders = []
        for owner, since, blocks, kind in self.read_hold_list():
            key = (id(owner), kind)
            before = sums.get(key)
            sums[key] = (owner, kind, blocks, since) if before is None else (owner, kind, before[2] + blocks, before[3])
        for owner, kind, blocks, since in sums.values():
            holders.append(Hold(owner, kind, blocks, (now - since) / 1e9))
        holders.sort(key=lambda hold: -hold.blocks)
        return holders

    cdef object shortage(self, object requested, bint waited, int32_t space=0):
        """Return the error for too few blocks, with who holds the rest; it counts as a failure."""
        self.count_failure()
        return self.describe_shortage(requested, waited, space)

    cdef object describe_shortage(self, object requested, bint waited, int32_t space):
        cdef Counts counts
        self.read_counts(&counts)
        error = AllocationTimeout if waited else NotEnoughBlocksAvailable
        return error(requested, self.read_room(space), counts.total, self.sum_of_holds())

    def time_calls(self, period):
        """Time one in so many calls, for :meth:`latencies`.

        Parameters
        ----------
        period : int
            In [0, 2**32); 0 times none any more. What was timed before is forgotten.
        """
        self.begin_latencies(parse_int(period, "period", 0, 2**32 - 1))

    def latencies(self):
        """Return how long the timed calls took inside the pool, a dict of str to :class:`LatencyHistogram`.

        The names are ``allocate``, ``register``, ``match``, ``release`` (called, not by dropping the handle), ``open``
        (of sequences) and ``append`` (a step of a :class:`SequenceBatch`).
        """
        cdef kvp_latency latency
        self.read_latencies(&latency)
        return {name: LatencyHistogram(uint64_array(copy_counts(latency.counts[call], KVP_LATENCY_CLASSES)),
                                       latency.totals[call] * 1e-9, latency.period) for name, call in CALLS}

    def reuse_statistics(self, *, reset=False):
        """Return what became of a sample of the blocks: how long they stayed, how often they were used, which of them
        were missed after their eviction, and how many hits pools of other sizes would have had.

        Parameters
        ----------
        reset : bool, default False
            Begin to count anew, so that the next call tells of the time from now on.

        Returns
        -------
        ReuseStatistics

        Raises
        ------
        BlockPoolError
            The pool was made without ``reuse_sampling``.

        Notes
        -----
        The curve is that of stack distances (Mattson and others, 1970) in a sample of the hashes (SHARDS: Waldspurger
        and others, FAST 2015), for LRU. At its own size, the pool knows its hits without a sample: the curve goes
        through them, and tells under other policies what LRU would gain and lose from there. A request that asks again
        after it was refused counts again.
        """
        cdef kvp_reuse_stats stats
        if self.shared.pool.sampler == NULL:
            raise BlockPoolError("the pool follows no blocks: make it with reuse_sampling=, for example 0.005")
        self.read_reuse(&stats, bool(reset))
        return ReuseStatistics(self.num_blocks, self.reuse_sampling, stats.requested, stats.found, stats.sampled,
                               uint64_array(copy_counts(stats.hits, KVP_REUSE_BINS)), stats.evicted,
                               AgeHistogram(uint64_array(copy_counts(stats.lifetimes, KVP_AGE_CLASSES))),
                               AgeHistogram(uint64_array(copy_counts(stats.idle_ages, KVP_AGE_CLASSES))),
                               uint64_array(copy_counts(stats.reuse_counts, KVP_COUNT_CLASSES)),
                               AgeHistogram(uint64_array(copy_counts(stats.absences, KVP_AGE_CLASSES))))

    def check_invariants(self):
        """Check every internal count and link, O(num_blocks).

        Raises
        ------
        CorruptionError
            Names what does not hold.
        """
        cdef void *scratch = PyMem_Calloc(self.num_blocks, 5)
        cdef const char *broken
        if scratch == NULL:
            raise MemoryError(f"no memory to check {self.num_blocks} blocks")
        broken = self.check(scratch)
        PyMem_Free(scratch)
        if broken != NULL:
            raise CorruptionError((<bytes>broken).decode())
