"""Filling blocks with zeros before somebody else can read them."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, uint8_t, uint64_t

from kvpool._core.arrays cimport int32_array
from kvpool._core.arguments cimport parse_int
from kvpool._core.block_ids cimport parse_ids
from kvpool._core.block_memory cimport BlockMemory
from kvpool._core.libkvp cimport KVP_OK
from kvpool._core.libkvp_storage cimport (KVP_SCRUB_ALLOCATE, KVP_SCRUB_FREE, KVP_SCRUB_NAMESPACES, KVP_SCRUB_NEVER,
                                          kvp_layout_block_bytes, kvp_scrub_blocks, kvp_scrub_ledger_arriving,
                                          kvp_scrub_ledger_clean, kvp_scrub_ledger_destroy, kvp_scrub_ledger_forget,
                                          kvp_scrub_ledger_init, kvp_scrub_ledger_leaving, kvp_scrub_ledger_own)
from kvpool._core.status cimport raise_status

cdef dict RULES = {
    "never": KVP_SCRUB_NEVER,
    "namespaces": KVP_SCRUB_NAMESPACES,
    "free": KVP_SCRUB_FREE,
    "allocate": KVP_SCRUB_ALLOCATE,
}
cdef enum:
    LONG_FILL = 1 << 16  # bytes from which the GIL is released


cdef int fill(BlockMemory memory, const int32_t *ids, uint64_t n) except -1:
    if n * kvp_layout_block_bytes(&memory.memory.layout) < LONG_FILL:
        kvp_scrub_blocks(&memory.memory, ids, n)
    else:
        with nogil:
            kvp_scrub_blocks(&memory.memory, ids, n)
    return 0


def scrub_memory(BlockMemory memory not None, ids):
    """Fill blocks of the host with zeros; see :func:`kvpool.storage.scrub_blocks`."""
    cdef const int32_t[::1] own = parse_ids(ids, "ids", memory.memory.layout.config.num_blocks)
    if not memory.is_host:
        raise ValueError(f"the memory of device {memory.device} is not the host's")
    if not memory.is_writable:
        raise ValueError("the storage is read-only")
    if own.shape[0]:
        fill(memory, &own[0], own.shape[0])


@cython.final
@cython.auto_pickle(False)
cdef class ScrubLedger:
    """Whose bytes are in each block of a storage; fills blocks with zeros by one of four rules.

    A pool that has a storage calls :meth:`arriving` for blocks that were just taken out of the inactive pool, and
    :meth:`leaving` for mutable blocks that are about to go back, both outside its lock: until then, and from then on,
    nobody else has these blocks.

    Parameters
    ----------
    memory : BlockMemory
    rule : {"never", "namespaces", "free", "allocate"}, default "namespaces"
        Never; when a block comes to another namespace than the last; when a mutable block is given back (what was
        evicted or reset is filled when it is next handed out); whenever a block is handed out.
    is_zeroed : bool, default False
        Whether all bytes are known to be 0; otherwise every block counts as dirty in the beginning.
    hook : callable, optional
        Fills blocks of a device: called with an int32 array of ids. Needed unless the memory is the host's.

    Attributes
    ----------
    rule : str
    """

    def __cinit__(self, BlockMemory memory not None, rule="namespaces", *, bint is_zeroed=False, hook=None):
        if not isinstance(rule, str) or rule not in RULES:
            raise ValueError(f"rule = {rule!r} is not one of {tuple(RULES)}")
        if hook is not None and not callable(hook):
            raise TypeError(f"hook must be callable, not {type(hook).__name__}")
        if rule != "never" and not memory.is_host and hook is None:
            raise ValueError(f"rule = {rule!r} needs a scrub_hook for memory of device {memory.device}")
        if rule != "never" and not memory.is_writable:
            raise ValueError(f"rule = {rule!r} cannot be kept: the storage is read-only")
        self.memory = memory
        self.rule = rule
        self.hook = None if memory.is_host else hook
        status = kvp_scrub_ledger_init(&self.ledger, memory.memory.layout.config.num_blocks, RULES[rule], is_zeroed)
        if status != KVP_OK:
            raise_status(status, f"no memory for {memory.memory.layout.config.num_blocks} entries")

    def __dealloc__(self):
        kvp_scrub_ledger_destroy(&self.ledger)

    def __reduce__(self):
        raise TypeError("ScrubLedger cannot be copied or pickled: it belongs to a storage")

    cdef int arrive(self, const int32_t *ids, Py_ssize_t n, uint8_t space) except -1:
        cdef uint64_t count = kvp_scrub_ledger_arriving(&self.ledger, ids, n, space, NULL)
        cdef bytes room
        cdef int32_t *dirty = NULL
        if count:
            room = PyBytes_FromStringAndSize(NULL, 4 * count)
            dirty = <int32_t *>PyBytes_AS_STRING(room)
            kvp_scrub_ledger_arriving(&self.ledger, ids, n, space, dirty)
        # Before they are filled: meanwhile a hook may release the sequence that has the ids, as may another thread.
        kvp_scrub_ledger_own(&self.ledger, ids, n, space)
        if count and self.hook is None:
            fill(self.memory, dirty, count)
        elif count:
            try:
                self.hook(int32_array(room))
            except BaseException:
                kvp_scrub_ledger_forget(&self.ledger, dirty, count)
                raise
        return 0

    cdef void leave(self, const int32_t *ids, Py_ssize_t n) noexcept:
        cdef Py_ssize_t i
        if self.hook is not None or self.ledger.rule != KVP_SCRUB_FREE:
            return
        for i in range(n):
            if kvp_scrub_ledger_leaving(&self.ledger, ids + i, 1, NULL):
                kvp_scrub_blocks(&self.memory.memory, ids + i, 1)
                kvp_scrub_ledger_clean(&self.ledger, ids + i, 1)

    def arriving(self, ids, space=0):
        """Fill what must be, of blocks that the caller has been handed.

        Parameters
        ----------
        ids : array of integers, sequence of int, or handle
        space : int, default 0
            Number of the namespace that they were handed to (``Namespace.index``).
        """
        cdef const int32_t[::1] own = parse_ids(ids, "ids", self.ledger.num_blocks)
        cdef uint8_t number = parse_int(space, "space", 0, 255)
        if own.shape[0]:
            self.arrive(&own[0], own.shape[0], number)

    def leaving(self, ids):
        """Fill what must be, of mutable blocks that the caller is about to give back.

        Parameters
        ----------
        ids : array of integers, sequence of int, or handle
        """
        cdef const int32_t[::1] own = parse_ids(ids, "ids", self.ledger.num_blocks)
        if own.shape[0]:
            self.leave(&own[0], own.shape[0])
