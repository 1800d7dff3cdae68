"""What happened to the registry, and who is told of it."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Calloc, PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from kvpool._core.arguments cimport parse_int, parse_seconds
from kvpool._core.arrays cimport bool_array, int32_array, uint8_array, uint32_array, uint64_array
from kvpool._core.bell cimport Bell
from kvpool._core.interpreter cimport kvp_forget_section, kvp_peek
from kvpool._core.libkvp cimport *
from kvpool._core.pool_waiting cimport PoolWaiting

import os
import time
import weakref

from kvpool.errors import BlockPoolError
from kvpool.events import CallbackEventManager, EventManager
from kvpool.types.close_report import CloseReport
from kvpool.types.event_batch import EventBatch
from kvpool.types.event_statistics import EventStatistics

# A prompt of a million tokens in a full pool evicts and stores 65,536 blocks in one call.
cdef enum:
    DEFAULT_CAPACITY = 262144


cdef double LONG_WAIT = 1e8  # seconds; more overflow in the system's calls

# Those of this process, for what a forked child must forget.
cdef object POOLS = weakref.WeakSet()


cdef int remember(object pool) except -1:
    POOLS.add(pool)
    return 0


def forget_others():
    for pool in list(POOLS):
        pool._forget_others()


os.register_at_fork(after_in_child=forget_others)


cdef void listen(PoolEvents pool, Bell bell) noexcept:
    """Ring this bell for news from now on. In the pool's critical section."""
    kvp_shared_pool_enter(pool.shared)
    kvp_shared_pool_listen(pool.shared, &bell.bell if bell is not None else NULL)
    kvp_shared_pool_leave(pool.shared)
    pool.bell = bell


cdef bytes new_room(uint64_t n, size_t size):
    return PyBytes_FromStringAndSize(NULL, <Py_ssize_t>(n * size))


cdef object tokens_array(bytes tokens, uint64_t n, size_t block_size):
    return uint32_array(tokens[:n * block_size * sizeof(uint32_t)]).reshape(n, block_size)


