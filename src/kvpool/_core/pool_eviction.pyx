"""What takes blocks out of the cache, and in which order."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.math cimport ceil
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kvpool._core.arguments cimport parse_int, parse_seconds, parse_share
from kvpool._core.arrays cimport int32_array, uint8_array, uint64_array
from kvpool._core.custom_policy cimport CustomPolicy, make_chooser
from kvpool._core.handle cimport new_lease
from kvpool._core.hash_argument cimport HashArgument, close_hashes, open_hashes
from kvpool._core.interpreter cimport kvp_peek
from kvpool._core.libkvp cimport *
from kvpool._core.pin cimport Pin, new_pin
from kvpool._core.pool_core cimport Counts
from kvpool._core.pool_namespaces cimport PoolNamespaces
from kvpool._core.status cimport raise_status

import sys

from kvpool._core.unraisable import report_unraisable, without_frames
from kvpool.callbacks import attempt
from kvpool.errors import ForeignHandle, PinLimitExceeded
from kvpool.policies import native
from kvpool.types.evicted_blocks import EvictedBlocks
from kvpool.types.eviction_mode import EvictionMode
from kvpool.types.eviction_reason import EvictionReason
from kvpool.types.reset_blocks_result import ResetBlocksResult

cdef bytes RESET = bytes([EvictionReason.RESET])
cdef bytes PRESSURE = bytes([EvictionReason.PRESSURE])
cdef bytes AHEAD = bytes([EvictionReason.AHEAD])


cdef object evicted_blocks(const kvp_identity *identities, uint32_t n, bytes reason):
    cdef uint32_t i
    cdef bytes hashes = PyBytes_FromStringAndSize(NULL, 8 * <Py_ssize_t>n)
    cdef bytes ids = PyBytes_FromStringAndSize(NULL, 4 * <Py_ssize_t>n)
    for i in range(n):
        (<uint64_t *>PyBytes_AS_STRING(hashes))[i] = identities[i].hash
        (<int32_t *>PyBytes_AS_STRING(ids))[i] = identities[i].id
    return EvictedBlocks(uint64_array(hashes), int32_array(ids), uint8_array(reason * n))


cdef object hashes_of(const HashArgument *argument, const uint8_t *outcomes, uint8_t wanted):
    """The hashes of one outcome, an array."""
    cdef uint32_t i, count = 0
    cdef uint64_t *next
    cdef bytes hashes
    for i in range(argument.count):
        count += outcomes[i] == wanted
    hashes = PyBytes_FromStringAndSize(NULL, 8 * <Py_ssize_t>count)
    next = <uint64_t *>PyBytes_AS_STRING(hashes)
    for i in range(argument.count):
        if outcomes[i] == wanted:
            next[0] = argument.data[i]
            next += 1
    return uint64_array(hashes)


cdef kvp_policy_kind parse_policy(object eviction) except *:
    """Return the policy of a name."""
    if not isinstance(eviction, str):
        raise TypeError(f"eviction must be a name or a policy, with should_evict, rank or choose, or a capsule "
                        f"{KVP_RANK_CAPSULE.decode()!r}; not {type(eviction).__name__}")
    if eviction not in native.EVICTION_POLICIES:
        raise ValueError(f"eviction = {eviction!r} is not one of {', '.join(native.EVICTION_POLICIES)}")
    return {
        "lru": KVP_POLICY_LRU,
        "priority": KVP_POLICY_LRU,
        "fifo": KVP_POLICY_FIFO,
        "lfu": KVP_POLICY_LFU,
        "slru": KVP_POLICY_SLRU,
        "s3fifo": KVP_POLICY_S3FIFO,
        "sieve": KVP_POLICY_SIEVE,
        "arc": KVP_POLICY_ARC,
        "multi_lru": KVP_POLICY_MULTI_LRU,
        "lineage": KVP_POLICY_LRU,
        "adaptive": KVP_POLICY_ADAPTIVE,
    }[eviction]


cdef class PoolEviction(PoolNamespaces):
    """What takes blocks out of the cache, and in which order. Base of :class:`BlockPool`; not useful by itself."""

    cdef int set_limits(self, object max_pinned, object high, object low, object on_pressure) except -1:
        """Take what the constructor was given."""
        cdef double high_share = parse_share(high, "high_watermark", 0, 1, False)
        self.low_share = parse_share(low, "low_watermark", 0, high_share, False)
        self.max_pinned = (self.num_blocks + 1) // 2
        if max_pinned is not None:
            self.max_pinned = parse_int(max_pinned, "max_pinned_blocks", 0, self.num_blocks)
        if on_pressure is None:
            return 0
        if not callable(on_pressure):
            raise TypeError(f"on_pressure must be callable, not {type(on_pressure).__name__}")
        self.on_pressure = on_pressure
        self.high_count = <int32_t>max(1.0, ceil(high_share * self.num_blocks))
        self.low_count = min(self.high_count - 1, <int32_t>(self.low_share * self.num_blocks))
        return 0

    cdef kvp_policy_kind set_policy(self, object eviction) except *:
        """Take what the constructor was given; return the core's policy."""
        self.eviction = eviction
        self.chooser = None if isinstance(eviction, str) else make_chooser(eviction)
        self.has_chooser = self.chooser is not None
        return KVP_POLICY_LRU if self.has_chooser else parse_policy(eviction)

    cdef int make_way(self, int64_t n) except -1:
        cdef int64_t missing = n - kvp_shared_pool_guess_empty(self.shared)
        cdef CustomPolicy chooser = self.chooser
        cdef uint32_t room, count
        cdef bytes records, victims
        self.end_way()
        if missing <= 0 or missing > kvp_shared_pool_guess_cached(self.shared) or kvp_peek(self.is_choosing):
            return 0
        room = <uint32_t>min(max(<int64_t>chooser.window, 2 * missing), self.num_blocks)
        records = PyBytes_FromStringAndSize(NULL, room * sizeof(kvp_candidate))
        room = self.read_candidates(<kvp_candidate *>PyBytes_AS_STRING(records), room)
        records = records[:room * sizeof(kvp_candidate)]
        with cython.critical_section(self):
            is_chosen = self.is_choosing  # by another thread meanwhile
            self.is_choosing = True
        if is_chosen:
            return 0
        try:
            answer, error = attempt(chooser.name_victims, records, missing)
        finally:
            with cython.critical_section(self):
                self.is_choosing = False
        if error is not None:
            with cython.critical_section(self):
                self.policy_error_count += 1
                is_first = self.policy_error_count == 1
                self.policy_error = error
            if is_first:
                report_unraisable(error, chooser)  # the call goes on without the policy
            without_frames(error)  # those of the caller have handles, which the error would keep
            return 0
        victims, refused = answer
        count = <uint32_t>(len(victims) // sizeof(kvp_candidate))
        with cython.critical_section(self):
            self.victims = victims
            self.policy_refusal_count += refused + count - self.prefer(
                <const kvp_candidate *>PyBytes_AS_STRING(victims), count)
        return 0

    cdef int end_way(self) except -1:
        cdef bytes victims = None
        with cython.critical_section(self):
            if not self.is_choosing:
                victims, self.victims = self.victims, None
        if victims is None:
            return 0
        self.end_preference(<const kvp_candidate *>PyBytes_AS_STRING(victims),
                            <uint32_t>(len(victims) // sizeof(kvp_candidate)))
        return 0

    @property
    def policy_errors(self):
        """Times that the policy raised, or returned what makes no sense; priority and recency decided then."""
        with cython.critical_section(self):
            count = self.policy_error_count
        return count

    @property
    def policy_refusals(self):
        """Blocks that the policy named and that could not go: not cached any more, named twice, or no candidates."""
        with cython.critical_section(self):
            count = self.policy_refusal_count
        return count

    @property
    def last_policy_error(self):
        """What the policy raised last, or None."""
        with cython.critical_section(self):
            error = self.policy_error
        return error

    @property
    def max_pinned_blocks(self):
        """Blocks that may be pinned."""
        return self.max_pinned

    def retain(self, hashes, *, priority=None, ttl=None):
        """Give registered blocks another priority, for a time or for good.

        Parameters
        ----------
        hashes : array of uint64, shape (n,), or sequence of int, or TokenBlockSequence
            A range of a sequence's hashes, for example. Those that are not registered are passed over.
        priority : int, optional
            In [0, 100]; blocks of lower priorities are evicted first. 100 if there is a ttl, else it must be given.
        ttl : float, optional
            Seconds for which the priority counts, from now; afterwards it is at most 35. Without it, it counts until
            it is changed.

        Returns
        -------
        int
            Blocks that were registered.
        """
        cdef HashArgument argument
        cdef int level = KVP_TTL_LEVEL
        cdef int64_t lifetime = 0, now, expiry = INT64_MAX
        cdef uint32_t found
        if priority is None and ttl is None:
            raise ValueError("retain needs a priority, a ttl, or both")
        if priority is not None:
            level = parse_int(priority, "priority", 0, KVP_MAX_PRIORITY)
        if ttl is not None:
            lifetime = parse_seconds(ttl, "ttl", False)
        now = self.now()
        if ttl is not None and lifetime < INT64_MAX - max(now, 0):
            expiry = max(now, 0) + lifetime
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            found = self.retain_hashes(argument.data, argument.count, level, expiry, now)
        finally:
            close_hashes(&argument)
        return found

    def demote(self, hashes):
        """Let registered blocks go before all others; return how many they are. No time-to-live keeps them."""
        return self.retain(hashes, priority=0)

    def pin(self, hashes, *, namespace=None, owner=None):
        """Keep registered blocks, and those that they continue, until the result is released or dropped.

        Parameters
        ----------
        hashes : array of uint64, shape (n,), or sequence of int, or TokenBlockSequence
            Those that are not registered in the namespace, or more than it can hold, are passed over.
        namespace, owner : optional
            As in :meth:`allocate_blocks`.

        Returns
        -------
        Pin

        Raises
        ------
        PinLimitExceeded
            More than ``max_pinned_blocks`` would be pinned; says by whom. Nothing was changed.
        """
        cdef HashArgument argument
        cdef int64_t now = self.now()
        cdef int32_t wanted = 0
        cdef Counts counts
        cdef kvp_status status
        cdef Pin pin = new_pin(self, owner)
        cdef int32_t space = self.space_of(namespace)
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            pin.lease = new_lease(argument.count, False, owner)
            pin.lease.space = <uint8_t>space
            status = self.pin_hashes(argument.data, argument.count, self.max_pinned, now, pin.lease, &wanted)
        finally:
            close_hashes(&argument)
        if status != KVP_OK:
            self.read_counts(&counts)
            raise PinLimitExceeded(wanted, self.max_pinned, counts.pinned,
                                   list(filter(lambda hold: hold.kind == "pin", self.sum_of_holds())))
        self.watch()
        return pin

    def unpin(self, pin):
        """End a pin of this pool; the same as its ``release()``."""
        if not isinstance(pin, Pin):
            raise TypeError(f"pin must be a Pin, not {type(pin).__name__}")
        if (<Pin>pin).pool is not self:
            raise ForeignHandle("the pin is of another pool")
        pin.release()

    def protect(self, prompts):
        """Spare what the waiting queue will match next, in place of what was named before.

        Parameters
        ----------
        prompts : iterable of arrays of uint64 (or of what else names hashes)
            The sequence hashes of each waiting prompt. The blocks of their cached prefixes are evicted after all
            others, of whatever priority, until the next call, or until they are matched. They are not held: they can
            be allocated when there are no others.
        """
        cdef HashArgument argument
        cdef uint32_t longest = 0
        cdef bytes lengths
        cdef uint64_t *all_hashes
        cdef int32_t *ids
        cdef list parts = [], checks = [], counts = []
        cdef bytes joined
        for i, prompt in enumerate(prompts):
            open_hashes(&argument, prompt, self.block_size, self.has_checks, f"prompts[{i}]")
            try:
                parts.append((<const char *>argument.data)[:8 * <Py_ssize_t>argument.count])
                if self.has_checks:
                    checks.append((<const char *>(argument.data + argument.count))[:8 * <Py_ssize_t>argument.count])
                counts.append((<object>argument.count).to_bytes(4, sys.byteorder))
                longest = max(longest, argument.count)
            finally:
                close_hashes(&argument)
        joined = b"".join(parts + checks)
        lengths = b"".join(counts)
        # A copy that is aligned as its items are.
        all_hashes = <uint64_t *>PyMem_Malloc(len(joined) + 1)
        ids = <int32_t *>PyMem_Malloc((<size_t>longest + 1 + len(parts)) * sizeof(int32_t))
        try:
            if all_hashes == NULL or ids == NULL:
                raise MemoryError(f"no memory for {len(joined) // 8} hashes")
            memcpy(all_hashes, PyBytes_AS_STRING(joined), len(joined))
            memcpy(ids + longest + 1, PyBytes_AS_STRING(lengths), len(lengths))
            self.protect_prompts(all_hashes, <uint32_t *>(ids + longest + 1), <uint32_t>len(parts), ids)
        finally:
            PyMem_Free(all_hashes)
            PyMem_Free(ids)

    cdef object evict_identities(self, int64_t n, uint32_t highest, kvp_reason reason, bytes name):
        cdef uint32_t room = <uint32_t>max(0, min(n, self.num_blocks)), count
        cdef int64_t now = self.now()
        cdef kvp_identity *identities = <kvp_identity *>PyMem_Malloc((<size_t>room + 1) * sizeof(kvp_identity))
        if identities == NULL:
            raise MemoryError(f"no memory to report {room} blocks")
        try:
            count = self.evict_some(room, highest, reason, now, identities)
            return evicted_blocks(identities, count, name)
        finally:
            PyMem_Free(identities)

    def evict_ahead(self, n):
        """Make up to n blocks empty, if fewer are, by evicting; so that allocations need not evict.

        Parameters
        ----------
        n : int
            Empty blocks wanted, in [0, num_blocks].

        Returns
        -------
        EvictedBlocks
            Of reason ``AHEAD``.
        """
        cdef int64_t wanted = parse_int(n, "n", 0, self.num_blocks)
        with cython.critical_section(self):
            self.is_awake = False
        return self.evict_identities(wanted - kvp_shared_pool_guess_empty(self.shared), KVP_PROTECTED_LEVEL,
                                     KVP_REASON_AHEAD, AHEAD)

    def trigger_eviction(self, mode=EvictionMode.NORMAL):
        """Evict cached blocks now.

        Parameters
        ----------
        mode : EvictionMode, default NORMAL
            NORMAL evicts, in the policy's order, until no more than the share ``low_watermark`` of the blocks is cached
            or held, but none that is protected. AGGRESSIVE evicts every cached block that has no priority above the
            default.

        Returns
        -------
        EvictedBlocks
            Of reason ``PRESSURE``.
        """
        cdef int64_t kept
        if not isinstance(mode, EvictionMode):
            raise TypeError(f"mode must be an EvictionMode, not {type(mode).__name__}")
        if mode is EvictionMode.AGGRESSIVE:
            return self.evict_identities(self.num_blocks, KVP_DEFAULT_LEVEL, KVP_REASON_PRESSURE, PRESSURE)
        kept = <int64_t>(self.low_share * self.num_blocks)
        return self.evict_identities(self.num_blocks - kvp_shared_pool_guess_empty(self.shared) - kept,
                                     KVP_MAX_PRIORITY, KVP_REASON_PRESSURE, PRESSURE)

    def wake_below(self, reserve, wake):
        """Call ``wake`` after a call that left fewer than ``reserve`` blocks empty, once until the next evict_ahead.

        Parameters
        ----------
        reserve : int
            In [0, num_blocks]; 0 ends it.
        wake : callable
            Called without arguments, as by :class:`~kvpool.BackgroundEvictor`; it must not block.
        """
        cdef int32_t blocks = parse_int(reserve, "reserve", 0, self.num_blocks)
        if not callable(wake):
            raise TypeError(f"wake must be callable, not {type(wake).__name__}")
        with cython.critical_section(self):
            self.wake = wake
            self.reserve = blocks
            self.is_awake = False

    def reset(self):
        """Forget every cached block.

        Returns
        -------
        EvictedBlocks
            What was cached, by ascending id.

        Raises
        ------
        ResetError
            Blocks are held; says by whom.
        """
        cdef uint32_t room = <uint32_t>self.num_blocks, count = 0
        cdef kvp_identity *identities = <kvp_identity *>PyMem_Malloc(room * sizeof(kvp_identity))
        cdef kvp_status status
        if identities == NULL:
            raise MemoryError(f"no memory to report {room} blocks")
        try:
            status = self.reset_all(identities, room, &count)
            if status == KVP_OK:
                return evicted_blocks(identities, count, RESET)
        finally:
            PyMem_Free(identities)
        held = self.describe_shortage(self.num_blocks, False, 0)
        who = f"; by {held.describe_holders()}" if held.holders else ", or were a moment ago"
        raise_status(status, f"the pool cannot be reset while {held.total - held.available} of {held.total} blocks "
                             f"are held{who}")

    def reset_blocks(self, hashes):
        """Forget the cached blocks of these hashes, and the cached blocks that continue them.

        Parameters
        ----------
        hashes : array of uint64, shape (n,), or sequence of int, or TokenBlockSequence

        Returns
        -------
        ResetBlocksResult
            Held blocks are left as they are, and named in it.
        """
        cdef HashArgument argument
        cdef kvp_identity *identities = NULL
        cdef uint8_t *outcomes = NULL
        cdef uint32_t count = 0, room
        cdef kvp_status status = KVP_RETRY
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            room = argument.count
            outcomes = <uint8_t *>PyMem_Malloc(argument.count + 1)
            while status == KVP_RETRY:
                PyMem_Free(identities)
                identities = <kvp_identity *>PyMem_Malloc((<size_t>room + 1) * sizeof(kvp_identity))
                if identities == NULL or outcomes == NULL:
                    raise MemoryError(f"no memory to report {room} blocks")
                status = self.reset_some(argument.data, argument.count, outcomes, identities, room, &count)
                room = count
            return ResetBlocksResult(evicted_blocks(identities, count, RESET),
                                     hashes_of(&argument, outcomes, KVP_RESET_NOT_FOUND),
                                     hashes_of(&argument, outcomes, KVP_RESET_HELD))
        finally:
            PyMem_Free(identities)
            PyMem_Free(outcomes)
            close_hashes(&argument)
