"""All running requests in one object."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from kvpool._core.arguments cimport parse_int
from kvpool._core.arrays cimport int32_array, writable_array
from kvpool._core.batch_memory cimport BatchMemory
from kvpool._core.block_sequence cimport BlockSequence
from kvpool._core.interpreter cimport kvp_peek
from kvpool._core.libkvp cimport *
from kvpool._core.pool_reports cimport PoolReports
from kvpool._core.token_buffer cimport TokenBuffer, as_token_buffer

import numpy as np

from kvpool.errors import CorruptionError, ForeignHandle, StaleHandle

cdef object INT32 = np.dtype(np.int32)
cdef object INT64 = np.dtype(np.int64)
cdef uint64_t MAX_CELLS = 2**31 - 1


@cython.final
@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class SequenceBatch:
    """Running requests as rows of one block table, in the form in which attention kernels take them.

    Parameters
    ----------
    pool : BlockPool
    max_sequences : int
        Rows of the table, at least 1.
    max_blocks_per_sequence : int
        Columns of the table, at least 1. Their product is less than 2**31.
    max_tokens_per_step : int, optional
        New tokens of a step, at most; 16 for each row by default.

    Notes
    -----
    The arrays are allocated once and never move. They are written by the batch's own calls; what others write into them
    changes no sequence. Threads that use one batch, or its sequences, at once wait for each other; the arrays are for
    who knows that no other thread is at it.

    Examples
    --------
    >>> from kvpool import BlockPool, SequenceBatch
    >>> pool = BlockPool(num_blocks=16, block_size=4)
    >>> batch = SequenceBatch(pool, max_sequences=4, max_blocks_per_sequence=4)
    >>> batch.add(pool.open_sequence([1, 2, 3])), batch.add(pool.open_sequence([4, 5, 6, 7]))
    (0, 1)
    >>> batch.append([8, 9])
    array([], dtype=int32)
    >>> batch.sequence_lengths[:2].tolist(), batch.block_tables[:2].tolist()
    ([4, 5], [[0, -1, -1, -1], [1, 2, -1, -1]])
    >>> batch.slot_mapping.tolist()
    [3, 8]
    """

    def __cinit__(self, pool, max_sequences, max_blocks_per_sequence, *, max_tokens_per_step=None):
        cdef BatchMemory memory = BatchMemory.__new__(BatchMemory)
        cdef uint64_t rows, columns, slots
        if not isinstance(pool, PoolReports):
            raise TypeError(f"pool must be a BlockPool, not {type(pool).__name__}")
        rows = parse_int(max_sequences, "max_sequences", 1, MAX_CELLS)
        columns = parse_int(max_blocks_per_sequence, "max_blocks_per_sequence", 1, MAX_CELLS)
        if rows * columns > MAX_CELLS:
            raise ValueError(f"max_sequences * max_blocks_per_sequence = {rows * columns} is more than {MAX_CELLS}")
        slots = 16 * rows
        if max_tokens_per_step is not None:
            slots = parse_int(max_tokens_per_step, "max_tokens_per_step", 1, MAX_CELLS)
        if kvp_sequence_batch_init(&memory.batch, <uint32_t>rows, <uint32_t>columns, slots) != KVP_OK:
            raise MemoryError(f"no memory for a table of {rows} by {columns} blocks")
        self.pool = pool
        self.memory = memory
        self.batch = &memory.batch
        self.members = []
        self.tables_array = writable_array(self.batch.tables, rows * columns, INT32, memory).reshape(rows, columns)
        self.lengths_array = writable_array(self.batch.lengths, rows, INT32, memory)
        self.slots_array = writable_array(self.batch.slots, slots, INT64, memory)

    def __dealloc__(self):
        # The sequences know that they are in a batch; this one goes.
        cdef BlockSequence sequence
        if self.members is not None:
            with cython.critical_section(self.pool):
                for sequence in self.members:
                    sequence.is_in_batch = False

    def __reduce__(self):
        raise TypeError("SequenceBatch cannot be copied or pickled: its sequences own blocks of one pool")

    cdef int check_members(self) except -1:
        """Calls on the sequences themselves have left them with blocks, and with no more than a row shows."""
        cdef uint32_t row
        cdef const kvp_lease *lease
        for row in range(self.batch.num_rows):
            lease = self.batch.rows[row].lease
            if not lease.is_live:
                raise StaleHandle(f"the sequence of row {row} has no blocks any more")
            if lease.count > self.batch.max_blocks:
                raise ValueError(f"the sequence of row {row} has {lease.count} blocks, more than "
                                 f"max_blocks_per_sequence = {self.batch.max_blocks}")
        return 0

    cdef int check_step(self, const kvp_step *step, Py_ssize_t size) except -1:
        """The numbers of tokens fit the rows, the table and the slots."""
        cdef uint32_t row, rows = self.batch.num_rows
        cdef uint64_t block_size = self.pool.block_size, room = self.batch.max_blocks * block_size, count
        cdef const kvp_sequence *sequence
        if <uint64_t>size > self.batch.max_slots:
            raise ValueError(f"{size} new tokens are more than max_tokens_per_step = {self.batch.max_slots}")
        for row in range(rows):
            count = step.each
            if step.offsets != NULL:
                if step.offsets[row + 1] < step.offsets[row]:
                    raise ValueError(f"offsets[{row + 1}] = {step.offsets[row + 1]} is less than offsets[{row}] = "
                                     f"{step.offsets[row]}")
                count = step.offsets[row + 1] - step.offsets[row]
            sequence = self.batch.rows[row]
            if sequence.num_tokens + count > room:
                raise ValueError(f"row {row} would have {sequence.num_tokens + count} tokens, more than "
                                 f"max_blocks_per_sequence * block_size = {room}")
        return 0

    def __len__(self):
        """Return the number of rows."""
        cdef uint32_t rows
        with cython.critical_section(self.pool):
            rows = self.batch.num_rows
        return rows

    def __repr__(self):
        return f"<SequenceBatch of {len(self)} of {self.batch.max_rows} rows>"

    @property
    def max_sequences(self):
        """Rows of the table."""
        return self.batch.max_rows

    @property
    def max_blocks_per_sequence(self):
        """Columns of the table."""
        return self.batch.max_blocks

    @property
    def max_tokens_per_step(self):
        """New tokens of a step, at most."""
        return self.batch.max_slots

    @property
    def sequences(self):
        """The sequences in the order of their rows, a tuple."""
        with cython.critical_section(self.pool):
            members = tuple(self.members)
        return members

    @property
    def block_tables(self):
        """Ids of the blocks of each row, -1 behind: int32 array of shape (max_sequences, max_blocks_per_sequence)."""
        return self.tables_array

    @property
    def sequence_lengths(self):
        """Tokens of each row, 0 behind the last: int32 array of shape (max_sequences,)."""
        return self.lengths_array

    @property
    def slot_mapping(self):
        """Where the KV of each new token of the last step goes, row by row: int64 array of shape (new tokens,).

        Block id * block_size + position in the block; -1 for the tokens of rows that were not served.
        """
        cdef uint64_t count
        with cython.critical_section(self.pool):
            count = self.batch.num_slots
        return self.slots_array[:count]

    def add(self, sequence):
        """Add a sequence as the last row.

        Parameters
        ----------
        sequence : BlockSequence
            Of this pool, with blocks, and in no batch.

        Returns
        -------
        int
            Its row.
        """
        cdef int row
        if not isinstance(sequence, BlockSequence):
            raise TypeError(f"sequence must be a BlockSequence, not {type(sequence).__name__}")
        with cython.critical_section(self.pool):
            row = self.take(sequence)
        return row

    cdef int take(self, BlockSequence member) except -1:
        member.check_live()
        if member.pool is not self.pool:
            raise ForeignHandle("the sequence is of another pool")
        if member.is_in_batch:
            raise ValueError("the sequence is a row of a batch already")
        if self.batch.num_rows == self.batch.max_rows:
            raise ValueError(f"the batch has max_sequences = {self.batch.max_rows} rows already")
        if member.lease.count > self.batch.max_blocks:
            raise ValueError(f"the sequence has {member.lease.count} blocks, more than max_blocks_per_sequence = "
                             f"{self.batch.max_blocks}")
        self.members.append(member)
        member.untrack()
        member.is_in_batch = True
        kvp_sequence_batch_add(self.batch, &member.sequence)
        return self.batch.num_rows - 1

    def remove(self, row):
        """Take a row out; the last row moves into its place.

        Parameters
        ----------
        row : int

        Returns
        -------
        BlockSequence
            That was there; it keeps its blocks.
        """
        number = parse_int(row, "row", 0, MAX_CELLS)
        with cython.critical_section(self.pool):
            member = self.put_out(number)
        return member

    cdef BlockSequence put_out(self, object row):
        cdef BlockSequence member, last
        if self.batch.num_rows == 0:
            raise IndexError("the batch has no rows")
        cdef uint32_t at = parse_int(row, "row", 0, self.batch.num_rows - 1)
        last = self.members.pop()
        member = last
        if at < self.batch.num_rows - 1:
            member = self.members[at]
            self.members[at] = last
        kvp_sequence_batch_remove(self.batch, at)
        member.is_in_batch = False
        return member

    def append(self, tokens, *, offsets=None, on_exhausted="raise"):
        """Append tokens to every row, and take the blocks that they need: a decode step.

        Parameters
        ----------
        tokens : array of integers or sequence of int
            Of shape (rows,), one for each; (rows, k), k for each; or, with `offsets`, (n,).
        offsets : array of int64, shape (rows + 1,), optional
            Row r gets ``tokens[offsets[r]:offsets[r + 1]]``; from 0 to n.
        on_exhausted : {"raise", "report"}, default "raise"
            What happens when there are too few blocks: nothing is appended, or rows are served one after the other as
            far as blocks go round.

        Returns
        -------
        ndarray of int32, shape (k,)
            Rows that were not served, which did not change.

        Raises
        ------
        NotEnoughBlocksAvailable
            Its ``rows`` are those that could not be served.
        ValueError
            The numbers of tokens do not fit the rows, the table, or ``max_tokens_per_step``.
        """
        cdef kvp_step step
        cdef TokenBuffer buffer
        cdef uint32_t count = 0, rows
        cdef uint64_t missing = 0
        cdef int64_t now = self.pool.now()
        cdef bytes refused, counts
        cdef const int64_t[::1] starts = None
        cdef bint is_partial = on_exhausted == "report"
        if not is_partial and on_exhausted != "raise":
            raise ValueError(f"on_exhausted = {on_exhausted!r} is neither 'raise' nor 'report'")
        step.offsets = NULL
        step.each = 0
        if type(tokens) is not np.ndarray:
            tokens = np.asarray(tokens)
            if tokens.size == 0:
                tokens = tokens.astype(INT64)
        shape = tokens.shape
        buffer = as_token_buffer(tokens if len(shape) == 1 else tokens.reshape(-1))
        if offsets is not None:
            offsets = np.asarray(offsets)
            if offsets.dtype.kind not in "iu" and offsets.size:
                raise TypeError(f"offsets must be integers, not of dtype {offsets.dtype}")
            # Of our own: another thread could write to the other after it was checked.
            starts = np.array(offsets, dtype=INT64, order="C")
        if self.pool.has_chooser:
            self.pool.make_way(<int64_t>buffer.size // <int64_t>self.pool.block_size + 1)
        with cython.critical_section(self.pool):
            rows = self.batch.num_rows  # nothing of the caller's runs from here on
            if starts is not None:
                if len(shape) != 1:
                    raise ValueError(f"with offsets, tokens must have 1 dimension, not {len(shape)}")
                if starts.shape[0] != rows + 1 or starts[0] != 0 or starts[rows] != buffer.size:
                    got = f" from {starts[0]} to {starts[starts.shape[0] - 1]}" if starts.shape[0] else ""
                    raise ValueError(f"offsets must be {rows + 1} numbers from 0 to {buffer.size}, the rows and "
                                     f"tokens; got {starts.shape[0]}{got}")
                step.offsets = &starts[0]
            else:
                if not 1 <= len(shape) <= 2 or shape[0] != rows:
                    raise ValueError(f"tokens has shape {shape}, but the batch has {rows} rows")
                step.each = 1 if len(shape) == 1 else shape[1]
                if <uint64_t>buffer.size != rows * step.each:
                    raise ValueError(f"tokens changed its shape while it was read: {buffer.size} for {rows} rows")
            step.tokens = buffer.data
            self.check_members()
            self.check_step(&step, buffer.size)
            refused = PyBytes_FromStringAndSize(NULL, 4 * <Py_ssize_t>rows)
            counts = self.count_blocks() if kvp_peek(self.pool.has_ledger) else None
            if kvp_sequence_batch_write(self.batch, &step) != KVP_OK:
                raise MemoryError(f"no memory for {buffer.size} more tokens")
            if self.pool.append_batch(self.batch, &step, is_partial, now,
                                      <int32_t *>PyBytes_AS_STRING(refused), &count) != KVP_OK:
                missing = self.count_missing(&step)
            elif counts is not None:
                self.arrive(counts)
        if missing:
            error = self.pool.shortage(missing, False)
            error.rows = tuple(int32_array(refused[:4 * <Py_ssize_t>count]).tolist())
            raise error
        self.pool.watch()
        return int32_array(refused[:4 * <Py_ssize_t>count] if count else b"")

    cdef bytes count_blocks(self):
        """Blocks of each row."""
        cdef uint32_t row
        cdef bytes counts = PyBytes_FromStringAndSize(NULL, 4 * <Py_ssize_t>self.batch.num_rows)
        for row in range(self.batch.num_rows):
            (<uint32_t *>PyBytes_AS_STRING(counts))[row] = self.batch.rows[row].lease.count
        return counts

    cdef int arrive(self, bytes counts) except -1:
        """What the rows have beyond these counts is new: fill with zeros those blocks that have bytes of others."""
        cdef uint32_t row, before, rows = self.batch.num_rows, new = 0, end = 0, begin = 0
        cdef kvp_lease *lease
        cdef bytes space_room, id_room
        cdef uint8_t *spaces
        cdef int32_t *ids
        for row in range(rows):
            new += self.batch.rows[row].lease.count - (<uint32_t *>PyBytes_AS_STRING(counts))[row]
        # Copies, since the storage's hook may do anything to the rows.
        space_room = PyBytes_FromStringAndSize(NULL, new)
        id_room = PyBytes_FromStringAndSize(NULL, 4 * <Py_ssize_t>new)
        spaces = <uint8_t *>PyBytes_AS_STRING(space_room)
        ids = <int32_t *>PyBytes_AS_STRING(id_room)
        for row in range(rows):
            lease = self.batch.rows[row].lease
            before = (<uint32_t *>PyBytes_AS_STRING(counts))[row]
            memcpy(ids + end, lease.ids + before, 4 * (lease.count - before))
            memset(spaces + end, lease.space, lease.count - before)
            end += lease.count - before
        while begin < new:
            end = begin + 1
            while end < new and spaces[end] == spaces[begin]:
                end += 1
            self.pool.arrive(ids + begin, end - begin, spaces[begin])
            begin = end
        return 0

    cdef uint64_t count_missing(self, const kvp_step *step):
        cdef uint32_t row
        cdef uint64_t missing = 0
        for row in range(self.batch.num_rows):
            missing += kvp_sequence_missing(self.batch.rows[row], self.batch.rows[row].num_tokens
                                            + (step.each if step.offsets == NULL
                                               else step.offsets[row + 1] - step.offsets[row]))
        return missing

    def refresh(self):
        """Show in all rows what calls on the sequences themselves have changed."""
        cdef uint32_t row
        with cython.critical_section(self.pool):
            self.check_members()
            for row in range(self.batch.num_rows):
                kvp_sequence_batch_show(self.batch, row)

    def check_invariants(self):
        """Check that the arrays show what the sequences have, O(max_sequences * max_blocks_per_sequence).

        Raises
        ------
        CorruptionError
            Names what does not hold.
        """
        cdef const char *broken
        with cython.critical_section(self.pool):
            broken = kvp_sequence_batch_check(self.batch)
        if broken != NULL:
            raise CorruptionError((<bytes>broken).decode())