cdef class PoolEvents(PoolWaiting):
    """Events of a pool, and who is told of them. Base of :class:`BlockPool`; not useful by itself."""

    def __cinit__(self, *args, **kwargs):
        self.namespace_names = ("",)

    def __dealloc__(self):
        if self.shared != NULL:  # the bell goes before the pool, to which tensors still give blocks back
            kvp_shared_pool_enter(self.shared)
            kvp_shared_pool_listen(self.shared, NULL)
            kvp_shared_pool_leave(self.shared)

    cdef int set_events(self, object event_capacity, object event_tokens, object event_interval,
                        object manager) except -1:
        """Take what the constructor was given."""
        if manager is not None and not isinstance(manager, EventManager):
            raise TypeError(f"event_manager must be an EventManager, not {type(manager).__name__}")
        if event_capacity is None:
            self.event_capacity = 0 if manager is None else DEFAULT_CAPACITY
        else:
            self.event_capacity = parse_int(event_capacity, "event_capacity", 0 if manager is None else 1, 2**32)
        if event_tokens is not None and not isinstance(event_tokens, bool):
            raise TypeError(f"event_tokens must be a bool, not {type(event_tokens).__name__}")
        if event_tokens and self.event_capacity == 0:
            raise ValueError("event_tokens = True, but event_capacity = 0: no events are remembered")
        self.event_tokens = manager is not None and manager.wants_tokens if event_tokens is None else event_tokens
        self.event_interval = parse_seconds(event_interval, "event_interval", True) * 1e-9
        return 0

    cdef object need_engine(self):
        """The background thread, which begins with what it is first asked to do."""
        from kvpool.progress import ProgressEngine  # it is built on the pool

        if kvp_peek(self.is_closed):
            raise BlockPoolError("the pool was closed: nothing goes on in the background any more")
        known = self.known_engine()
        if known is None:
            engine = ProgressEngine(self)
            bell = engine.bell
            with cython.critical_section(self):
                if self.engine is None:  # no other thread was quicker
                    self.engine = engine
                    listen(self, bell)
                known = self.engine
        return known

    cdef object known_engine(self):
        with cython.critical_section(self):
            engine = self.engine
        return engine

    cdef tuple known_namespaces(self):
        """Names by number, as they are now."""
        cdef tuple names
        with cython.critical_section(self):
            names = self.namespace_names
        return names

    @property
    def progress_engine(self):
        """The :class:`ProgressEngine`: the pool's background thread, which runs once something needs it."""
        return self.need_engine()

    cdef uint64_t next_event(self) noexcept nogil:
        kvp_shared_pool_enter(self.shared)
        cdef uint64_t number = self.shared.pool.events.next
        kvp_shared_pool_leave(self.shared)
        return number

    cdef object new_batch(self, const kvp_event *events, bytes tokens, uint64_t n, uint64_t first, uint64_t missed,
                          bint is_snapshot):
        cdef bytes kinds = new_room(n, 1), reasons = new_room(n, 1), hashes = new_room(n, 8), parents = new_room(n, 8)
        cdef bytes has_parent = new_room(n, 1), ids = new_room(n, 4), spaces = new_room(n, 1), known = new_room(n, 1)
        cdef uint64_t i
        for i in range(n):
            (<uint8_t *>PyBytes_AS_STRING(kinds))[i] = events[i].kind
            (<uint8_t *>PyBytes_AS_STRING(reasons))[i] = events[i].reason
            (<uint64_t *>PyBytes_AS_STRING(hashes))[i] = events[i].hash
            (<uint64_t *>PyBytes_AS_STRING(parents))[i] = events[i].parent
            (<uint8_t *>PyBytes_AS_STRING(has_parent))[i] = events[i].has_parent
            (<int32_t *>PyBytes_AS_STRING(ids))[i] = events[i].id
            (<uint8_t *>PyBytes_AS_STRING(spaces))[i] = events[i].space
            (<uint8_t *>PyBytes_AS_STRING(known))[i] = events[i].has_tokens
        return EventBatch(first, missed, time.time(), self.block_size, uint8_array(kinds), uint8_array(reasons),
                          uint64_array(hashes), uint64_array(parents), bool_array(has_parent), int32_array(ids),
                          uint8_array(spaces), self.known_namespaces(),
                          None if tokens is None else tokens_array(tokens, n, self.block_size), bool_array(known),
                          is_snapshot)

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
        return list(self.read_events(since))

    def read_events(self, since=0, limit=None):
        """Return what happened to the registry from a sequence number on, in columns.

        Parameters
        ----------
        since : int, default 0
            Sequence number of the first event wanted.
        limit : int, optional
            Events at most, at least 1.

        Returns
        -------
        EventBatch
            Its ``missed`` says how many of the events wanted were dropped from the ring before its first one.
        """
        cdef uint64_t start = parse_int(since, "since", 0, 2**64 - 1), first = start, count = 0, room = 0, number
        cdef uint64_t most = 2**63 if limit is None else parse_int(limit, "limit", 1, 2**63)
        cdef kvp_event *events = NULL
        cdef bytes tokens = None
        number = self.next_event()
        if start < number:
            room = min(number - start, self.event_capacity, most)
        try:
            if room > 0:
                events = <kvp_event *>PyMem_Malloc(room * sizeof(kvp_event))
                if events == NULL:
                    raise MemoryError(f"no memory for {room} events")
            if self.event_tokens:
                tokens = new_room(room, self.block_size * sizeof(uint32_t))
            if room > 0:
                kvp_shared_pool_enter(self.shared)
                count = kvp_event_ring_read(&self.shared.pool.events, start, events,
                                            <uint32_t *>PyBytes_AS_STRING(tokens) if tokens is not None else NULL,
                                            room, &first)
                kvp_shared_pool_leave(self.shared)
            elif start < number:
                first = number  # a ring without entries has dropped them all
            return self.new_batch(events, tokens, count, first, first - start, False)
        finally:
            PyMem_Free(events)

    def snapshot(self):
        """Tell of everything that is registered, as if it were stored now.

        Returns
        -------
        EventBatch
            ``STORED`` events, each after that of the block that it continues. Its ``first`` is the number of the event
            that comes next: whoever takes the snapshot and then follows :meth:`read_events` from there knows the
            registry at every number.
        """
        cdef uint64_t number = 0
        cdef uint32_t room = 0, total = 1
        cdef kvp_event *events = NULL
        cdef bytes tokens = None
        cdef void *scratch = NULL
        try:
            while total > room:
                # Should more be registered by then, it is tried again with as much room.
                room = max(total, <uint32_t>kvp_shared_pool_guess_registered(self.shared))
                PyMem_Free(events)
                PyMem_Free(scratch)
                events = <kvp_event *>PyMem_Malloc(room * sizeof(kvp_event))
                scratch = PyMem_Calloc(self.num_blocks, sizeof(int32_t) + 1)
                if events == NULL or scratch == NULL:
                    raise MemoryError(f"no memory for a snapshot of {room} blocks")
                if self.event_tokens:
                    tokens = new_room(room, self.block_size * sizeof(uint32_t))
                kvp_shared_pool_enter(self.shared)
                total = kvp_pool_snapshot(&self.shared.pool, events,
                                          <uint32_t *>PyBytes_AS_STRING(tokens) if tokens is not None else NULL, room,
                                          <int32_t *>scratch, &number)
                kvp_shared_pool_leave(self.shared)
            return self.new_batch(events, tokens, total, number, 0, True)
        finally:
            PyMem_Free(events)
            PyMem_Free(scratch)

    def subscribe(self, subscriber, *, since=None, snapshot=False):
        """Have events delivered as they come, in batches, by the pool's background thread.

        Parameters
        ----------
        subscriber : EventManager or callable
            A callable takes an :class:`EventBatch`. What it raises is counted, and the stream goes on.
        since : int, optional
            Sequence number of the first event wanted; by default the next one.
        snapshot : bool, default False
            Begin with a batch that tells of all that is registered (see :meth:`snapshot`), and go on from there.

        Returns
        -------
        Subscription
            Ends with its ``close()``, and with the pool.

        Raises
        ------
        BlockPoolError
            The pool has no ``event_capacity``, or was closed.
        """
        if self.event_capacity == 0:
            raise BlockPoolError("the pool remembers no events: make it with event_capacity=")
        if not isinstance(subscriber, EventManager):
            subscriber = CallbackEventManager(subscriber)
        number = self.next_event()
        start = number if since is None else parse_int(since, "since", 0, number)
        if snapshot and since is not None:
            raise ValueError(f"since = {since} was given along with snapshot, which says itself where it begins")
        return self.need_engine().subscribe(subscriber, start, bool(snapshot))

    def event_statistics(self):
        """Return an :class:`EventStatistics`: how many events there were, and what became of them."""
        engine = self.known_engine()
        if engine is None:
            return EventStatistics(self.next_event(), 0, 0, 0, 0)
        return engine.event_statistics(self.next_event())

    def close(self, timeout=5.0):
        """End what goes on in the background: deliver the events that are left, and close those who get them.

        Blocks and handles stay as they are, and calls go on to work: what is held can still be given back, by whom and
        whenever. No effect when it was done before.

        Parameters
        ----------
        timeout : float, default 5
            Seconds to wait at most for subscribers; one that hangs is left behind.

        Returns
        -------
        CloseReport
            Who still holds blocks, and how many events were not delivered.
        """
        cdef double patience = min(parse_seconds(timeout, "timeout", True) * 1e-9, LONG_WAIT)
        with cython.critical_section(self):
            self.is_closed = True
            engine = self.engine
        undelivered = 0 if engine is None else engine.close(patience)
        return CloseReport(tuple(self.outstanding()), undelivered)

    @property
    def closed(self):
        """Whether :meth:`close` was called."""
        return bool(kvp_peek(self.is_closed))

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    def _listen(self, Bell bell):
        """Ring this bell for news from now on; None: no more."""
        with cython.critical_section(self):
            listen(self, bell)

    def _answer(self):
        """The bell was heard: it can ring again."""
        with cython.critical_section(self):
            if self.bell is not None:
                self.collect(self.bell)

    def _await_event(self, uint64_t number):
        """Ring when event `number` comes; False when it has come already."""
        kvp_shared_pool_enter(self.shared)
        cdef bint is_to_come = kvp_shared_pool_await_event(self.shared, number)
        kvp_shared_pool_leave(self.shared)
        return is_to_come

    def _watch_pressure(self):
        """Tell of pressure if it has become high or low, as every call does that takes or gives blocks back."""
        self.watch_pressure()
        if kvp_peek(self.is_high):
            self.await_relief()  # it was relieved, and is not any more

    cdef void await_relief(self) noexcept:
        """Pressure is high: whoever drops the blocks that end it does not look; the background thread will."""
        if kvp_peek(self.is_closed):
            return
        self.need_engine().start()
        kvp_shared_pool_enter(self.shared)
        self.shared.relief = self.low_count
        kvp_shared_pool_leave(self.shared)

    def _forget_others(self):
        """In a forked child: who waited, listened or was in the critical section is in the parent."""
        kvp_forget_section(self)
        if kvp_shared_pool_forget_others(self.shared) != KVP_OK:
            raise MemoryError("no memory for the lock of a pool after a fork")
        self.bell = None
