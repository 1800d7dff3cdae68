"""What a pool tells of itself."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int32_t, int64_t, uint8_t, uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.arrays cimport uint64_array, uint8_array
from kvpool._core.libkvp cimport *
from kvpool._core.pool_core cimport Counts, HoldRecord, PoolCore

from kvpool.errors import AllocationTimeout, BlockPoolError, CorruptionError, NotEnoughBlocksAvailable
from kvpool.types.age_histogram import AgeHistogram
from kvpool.types.block_state import BlockState
from kvpool.types.eviction_reason import EvictionReason
from kvpool.types.hold import Hold
from kvpool.types.pool_event import PoolEvent, PoolEventKind
from kvpool.types.pool_status import PoolStatus
from kvpool.types.reuse_statistics import ReuseStatistics

cdef dict STATES = {state.value: state for state in BlockState}
cdef dict KINDS = {kind.value: kind for kind in PoolEventKind}
cdef dict REASONS = {reason.value: reason for reason in EvictionReason}


cdef bytes copy_counts(const uint64_t *counts, Py_ssize_t n):
    return PyBytes_FromStringAndSize(<const char *>counts, n * sizeof(uint64_t))


cdef class PoolReports(PoolCore):
    """Counts, states, holds and events of a pool. Base of :class:`BlockPool`; not useful by itself."""

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

    def status(self):
        """Return a :class:`PoolStatus`: block counts and counters of one moment."""
        cdef Counts counts
        cdef kvp_stats s = self.read_counts(&counts)
        return PoolStatus(counts.total, counts.empty, counts.cached, counts.active, counts.empty + counts.cached,
                          counts.mutable, counts.active - counts.mutable, s.allocations, s.allocations_from_empty,
                          s.evictions, s.registrations, s.duplicates, s.match_hashes_requested,
                          s.match_blocks_returned, s.scan_hashes_requested, s.scan_blocks_returned, s.touches,
                          s.resets, counts.waiting, counts.pinned, s.evictions_ahead)

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
        cdef HoldRecord *records
        cdef uint64_t i, found
        cdef object owner
        with self.owners_lock:  # without a GIL: no named handle dies before its name has a reference here
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
        holds = []
        try:
            while found > 0:
                found -= 1
                owner = None
                if records[found].owner != NULL:
                    owner = <object>records[found].owner
                    Py_DECREF(owner)
                holds.append((owner, records[found].since, records[found].blocks,
                              "pin" if records[found].is_pin else "sequence" if records[found].is_sequence
                              else "mutable" if records[found].is_mutable else "immutable"))
            return holds
        finally:
            PyMem_Free(records)

    def outstanding(self):
        """Return who holds blocks: a :class:`Hold` for each live handle that holds any, oldest first."""
        cdef int64_t now = self.now()
        return [Hold(owner, kind, blocks, (now - since) / 1e9) for owner, since, blocks, kind in self.read_hold_list()]

    cdef list sum_of_holds(self):
        """Return holds summed up by owner and kind, largest first."""
        cdef int64_t now = self.now()
        cdef dict sums = {}
        for owner, since, blocks, kind in self.read_hold_list():
            key = (id(owner), kind)
            before = sums.get(key)
            sums[key] = (owner, kind, blocks, since) if before is None else (owner, kind, before[2] + blocks, before[3])
        holders = [Hold(owner, kind, blocks, (now - since) / 1e9) for owner, kind, blocks, since in sums.values()]
        holders.sort(key=lambda hold: -hold.blocks)
        return holders

    cdef object shortage(self, object requested, bint waited, int32_t space=0):
        """Return the error for too few blocks, with who holds the rest."""
        cdef Counts counts
        self.read_counts(&counts)
        error = AllocationTimeout if waited else NotEnoughBlocksAvailable
        return error(requested, self.read_room(space), counts.total, self.sum_of_holds())

    def events(self, since=0):
        """Return what happened to the registry from a sequence number on.

        Parameters
        ----------
        since : int, default 0
            Sequence number of the first event wanted. If the first one returned is later, those between were dropped
            from the ring.

        Returns
        -------
        list of PoolEvent
        """
        cdef Counts counts
        cdef uint64_t start = parse_int(since, "since", 0, 2**64 - 1), first = 0, count, i, room
        cdef kvp_event *events
        self.read_counts(&counts)
        if start >= counts.next_event or self.shared.pool.events.capacity == 0:
            return []
        room = min(counts.next_event - start, self.shared.pool.events.capacity)
        events = <kvp_event *>PyMem_Malloc(room * sizeof(kvp_event))
        if events == NULL:
            raise MemoryError(f"no memory for {room} events")
        try:
            count = self.read_events(start, events, room, &first)
            return [PoolEvent(first + i, KINDS[events[i].kind],
                              None if events[i].id == KVP_NO_BLOCK else events[i].hash,
                              events[i].parent if events[i].has_parent else None,
                              None if events[i].id == KVP_NO_BLOCK else events[i].id,
                              REASONS.get(events[i].reason)) for i in range(count)]
        finally:
            PyMem_Free(events)

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
