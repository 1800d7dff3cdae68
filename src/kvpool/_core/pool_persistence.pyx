"""The registry of a pool as a file, and back."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from kvpool._core.arguments cimport parse_seconds
from kvpool._core.libkvp cimport *
from kvpool._core.pool_core cimport Counts
from kvpool._core.pool_memory cimport PoolMemory

import os
import time

from kvpool.errors import IndexFileError, ResetError
from kvpool.persistence import BlockIndex, NamespaceRecord, read_index, write_index


cdef void *column_of(dict columns, str name) except? NULL:
    """Where a column's values are; NULL without."""
    cdef Py_buffer view
    array = columns.get(name)
    if array is None:
        return NULL
    PyObject_GetBuffer(array, &view, PyBUF_SIMPLE)  # NumPy's own interfaces crash where there is no memory
    cdef void *values = view.buf
    PyBuffer_Release(&view)
    return values


cdef int point_to(kvp_index_columns *self, dict columns, uint32_t count, uint32_t block_size) except -1:
    """Let the core see columns, which the caller keeps alive."""
    memset(self, 0, sizeof(kvp_index_columns))
    self.count = count
    self.block_size = block_size
    self.hashes = <uint64_t *>column_of(columns, "hashes")
    self.lifetimes = <int64_t *>column_of(columns, "lifetimes")
    self.ids = <int32_t *>column_of(columns, "ids")
    self.parents = <int32_t *>column_of(columns, "parents")
    self.elders = <int32_t *>column_of(columns, "elders")
    self.tokens = <uint32_t *>column_of(columns, "tokens")
    self.levels = <uint8_t *>column_of(columns, "levels")
    self.spaces = <uint8_t *>column_of(columns, "spaces")
    self.is_parked = <uint8_t *>column_of(columns, "is_parked")
    self.has_tokens = <uint8_t *>column_of(columns, "has_tokens")
    return 0


cdef void *new_scratch(size_t count, size_t size) except NULL:
    cdef void *scratch = PyMem_Calloc(count + 1, size)
    if scratch == NULL:
        raise MemoryError(f"no memory for an index: {count} times {size} bytes")
    return scratch


