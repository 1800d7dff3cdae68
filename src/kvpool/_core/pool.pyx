"""The block pool."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsLongLongAndOverflow
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from kvpool._core.arguments cimport parse_int, parse_seconds, parse_share
from kvpool._core.handle cimport new_lease
from kvpool._core.block_sequence cimport BlockSequence, open_sequence
from kvpool._core.hash_argument cimport HashArgument, close_hashes, open_hashes
from kvpool._core.hashing cimport parse_block_size, parse_hash
from kvpool._core.immutable_blocks cimport ImmutableBlocks, new_immutable_blocks
from kvpool._core.interpreter cimport kvp_peek
from kvpool._core.libkvp cimport *
from kvpool._core.mutable_blocks cimport MutableBlocks, new_mutable_blocks
from kvpool._core.pool_events cimport remember
from kvpool._core.pool_persistence cimport PoolPersistence
from kvpool._core.registration cimport Registration, new_registration
from kvpool._core.status cimport raise_status
from kvpool._core.scattered_blocks cimport ScatteredBlocks, new_scattered_blocks

import os

from kvpool._core.hashing import sequence_hashes as hash_tokens
from kvpool.errors import ForeignHandle, NotEnoughBlocksAvailable
from kvpool.types.admission import Admission


@cython.final
@cython.auto_pickle(False)
cdef class BlockPool(PoolPersistence):
    """A pool of fixed-size KV cache blocks: allocate, register by sequence hash, match prefixes, evict.

    Parameters
    ----------
    num_blocks : int
        Blocks of the pool, in [1, 2**31 - 103].
    block_size : int, default 16
        Tokens of a block, in [1, 2**20].
    duplicates : {"share", "keep"}, default "share"
        What registering a hash does that is registered already: give the new block back and share the registered one,
        or keep both.
    clock : callable, optional
        Returns the time in seconds; a steady clock of the system by default. Simulators pass their own. For the core,
        time begins at 0: a time-to-live that is given before ends so long after 0.
    event_capacity : int, optional
        Registrations and removals that are remembered for :meth:`events` and those who :meth:`subscribe`: 262,144 with
        an `event_manager`, otherwise none. 24 bytes each.
    event_manager : EventManager, optional
        Gets all events from the first one on, from a background thread; see :meth:`close`.
    event_tokens : bool, optional
        Whether the token ids of blocks, where they are known, are kept for events and snapshots: 4 bytes for each token
        of the pool and of the remembered events. By default as `event_manager` wants it.
    event_interval : float, default 0.01
        Seconds for which events are gathered before subscribers get them as a batch.
    eviction : str or EvictionPolicy or capsule, default "lru"
        The order in which cached blocks of the default priority go: one of ``EVICTION_POLICIES``, or a policy of your
        own, which costs 16 bytes a block; see :class:`EvictionPolicy`. A capsule named ``kvpool.rank.v1`` has a C
        function as ``kvp/candidate.h`` declares it.
    ghost_factor : int, default 4
        Evicted blocks that the ``adaptive`` policy remembers, for each block of the pool, in [1, 64]; 24 bytes each.
    max_pinned_blocks : int, optional
        Blocks that :meth:`pin` may keep, half of the pool by default.
    high_watermark, low_watermark : float, default 0.9 and 0.7
        Shares of the blocks that are held, 0 < low <= high <= 1, between which pressure becomes high and low again.
    on_pressure : callable, optional
        Called with the pool and a bool, True when pressure has become high and False when it is low again, after the
        call in which that happened (the next one, if a handle was dropped), outside the lock.
    reuse_sampling : float, default 0
        Share of the blocks that is followed for :meth:`reuse_statistics`, in [0, 1]; 0.005 suits large pools, 0.05 a
        thousand blocks. Takes 320 bytes for each block of this share.
    max_namespaces : int, default 0
        Tenants that :meth:`namespace` can make, in [0, 255]. Takes 5 KB for each, and with a policy other than LRU what
        that takes; not with a policy of your own.
    key_bits : {64, 128}, default 64
        Bits of what a block is known by. With 128, a check word stands beside the sequence hash, and a block is a hit
        only if both agree: sequences make theirs from the tokens and `key_secret`, and all calls that take hashes take
        keys instead, as :meth:`sequence_keys` makes them. 8 bytes a block, and some 50 ns for each that is hashed.
    key_secret : bytes of length 16, optional
        Seed of the check words; random by default. Only pools with the same one can exchange keys.
    storage, scrub : Storage and str, optional
        The memory of the blocks, and when it is filled with zeros; see :meth:`attach_storage`.
    name : str, default ""
        For people who look at several pools.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of its bounds, which the message names.
    MemoryError
        The pool's tables, about 47 bytes a block, do not fit.

    Notes
    -----
    The pool is safe to use from several threads. It keeps blocks' identities; their memory
    is a storage's, which it does not read, and writes only to fill it with zeros (`scrub`).

    Examples
    --------
    >>> from kvpool import BlockPool, sequence_hashes
    >>> pool = BlockPool(num_blocks=64, block_size=4)
    >>> hashes = sequence_hashes(range(12), block_size=4)
    >>> cached = pool.match_sequence_hashes(hashes)
    >>> fresh = pool.allocate_blocks(len(hashes) - len(cached))
    >>> filled = pool.register_blocks(fresh, hashes[len(cached):])
    >>> del cached, filled
    >>> len(pool.match_sequence_hashes(hashes))
    3
    """

    def __cinit__(self, num_blocks, block_size=16, *, duplicates="share", clock=None, event_capacity=None,
                  event_manager=None, event_tokens=None, event_interval=0.01, eviction="lru", ghost_factor=4,
                  max_pinned_blocks=None, high_watermark=0.9, low_watermark=0.7, on_pressure=None, reuse_sampling=0.0,
                  max_namespaces=0, key_bits=64, key_secret=None, pool_metrics=None, storage=None, scrub=None,
                  name=""):
        cdef int32_t blocks = parse_int(num_blocks, "num_blocks", 1, KVP_MAX_BLOCKS)
        cdef uint32_t ghosts = parse_int(ghost_factor, "ghost_factor", 1, 64)
        cdef kvp_policy_kind policy = self.set_policy(eviction)
        self.block_size = parse_block_size(block_size)
        if not isinstance(duplicates, str) or duplicates not in ("share", "keep"):
            raise ValueError(f"duplicates = {duplicates!r} is neither 'share' nor 'keep'")
        if clock is not None and not callable(clock):
            raise TypeError(f"clock must be callable, not {type(clock).__name__}")
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, not {type(name).__name__}")
        if pool_metrics is not None and not hasattr(pool_metrics, "bind"):
            raise TypeError(f"pool_metrics must be a PoolMetrics, not {type(pool_metrics).__name__}")
        self.name = name
        self.duplicates = duplicates
        self.clock = clock
        self.num_blocks = blocks
        self.set_limits(max_pinned_blocks, high_watermark, low_watermark, on_pressure)
        self.reuse_sampling = parse_share(reuse_sampling, "reuse_sampling", 0, 1, True)
        self.max_namespaces = parse_int(max_namespaces, "max_namespaces", 0, KVP_MAX_NAMESPACES - 1)
        if self.max_namespaces and self.has_chooser:
            raise ValueError(f"max_namespaces = {max_namespaces} is not 0, as it is with a policy of one's own")
        self.set_keys(key_bits, key_secret)
        self.set_events(event_capacity, event_tokens, event_interval, event_manager)
        self.create(blocks, duplicates == "keep", self.event_capacity, self.block_size if self.event_tokens else 0,
                    policy, ghosts, self.has_chooser, self.reuse_sampling, self.max_namespaces, os.urandom(16))
        remember(self)
        if storage is not None:
            self.attach_storage(storage, scrub=scrub)
        elif scrub is not None:
            raise ValueError(f"scrub = {scrub!r}, but there is no storage")
        if event_manager is not None:
            self.need_engine().subscribe(event_manager, 0, False)
        if pool_metrics is not None:
            pool_metrics.bind(self)

    def __reduce__(self):
        raise TypeError("BlockPool cannot be copied or pickled: its handles belong to it")

    def allocate_blocks(self, n, *, timeout=None, namespace=None, owner=None):
        """Take n blocks out of the inactive pool, all or none: empty ones first, then by evicting.

        Parameters
        ----------
        n : int
            Blocks, at least 0.
        timeout : float, optional
            Seconds to wait, in turn, for blocks that are held; without it the call fails at once. ``inf`` waits
            without limit.
        namespace : Namespace or str, optional
            Whose blocks they are; see :meth:`namespace`.
        owner : object, optional
            For whom; shown by :meth:`outstanding` and in errors. A name or a number: an object that keeps the handle
            would keep itself alive, because handles are invisible to the garbage collector.

        Returns
        -------
        MutableBlocks
            Its ``evicted`` tells what was evicted for it.

        Raises
        ------
        NotEnoughBlocksAvailable
            Fewer than n are available; :class:`AllocationTimeout` when a timeout was given and n is not more than the
            pool has. Says who holds the rest.
        """
        cdef int64_t count = 0, now, patience
        cdef int overflow = 0
        cdef int32_t space
        cdef uint32_t num_evicted = 0, room
        cdef kvp_lease *lease
        cdef kvp_status status = KVP_RETRY
        cdef MutableBlocks blocks
        cdef Py_ssize_t used
        cdef bytes evicted = None
        if type(n) is int:
            count = PyLong_AsLongLongAndOverflow(n, &overflow)
        space = self.space_of(namespace)
        if type(n) is not int or overflow or not 0 <= count <= self.num_blocks:
            n = parse_int(n, "n", 0, None)
            if n > self.num_blocks:
                raise self.shortage(n, False, space)  # no waiting would help
            count = n
        patience = 0 if timeout is None else parse_seconds(timeout, "timeout", True)
        if count == 0:
            return new_mutable_blocks(self, 0, owner)
        if self.has_chooser:
            self.make_way(count)
        now = self.now()
        blocks = new_mutable_blocks(self, count, owner)
        lease = blocks.lease
        lease.space = <uint8_t>space
        # Should it be too small by then, the core says so.
        room = <uint32_t>max(count - kvp_shared_pool_guess_empty(self.shared), 0)
        if patience > 0:
            evicted = PyBytes_FromStringAndSize(NULL, 8 * count)
            status = self.allocate_in_turn(lease, now, <uint64_t *>PyBytes_AS_STRING(evicted), &num_evicted,
                                           -1 if patience == INT64_MAX else patience)
        while status == KVP_RETRY:
            if room:
                evicted = PyBytes_FromStringAndSize(NULL, 8 * <Py_ssize_t>room)
            status = self.allocate(lease, now, <uint64_t *>PyBytes_AS_STRING(evicted) if room else NULL, room,
                                   &num_evicted)
            room = <uint32_t>count
        if status == KVP_NOT_ENOUGH:
            raise self.shortage(n, timeout is not None, space)
        if status != KVP_OK:
            raise_status(status, "no memory to wait for blocks")
        if kvp_peek(self.has_ledger):
            self.arrive(lease.ids, count, <uint8_t>space)
        self.watch()
        if num_evicted:
            used = 8 * <Py_ssize_t>num_evicted
            blocks.evicted_hashes = evicted if len(evicted) == used else evicted[:used]
        return blocks

    def register_blocks(self, blocks, sequence_hashes=None, *, parent=None, priority=None, ttl=None, token_ids=None):
        """Give blocks their sequence hashes: from now on they can be matched, and shared.

        Parameters
        ----------
        blocks : MutableBlocks, MutableBlock, or list of these
            Consumed by the call.
        sequence_hashes : array of uint64 or sequence of int, optional
            One for each block, each the child of the one before. By default those of the blocks' own tokens.
        parent : int or ImmutableBlock or ImmutableBlocks, optional
            Sequence hash of the block before the first one, or the handle whose last block it is. Without it, the
            block after which the last match that missed ``sequence_hashes[0]`` had stopped. One of another namespace,
            or one that continues more than the namespace has room to hold, is passed over.
        priority : int, optional
            Retention level in [0, 100], 35 by default; lower levels are evicted first.
        ttl : float, optional
            Seconds for which the priority (100, if none is given) counts; afterwards it is at most 35.
        token_ids : array of integers, shape (n * block_size,), or sequence of int, optional
            Tokens of the blocks, for events of a pool that keeps them; by default those that the blocks were filled
            with.

        Returns
        -------
        ImmutableBlocks
            As many blocks, in the same order; where a hash was registered already, see ``duplicates``.

        Raises
        ------
        InvalidMutableBlock
            A block was registered or released already, is named twice, or has tokens with another hash.
        BlockNotComplete
            A block has no hash given, or tokens but not all.
        ForeignHandle
            A block or the parent is of another pool; or a block, or the one registered for its hash, of another
            namespace than the first.
        ValueError
            The numbers of blocks and hashes differ, or priority or ttl is out of range.
        """
        cdef Registration registration = new_registration(self, blocks, parent)
        cdef int64_t now, lifetime
        cdef uint32_t at = 0
        cdef kvp_status status = KVP_OK
        cdef ImmutableBlocks held = new_immutable_blocks(self, registration.first_owner())
        if priority is not None:
            registration.arguments.level = parse_int(priority, "priority", 0, KVP_MAX_PRIORITY)
        lifetime = 0 if ttl is None else parse_seconds(ttl, "ttl", False)
        now = self.now()
        if ttl is not None and lifetime < INT64_MAX - max(now, 0):
            registration.arguments.expiry = max(now, 0) + lifetime
        elif ttl is not None and priority is None:
            registration.arguments.level = KVP_TTL_LEVEL  # a time-to-live without end
        registration.read_tokens(self, token_ids)
        registration.read_hashes(self, sequence_hashes)
        with cython.critical_section(self):  # tokens and hashes stay as they are until they are registered
            if self.event_tokens:
                registration.take_tokens(self)
            registration.take_hashes()
            if registration.count > 0:
                held.lease = new_lease(registration.count, False, held.owner_tag)
                status = self.register(&registration.arguments, now, held.lease, &at)
        if status != KVP_OK:
            if status == KVP_FOREIGN:
                raise ForeignHandle(f"block {at} of {registration.count}, or its hash, belongs to another namespace")
            raise_status(status, f"block {at} of {registration.count} was registered or released already, "
                                 f"or is named twice")
        return held

    def match_sequence_hashes(self, hashes, *, namespace=None, owner=None):
        """Hold the longest cached prefix of a prompt.

        Parameters
        ----------
        hashes : array of uint64, shape (n,), or sequence of int, or TokenBlockSequence
            Sequence hashes of the prompt's blocks, from the first.
        namespace : Namespace or str, optional
            Whose blocks may be found; see :meth:`namespace`. No more than it can hold.
        owner : object, optional
            As in :meth:`allocate_blocks`.

        Returns
        -------
        ImmutableBlocks
            The blocks of ``hashes[:k]`` for the largest k for which all are registered; k may be 0.
        """
        cdef HashArgument argument
        cdef ImmutableBlocks held = new_immutable_blocks(self, owner)
        cdef int32_t space = self.space_of(namespace)
        cdef int64_t now = self.now()
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            held.lease = new_lease(argument.count, False, owner)
            held.lease.space = <uint8_t>space
            self.hold_prefix(argument.data, argument.count, now, held.lease)
        finally:
            close_hashes(&argument)
        self.watch()
        return held

    def match_scattered(self, hashes, *, namespace=None, owner=None):
        """Hold every registered one among the hashes, going on after misses.

        Parameters
        ----------
        hashes : array of uint64, shape (n,), or sequence of int, or TokenBlockSequence
        namespace, owner : optional
            As in :meth:`match_sequence_hashes`.

        Returns
        -------
        ScatteredBlocks
            Aligned with ``hashes``.
        """
        cdef HashArgument argument
        cdef ScatteredBlocks held = new_scattered_blocks(self, owner)
        cdef int32_t space = self.space_of(namespace)
        cdef int64_t now = self.now()
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            held.lease = new_lease(argument.count, False, owner)
            held.lease.space = <uint8_t>space
            held.count = argument.count
            self.hold_each(argument.data, argument.count, now, held.lease)
        finally:
            close_hashes(&argument)
        return held

    def open_sequence(self, token_ids, *, namespace=None, salt_hash=0, lookahead=0, commit_on_append=True, owner=None):
        """Hash a prompt, hold its cached prefix and allocate the rest, in one call.

        Parameters
        ----------
        token_ids : array of integers, shape (n,), or sequence of int
            At least one. One token at least is left to compute: of a prompt that is cached as a whole, the last block
            is not matched.
        namespace : Namespace or str, optional
            Whose blocks they are; see :meth:`namespace`. Its salt is added to `salt_hash`.
        salt_hash : int, default 0
            Seed of the hashes, in [0, 2**64); see :func:`router_salt_hash`.
        lookahead : int, default 0
            Further tokens to have blocks for.
        commit_on_append : bool, default True
            Whether appending tokens says that the KV of those before them is written; without it, only
            :meth:`BlockSequence.commit` does.
        owner : object, optional
            As in :meth:`allocate_blocks`.

        Returns
        -------
        BlockSequence

        Raises
        ------
        NotEnoughBlocksAvailable
            Nothing was changed.
        """
        return open_sequence(self, token_ids, self.space_of(namespace),
                             self.salt_of(namespace, parse_hash(salt_hash, "salt_hash")),
                             parse_int(lookahead, "lookahead", 0, 2**31 - 1), commit_on_append, owner)

    def admit(self, prompts, *, namespace=None, salt_hash=0, lookahead=0, commit_on_append=True,
              wait_for_running=True, owners=None):
        """Open as many waiting prompts as there are blocks for, first come first served.

        Parameters
        ----------
        prompts : iterable of prompts, each as in :meth:`open_sequence`
        namespace, salt_hash, lookahead, commit_on_append
            As in :meth:`open_sequence`, for all of them.
        wait_for_running : bool, default True
            Do not open a prompt whose next block another sequence is computing right now: it will find that block if it
            waits.
        owners : sequence of objects, optional
            One for each prompt.

        Returns
        -------
        list of Admission
            One for each prompt, in order. An opened sequence is the reservation: it has its blocks until it is dropped,
            so no two prompts are promised the same ones. After the first prompt that does not fit, no other is opened.
        """
        cdef int32_t space = self.space_of(namespace)
        cdef uint64_t salt = self.salt_of(namespace, parse_hash(salt_hash, "salt_hash"))
        cdef uint64_t slots = parse_int(lookahead, "lookahead", 0, 2**31 - 1)
        cdef bint is_full = False
        cdef uint32_t found
        cdef int64_t blocks
        cdef BlockSequence flight
        cdef list result = [], hashed = [], sized = []
        for prompt in prompts:
            sized.append(prompt if hasattr(prompt, "__len__") else list(prompt))
        prompts = sized
        if owners is not None and len(owners) != len(prompts):
            raise ValueError(f"owners has {len(owners)} entries for {len(prompts)} prompts")
        # All are read before any is opened.
        for prompt in prompts:
            hashed.append(self.keys_of(prompt, salt, None) if self.has_checks else
                          hash_tokens(prompt, self.block_size, salt_hash=salt))
        for i, prompt in enumerate(prompts):
            if len(prompt) == 0:
                raise ValueError(f"prompts[{i}] is empty: a sequence has at least 1 token")
        for i, prompt in enumerate(prompts):
            size = len(prompt)
            hashes = hashed[i][:(size - 1) // <Py_ssize_t>self.block_size]
            found = self.match_lengths([hashes])[0]
            blocks = -(-(size + <int64_t>slots) // <int64_t>self.block_size) - found
            flight = None
            if wait_for_running and found < len(hashes):
                key = hashes[found, 0].item() if self.has_checks else hashes[found].item()
                with cython.critical_section(self):
                    known = self.flights.get(key)
                flight = None if known is None else known()
            sequence = None
            if flight is None and not is_full:
                is_full = True
                try:
                    sequence = open_sequence(self, prompt, space, salt, slots, commit_on_append,
                                             None if owners is None else owners[i])
                    is_full = False
                except NotEnoughBlocksAvailable:
                    pass
            result.append(Admission(found, blocks, sequence, flight))
        return result
