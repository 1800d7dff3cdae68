"""A request's tokens and blocks in one object."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.arrays cimport int32_array, lease_array, uint32_array, uint64_array
from kvpool._core.handle cimport Handle, parse_reuse_hint
from kvpool._core.interpreter cimport kvp_peek
from kvpool._core.lease_ids cimport table_ids
from kvpool._core.libkvp cimport *
from kvpool._core.pool_reports cimport PoolReports
from kvpool._core.status cimport raise_status
from kvpool._core.token_buffer cimport TokenBuffer, as_token_buffer

from weakref import ref

from kvpool.errors import CorruptionError, StaleHandle

cdef uint64_t MAX_SEQUENCE_TOKENS = 2**31 - 1
cdef object NO_PAIRS = int32_array(b"").reshape(-1, 2)


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class BlockSequence(Handle):
    """A request: its tokens, and the blocks that hold their KV. Made by :meth:`BlockPool.open_sequence`.

    A block can be matched by others once it is full *and* its KV is written: that is said by :meth:`commit`, and,
    unless the sequence was opened with ``commit_on_append=False``, by every append: a token is sampled from those
    before it, so their KV is there. The blocks go back when the sequence is dropped, on :meth:`release` and at the end
    of ``with``. A call that raises has changed nothing. Threads that use one sequence at once wait for each other.

    Examples
    --------
    >>> from kvpool import BlockPool
    >>> pool = BlockPool(num_blocks=8, block_size=4)
    >>> request = pool.open_sequence([1, 2, 3, 4, 5, 6])
    >>> request.num_cached_tokens, request.block_table.tolist()
    (0, [0, 1])
    >>> request.commit(6)                 # the KV of the prompt is written
    >>> request.append_tokens([7])        # sampled from it
    >>> request.release()
    >>> pool.open_sequence([1, 2, 3, 4, 9]).num_cached_tokens
    4
    """

    def __dealloc__(self):
        kvp_sequence_destroy(&self.sequence)

    cdef int check_live(self) except -1:
        if self.is_released or self.lease == NULL:
            raise StaleHandle("the sequence was released: its blocks may be anyone's by now")
        if not self.lease.is_live:
            raise StaleHandle("the sequence was preempted and has no blocks: resume it first")

    cdef int write(self, TokenBuffer tokens) except -1:
        cdef uint64_t total = self.sequence.num_tokens + <uint64_t>tokens.size
        if total > MAX_SEQUENCE_TOKENS:
            raise ValueError(f"a sequence of {total} tokens is longer than {MAX_SEQUENCE_TOKENS}")
        if kvp_sequence_make_room(&self.sequence, total) != KVP_OK:
            raise MemoryError(f"no memory for a sequence of {total} tokens")
        kvp_sequence_write(&self.sequence, tokens.data, tokens.size)

    cdef uint64_t read(self, const uint64_t *field) noexcept:
        cdef uint64_t value
        with cython.critical_section(self.pool):
            value = field[0]
        return value

    cdef object shortage(self, uint32_t missing):
        return (<PoolReports>self.pool).shortage(missing, False, self.lease.space)

    cdef int track(self) except -1:
        """Let the pool know which block this computes next, so that others can wait for it."""
        cdef uint32_t next_block = self.lease.registered
        cdef dict flights = self.pool.flights
        key = None
        if (next_block + 1) * <uint64_t>self.sequence.block_size <= self.sequence.num_tokens:
            key = self.sequence.hashes[next_block]
        if key == self.flight_key:
            return 0
        self.untrack()
        if key is not None:
            known = flights.get(key)
            if known is None or known() is None:
                if len(flights) >= self.pool.flights_limit:
                    for other in list(flights):
                        if flights[other]() is None:
                            del flights[other]
                    self.pool.flights_limit = 64 + 2 * len(flights)
                flights[key] = ref(self)
                self.flight_key = key

    cdef int retrack(self) except -1:
        """Track a sequence that was tracked, after a change that stays even where no memory is left to tell of it."""
        cdef bint is_tracked = self.flight_key is None
        try:
            if not is_tracked:
                self.track()
                is_tracked = True
        except MemoryError:
            pass
        if not is_tracked:
            self.untrack()

    cdef int untrack(self) except -1:
        if self.flight_key is not None:
            self.pool.flights.pop(self.flight_key, None)
            self.flight_key = None

    def __len__(self):
        return self.num_tokens

    def __repr__(self):
        state = ", released" if self.released else ", preempted" if self.is_preempted else ""
        return f"<BlockSequence of {self.num_tokens} tokens in {self.num_blocks} blocks{state}>"

    @property
    def num_tokens(self):
        """Tokens of the sequence."""
        return self.read(&self.sequence.num_tokens)

    @property
    def num_cached_tokens(self):
        """Tokens whose KV was found when the sequence was opened or resumed; less than `num_tokens`."""
        return self.read(&self.sequence.num_cached)

    @property
    def num_computed_tokens(self):
        """Tokens whose KV is written."""
        return self.read(&self.sequence.num_computed)

    @property
    def num_blocks(self):
        """Blocks that are held, those for further tokens included."""
        with cython.critical_section(self.pool):
            count = 0 if self.lease == NULL or not self.lease.is_live else self.lease.count
        return count

    @property
    def block_size(self):
        """Tokens of a block."""
        return self.sequence.block_size

    @property
    def salt_hash(self):
        """Seed of the block hashes."""
        return self.sequence.salt

    @property
    def tokens(self):
        """The tokens, a read-only copy: uint32 array of shape (num_tokens,)."""
        with cython.critical_section(self.pool):
            copy = b"" if self.sequence.num_tokens == 0 else (
                (<const char *>self.sequence.tokens)[:4 * self.sequence.num_tokens])
        return uint32_array(copy)

    @property
    def sequence_hashes(self):
        """Sequence hashes of the full blocks, a read-only copy: uint64 array of shape (num_tokens // block_size,)."""
        cdef Py_ssize_t full
        with cython.critical_section(self.pool):
            full = self.sequence.num_tokens // self.sequence.block_size if self.sequence.num_tokens else 0
            copy = (<const char *>self.sequence.hashes)[:8 * full] if full else b""
        return uint64_array(copy)

    @property
    def block_table(self):
        """Ids of the blocks in the order of their tokens: read-only int32 array of shape (num_blocks,).

        It shows the table itself: an id that later calls replace is replaced in it. A table that outgrows its room
        moves; arrays of the old one stay as they were.
        """
        table = None
        with cython.critical_section(self.pool):
            if self.lease != NULL and self.lease.is_live:
                if self.shown != self.lease.table or len(self.table_array) != self.lease.count:
                    self.table_array = lease_array(table_ids(self.lease))
                    self.shown = self.lease.table
                table = self.table_array
        return int32_array(b"") if table is None else table

    @property
    def released(self):
        """Whether the sequence was released."""
        return bool(kvp_peek(self.is_released))

    @property
    def is_preempted(self):
        """Whether the sequence has given its blocks back until it is resumed."""
        with cython.critical_section(self.pool):
            is_preempted = not self.is_released and self.lease != NULL and not self.lease.is_live
        return is_preempted

    def commit(self, num_computed_tokens):
        """Say that the KV of the first tokens is written: full blocks among them can be matched from now on.

        Parameters
        ----------
        num_computed_tokens : int
            In [`num_computed_tokens`, `num_tokens`].

        Notes
        -----
        A block whose hash is registered already by then is replaced in `block_table` by the registered one, which has
        the same KV, and goes back; unless the pool keeps duplicates.
        """
        cdef uint64_t computed
        number = parse_int(num_computed_tokens, "num_computed_tokens", 0, MAX_SEQUENCE_TOKENS)
        with cython.critical_section(self.pool):
            self.check_live()  # after all that may run code of the caller's, as in the other calls
            computed = parse_int(number, "num_computed_tokens", self.sequence.num_computed, self.sequence.num_tokens)
            self.pool.commit_blocks(&self.sequence, computed)
            self.retrack()

    def append_tokens(self, token_ids):
        """Append tokens, and take blocks for them as they are needed.

        Parameters
        ----------
        token_ids : array of integers, shape (n,), or sequence of int

        Raises
        ------
        NotEnoughBlocksAvailable
            Nothing was appended.
        """
        cdef uint32_t before, missing = 0
        cdef int64_t now
        cdef TokenBuffer tokens
        with cython.critical_section(self.pool):
            self.check_live()
        now, tokens = self.pool.now(), as_token_buffer(token_ids)
        if self.pool.has_chooser:
            with cython.critical_section(self.pool):
                self.check_live()
                missing = kvp_sequence_missing(&self.sequence, self.sequence.num_tokens + tokens.size)
            self.pool.make_way(missing)
        with cython.critical_section(self.pool):
            self.check_live()  # reading the argument may have run anything, as may the policy
            self.write(tokens)
            before = self.lease.count
            missing = 0
            if self.pool.append_written(&self.sequence, tokens.size, 0, now) != KVP_OK:
                missing = kvp_sequence_missing(&self.sequence, self.sequence.num_tokens + tokens.size)
            else:
                self.retrack()
                self.arrive(before)
        if missing:
            raise self.shortage(missing)
        self.pool.watch()

    cdef int arrive(self, uint32_t first) except -1:
        """The blocks from this one on are new: fill with zeros those that have bytes of others."""
        if kvp_peek(self.pool.has_ledger) and self.lease.count > first:
            self.pool.arrive(self.lease.ids + first, self.lease.count - first, self.lease.space)

    def reserve(self, n):
        """Have blocks for n further tokens, for instance for those that are speculated.

        Parameters
        ----------
        n : int
            Tokens, at least 0.

        Raises
        ------
        NotEnoughBlocksAvailable
            None was taken.
        """
        cdef uint32_t before, missing
        cdef uint64_t slots, total
        cdef int64_t now
        with cython.critical_section(self.pool):
            self.check_live()
        number = parse_int(n, "n", 0, MAX_SEQUENCE_TOKENS)
        now = self.pool.now()
        with cython.critical_section(self.pool):
            self.check_live()
            slots = parse_int(number, "n", 0, MAX_SEQUENCE_TOKENS - self.sequence.num_tokens)
            total = self.sequence.num_tokens + slots
            missing = kvp_sequence_missing(&self.sequence, total)
            if missing <= <uint32_t>self.pool.num_blocks:  # or no memory is taken for so many
                if kvp_sequence_make_room(&self.sequence, total) != KVP_OK:
                    raise MemoryError(f"no memory for a sequence of {total} tokens")
                before = self.lease.count
                if self.pool.append_written(&self.sequence, 0, slots, now) == KVP_OK:
                    missing = 0
                    self.arrive(before)
        if missing:
            raise self.shortage(missing)

    def truncate(self, num_tokens):
        """Take tokens back, for instance those that were speculated wrongly, and the blocks that only they needed.

        Parameters
        ----------
        num_tokens : int
            Tokens that stay, in [1, `num_tokens`].

        Returns
        -------
        ndarray of int32, shape (k, 2)
            Pairs of block ids: the first is to be copied to the second before any other call. There is one when the
            last block was registered, and is shared or continued by others: the sequence goes on in a copy of it.

        Raises
        ------
        NotEnoughBlocksAvailable
            There is no block for the copy.
        """
        cdef uint64_t kept
        cdef uint32_t count = 0
        cdef int64_t now
        cdef bytes copy = PyBytes_FromStringAndSize(NULL, 8)
        with cython.critical_section(self.pool):
            self.check_live()
        kept = parse_int(num_tokens, "num_tokens", 0, MAX_SEQUENCE_TOKENS)
        # Made before anything changes: without it, the copy would never be made.
        pairs = int32_array(copy).reshape(-1, 2) if kept % self.sequence.block_size else NO_PAIRS
        now = self.pool.now()
        with cython.critical_section(self.pool):
            self.check_live()
            parse_int(kept, "num_tokens", 1, self.sequence.num_tokens)
            is_short = self.pool.truncate_blocks(&self.sequence, kept, now, <int32_t *>PyBytes_AS_STRING(copy),
                                                 &count) != KVP_OK
            if not is_short:
                self.retrack()  # before the storage's hook, which may do anything
                if count and kvp_peek(self.pool.has_ledger):
                    self.pool.arrive(<int32_t *>PyBytes_AS_STRING(copy) + 1, 1, self.lease.space)
        if is_short:
            raise self.shortage(1)
        return pairs if count else NO_PAIRS

    def fork(self, *, owner=None):
        """Return a second sequence with the same tokens, which shares the registered blocks.

        Parameters
        ----------
        owner : object, optional
            As in :meth:`BlockPool.allocate_blocks`.

        Returns
        -------
        sequence : BlockSequence
        copies : ndarray of int32, shape (k, 2)
            Pairs of block ids: the first is to be copied to the second before any other call. They are the blocks that
            are not registered: the partial one, and full ones without :meth:`commit`.

        Raises
        ------
        NotEnoughBlocksAvailable
            There are no blocks for the copies.
        """
        cdef tuple forked
        cdef uint32_t missing = 0
        cdef int64_t now
        with cython.critical_section(self.pool):
            self.check_live()
        now = self.pool.now()
        if self.pool.has_chooser:
            with cython.critical_section(self.pool):
                self.check_live()
                missing = kvp_sequence_blocks_for(&self.sequence, self.sequence.num_tokens) - self.lease.registered
            self.pool.make_way(missing)
        with cython.critical_section(self.pool):
            forked = self.fork_to(owner, now, &missing)
        if forked is None:
            raise self.shortage(missing)
        self.pool.watch()
        return forked

    cdef tuple fork_to(self, object owner, int64_t now, uint32_t *missing):
        """The second sequence and the pairs; or None, and how many blocks are missing. In the critical section."""
        cdef BlockSequence child
        cdef uint32_t count = 0
        self.check_live()
        missing[0] = kvp_sequence_blocks_for(&self.sequence, self.sequence.num_tokens) - self.lease.registered
        child = new_sequence(<PoolReports>self.pool, self.sequence.salt, self.sequence.commits_on_append, owner)
        room = PyBytes_FromStringAndSize(NULL, 8 * <Py_ssize_t>missing[0])
        if kvp_sequence_copy_tokens(&child.sequence, &self.sequence) != KVP_OK:
            raise MemoryError(f"no memory for a sequence of {self.sequence.num_tokens} tokens")
        if self.pool.fork_blocks(&child.sequence, &self.sequence, now, <int32_t *>PyBytes_AS_STRING(room),
                                 &count) != KVP_OK:
            return None
        child.arrive(child.lease.registered)
        return child, int32_array(room[:8 * <Py_ssize_t>count]).reshape(-1, 2)

    def preempt(self):
        """Give all blocks back, and keep the tokens. Registered blocks can be matched until they are evicted."""
        cdef kvp_status status
        with cython.critical_section(self.pool):
            self.check_live()
            if self.is_in_batch:
                raise ValueError("the sequence is a row of a batch: remove it there first")
            self.untrack()
            status = self.pool.give_back_blocks(&self.sequence, 0)
            self.table_array, self.shown = None, NULL
        if status != KVP_OK:
            raise_status(status, "a block of this sequence had no reference to give back")

    def resume(self):
        """Match the tokens again and take blocks for the rest, after :meth:`preempt`.

        Raises
        ------
        NotEnoughBlocksAvailable
            The sequence stays preempted.
        """
        cdef int64_t now = 0 if self.pool is None else self.pool.now()
        cdef uint32_t missing = 0
        with cython.critical_section(self.pool):
            if self.is_released or self.lease == NULL:
                raise StaleHandle("the sequence was released")
            if self.lease.is_live:
                raise ValueError("the sequence has its blocks: it was not preempted")
            if self.pool.open_blocks(&self.sequence, 0, now) != KVP_OK:
                missing = kvp_sequence_missing(&self.sequence, self.sequence.num_tokens)
            else:
                self.arrive(self.lease.registered)
                self.check_live()
                self.track()
        if missing:
            raise self.shortage(missing)

    def release(self, *, reuse_hint=None):
        """Give all blocks back for good, with a hint as handles take it. No effect when that was done before."""
        cdef kvp_status status
        cdef uint32_t hint = parse_reuse_hint(reuse_hint)
        with cython.critical_section(self.pool):
            if self.is_released or self.lease == NULL:
                return
            if self.is_in_batch:
                raise ValueError("the sequence is a row of a batch: remove it there first")
            self.untrack()
            self.is_released = True
            status = self.pool.give_back_blocks(&self.sequence, hint)
            self.table_array, self.shown = None, NULL
        if status != KVP_OK:
            raise_status(status, "a block of this sequence had no reference to give back")
        self.pool.watch()

    def check_invariants(self):
        """Check tokens, hashes and blocks against each other, O(num_tokens).

        Raises
        ------
        CorruptionError
            Names what does not hold.
        """
        cdef const char *broken = NULL
        with cython.critical_section(self.pool):
            if self.lease != NULL:
                broken = self.pool.check_sequence(&self.sequence)
        if broken != NULL:
            raise CorruptionError((<bytes>broken).decode())


cdef BlockSequence new_sequence(PoolReports pool, uint64_t salt, bint commits_on_append, object owner):
    cdef BlockSequence self = BlockSequence.__new__(BlockSequence)
    if kvp_sequence_init(&self.sequence, <uint32_t>pool.block_size, salt, commits_on_append) != KVP_OK:
        raise MemoryError("no memory for a sequence")
    if pool.has_checks:
        kvp_sequence_keep_checks(&self.sequence, pool.key_secret)
    self.adopt(pool, self.sequence.lease, owner)
    if owner is not None:
        self.lease.owner = <void *>owner
    return self


cdef BlockSequence open_sequence(PoolReports pool, object token_ids, int32_t space, uint64_t salt, uint64_t lookahead,
                                 bint commits_on_append, object owner):
    cdef TokenBuffer tokens = as_token_buffer(token_ids)
    cdef BlockSequence self
    cdef uint32_t matchable
    cdef int64_t now = pool.now()
    if tokens.size == 0:
        raise ValueError("token_ids is empty: a sequence has at least 1 token")
    if (<uint64_t>tokens.size + lookahead + pool.block_size - 1) // pool.block_size > <uint64_t>pool.num_blocks:
        raise pool.shortage((tokens.size + lookahead + pool.block_size - 1) // pool.block_size, False)
    self = new_sequence(pool, salt, commits_on_append, owner)
    self.lease.space = <uint8_t>space
    if kvp_sequence_make_room(&self.sequence, tokens.size + lookahead) != KVP_OK:
        raise MemoryError(f"no memory for a sequence of {tokens.size + lookahead} tokens")
    self.write(tokens)
    kvp_sequence_count_in(&self.sequence, tokens.size)
    if pool.has_chooser:
        matchable = <uint32_t>((tokens.size - 1) // pool.block_size)
        pool.make_way(<int64_t>kvp_sequence_blocks_for(&self.sequence, tokens.size + lookahead)
                      - pool.find_prefix(self.sequence.hashes, self.sequence.checks, matchable, self.lease.ids))
    if pool.open_blocks(&self.sequence, lookahead, now) != KVP_OK:
        raise self.shortage(kvp_sequence_missing(&self.sequence, self.sequence.num_tokens + lookahead))
    self.arrive(self.lease.registered)
    with cython.critical_section(pool):
        self.track()
    pool.watch()
    return self