cdef class PoolPersistence(PoolMemory):
    """Saving and loading what a pool has cached. Base of :class:`BlockPool`; not useful by itself."""

    def save_index(self, path):
        """Write to a file which block has which sequence hash, for storage that survives a restart.

        What is saved is of one moment: ids, hashes, lineage, priorities and what is left of their time, namespaces, and
        the order of eviction. Blocks that are held are saved as if they had been dropped at that moment, those held
        longest first. Mutable blocks are not in the index: nobody knows yet what will be in them. What a policy other
        than LRU has learned is not saved, nor are counts, pins, protection and hints.

        Parameters
        ----------
        path : path
            Replaced if it is there, as a whole: a reader finds the old index or the new one, whenever the process or
            the machine stops. Only its owner can read it.

        Returns
        -------
        int
            Blocks in the index.

        Raises
        ------
        OSError
            It cannot be written, or is something else than a file.

        Notes
        -----
        19 bytes a block; 8 more if any has a time-to-live, 4 if duplicates are kept, and 1 + 4 for each token where
        the pool keeps those. The file is checksummed against damage, not signed: who can write it decides what the
        pool takes for cached.
        """
        self.refuse_checks("saved")
        target = os.fsdecode(path)
        index = self.copy_index()
        write_index(target, index)
        return len(index)

    cdef object copy_index(self):
        """What is registered, in one moment."""
        cdef uint32_t total = 1, room = 0
        cdef int64_t now = self.now()
        cdef kvp_index_columns columns
        cdef void *scratch = new_scratch(self.num_blocks, sizeof(uint32_t) + 1)
        cdef dict arrays = {}
        try:
            while total > room:
                # Should more be registered by then, it is tried again with as much room.
                room = max(total, <uint32_t>kvp_shared_pool_guess_registered(self.shared))
                arrays = BlockIndex.new_columns(room, self.block_size, self.duplicates == "keep", self.event_tokens)
                point_to(&columns, arrays, 0, <uint32_t>self.block_size)
                total = self.save_columns(&columns, room, now, scratch)
            for name in arrays:
                arrays[name] = arrays[name][:total * (self.block_size if name == "tokens" else 1)]
            # After the blocks: every namespace that one of them has is known by now.
            return BlockIndex(self.num_blocks, self.block_size, time.time_ns(), self.saved_namespaces(), arrays)
        finally:
            PyMem_Free(scratch)

    cdef tuple saved_namespaces(self):
        cdef kvp_quota quota
        cdef list names = []
        records = []
        with cython.critical_section(self):
            for name in self.namespace_names:
                names.append((name, self.salts[name]))
        for number, (name, salt) in enumerate(names):
            quota = self.read_quota(number)
            records.append(NamespaceRecord(name, salt, quota.floor, quota.cap))
        return tuple(records)

    def load_index(self, path, *, elapsed=None):
        """Make an empty pool what a saved one was: its blocks are cached, under the same ids, in the same order.

        Parameters
        ----------
        path : path
            Of a file that :meth:`save_index` wrote, in a pool of the same ``num_blocks``, ``block_size`` and
            ``duplicates``. Its storage has what it had then: that is for the caller to know.
        elapsed : float, optional
            Seconds since the index was saved, for those whose time is not the system's; by default what the system's
            clock says. Priorities that were given for a time last so much less.

        Returns
        -------
        int
            Blocks that are cached now.

        Raises
        ------
        IndexFileError
            The file is not an index of such a pool, or is damaged, or its namespaces do not fit: too many, with other
            salts than those that the pool has, or with floors that it does not have room for.
        ResetError
            A block is held or cached.
        OSError
            The file cannot be read.

        Notes
        -----
        The index may come from anywhere: nothing in it is believed before it is checked, and the pool is unchanged when
        it is refused. Events tell of all blocks, parents first, after a ``CLEARED`` if there were others before.
        Namespaces that the pool does not have yet are made; those it has keep their quotas, the default one if it was
        given any. Blocks beyond the cap of their namespace are evicted at once.
        """
        cdef int64_t since = -1 if elapsed is None else parse_seconds(elapsed, "elapsed", True)
        cdef int64_t now = self.now()
        cdef kvp_index_columns columns
        cdef Counts counts
        cdef void *scratch = NULL
        self.refuse_checks("loaded")
        source = os.fsdecode(path)
        self.read_counts(&counts)
        if counts.empty < counts.total:
            raise self.not_empty()
        try:
            index = read_index(source, self.num_blocks, self.block_size, self.duplicates == "keep")
            if since < 0:
                since = min(max(time.time_ns() - index.saved_at, 0), INT64_MAX)
            point_to(&columns, index.columns, len(index), <uint32_t>self.block_size)
            self.check_columns(&columns, index)
            scratch = new_scratch(self.num_blocks, 2 * sizeof(int32_t) + 1)
            with cython.critical_section(self):
                self.install(&columns, index, since, now, scratch)
        except IndexFileError as error:
            raise IndexFileError(f"{source!r} cannot be loaded: {error}") from None
        finally:
            PyMem_Free(scratch)
        self.watch()
        self.read_counts(&counts)
        return counts.cached

    cdef int refuse_checks(self, str done) except -1:
        if self.has_checks:
            raise ValueError(f"an index of 128-bit keys cannot be {done}: the file has no room for check words")
        return 0

    cdef object not_empty(self):
        cdef Counts counts
        self.read_counts(&counts)
        return ResetError(f"an index cannot be loaded while {counts.active} of {counts.total} blocks are held and "
                          f"{counts.cached} are cached")

    cdef int check_columns(self, const kvp_index_columns *columns, object index) except -1:
        """Refuse what no pool would have saved."""
        cdef uint32_t at = 0
        cdef uint32_t num_spaces = <uint32_t>len(index.namespaces)
        cdef void *scratch = new_scratch(kvp_index_columns_scratch(columns.count, self.num_blocks), 1)
        cdef const char *broken
        with nogil:
            broken = kvp_index_columns_check(columns, self.num_blocks, num_spaces, scratch, &at)
        PyMem_Free(scratch)
        if broken != NULL:
            raise IndexFileError(f"block {at} of the {columns.count} in it: {(<bytes>broken).decode()}")
        return 0

    cdef tuple plan_namespaces(self, object index, kvp_quota *quotas):
        """Return the pool's names as they will be, and the numbers of the index's as bytes; fill the quotas in."""
        names = list(self.namespace_names)
        numbers = []
        for number in range(len(names)):
            quotas[number] = self.read_quota(number)
        for record in index.namespaces:
            if record.name not in self.indices:
                if len(names) > self.max_namespaces:
                    raise IndexFileError(f"its namespace {record.name!r} would be number {len(names)}, but "
                                         f"max_namespaces = {self.max_namespaces}")
                quotas[<int32_t>len(names)].floor = record.floor
                quotas[<int32_t>len(names)].cap = record.cap
                numbers.append(len(names))
                names.append(record.name)
                continue
            if self.salts[record.name] != record.salt_hash:
                raise IndexFileError(f"its namespace {record.name!r} has salt_hash = {record.salt_hash}, that of the "
                                     f"pool {self.salts[record.name]}")
            numbers.append(self.indices[record.name])
        default = index.namespaces[0]
        if quotas[0].floor == 0 and quotas[0].cap == self.num_blocks:
            quotas[0].floor, quotas[0].cap = default.floor, default.cap
            if self.max_namespaces == 0 and (default.floor > 0 or default.cap < self.num_blocks):
                raise IndexFileError(f"its default namespace has floor = {default.floor} and cap = {default.cap}, but "
                                     f"the pool was made without max_namespaces")
        promised = sum(quotas[<int32_t>number].floor for number in range(len(names)))
        if promised > self.num_blocks:
            raise IndexFileError(f"the floors of its namespaces and the pool's are {promised} blocks in all, the pool "
                                 f"has {self.num_blocks}")
        return tuple(names), bytes(numbers)

    cdef int install(self, kvp_index_columns *columns, object index, int64_t elapsed, int64_t now,
                     void *scratch) except -1:
        """Hand the columns to the core, with the pool's numbers for their namespaces."""
        cdef kvp_quota quotas[256]
        cdef kvp_restoration restoration
        cdef kvp_status status = KVP_RETRY
        restoration.columns = columns
        restoration.elapsed = elapsed
        restoration.quotas = quotas
        while status != KVP_OK and status != KVP_IN_USE:  # another thread made namespaces or changed their quotas
            before = self.namespace_names
            names, numbers = self.plan_namespaces(index, quotas)
            # Not by indexing the numbers: where there is no memory, NumPy says that it failed, but raises nothing.
            spaces = index.columns["spaces"].tobytes().translate((<bytes>numbers).ljust(256, b"\0"))
            columns.spaces = <uint8_t *>PyBytes_AS_STRING(spaces)
            restoration.num_known = <int32_t>len(before)
            restoration.num_spaces = <int32_t>len(names)
            indices = {name: number for number, name in enumerate(names)}
            salts = {**self.salts, **{record.name: record.salt_hash for record in index.namespaces}}
            # Before the events that name them: who reads those has no lock.
            self.namespace_names = names
            status = self.restore_columns(&restoration, now, scratch)
            if status != KVP_OK:
                self.namespace_names = before
        if status != KVP_OK:
            raise self.not_empty()
        self.indices = indices
        self.salts = salts
        return 0
