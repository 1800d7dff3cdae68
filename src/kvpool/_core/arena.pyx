"""Mappings for the memory of blocks."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.errno cimport ENOMEM
from libc.stdint cimport uint64_t

from kvpool._core.arguments cimport parse_int
from kvpool._core.libkvp cimport KVP_OK, kvp_status
from kvpool._core.libkvp_storage cimport (KVP_TOO_LARGE, kvp_arena_config, kvp_arena_destroy, kvp_arena_init,
                                          kvp_arena_sync)

import os


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class Arena:
    """Memory for blocks, with a page behind it that nobody may touch.

    Parameters
    ----------
    nbytes : int
        Bytes, at least 1.
    alignment : int, default 256
        Of the first byte; a power of two.
    fd : int, default -1
        Descriptor of a file, or of shared memory, that has so many bytes; -1 for memory of this process, which is
        zeroed. Can be closed afterwards.
    is_writable : bool, default True
        Private memory always is.
    huge_pages : bool, default False
        Huge pages, where the system gives them.
    populate : bool, default False
        Have every page there before the first use.

    Raises
    ------
    MemoryError
        The system has not so much address space, or memory.
    OSError
        The descriptor cannot be mapped.

    Notes
    -----
    The buffer protocol shows it as bytes. It is unmapped when nobody has it, or a view of it, any more.
    """

    def __cinit__(self, nbytes, alignment=256, *, fd=-1, bint is_writable=True, bint huge_pages=False,
                  bint populate=False):
        cdef kvp_arena_config config
        cdef int error = 0
        cdef kvp_status status
        config.bytes = parse_int(nbytes, "nbytes", 1, 2**63 - 1)
        config.alignment = parse_int(alignment, "alignment", 1, 2**62)
        if config.alignment & (config.alignment - 1):
            raise ValueError(f"alignment = {alignment} is not a power of two in [1, 2**62]")
        config.fd = parse_int(fd, "fd", -1, 2**31 - 1)
        config.is_writable = is_writable
        config.has_huge_pages = huge_pages
        config.is_populated = populate
        with nogil:
            status = kvp_arena_init(&self.arena, &config, &error)
        if status == KVP_TOO_LARGE or (status != KVP_OK and error == ENOMEM):
            raise MemoryError(f"no memory for {nbytes} bytes, aligned to {alignment}")
        if status != KVP_OK:
            raise OSError(error, f"{os.strerror(error)}: {nbytes} bytes of descriptor {fd}")
        self.is_writable = is_writable or config.fd < 0

    def __dealloc__(self):
        kvp_arena_destroy(&self.arena)

    def __reduce__(self):
        raise TypeError("Arena cannot be copied or pickled: it is memory of this process")

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.arena.data, <Py_ssize_t>self.arena.bytes, not self.is_writable, flags)

    def __len__(self):
        return <Py_ssize_t>self.arena.bytes

    @property
    def address(self):
        """Address of the first byte."""
        return <uint64_t>self.arena.data

    def sync(self):
        """Have the file on disk hold what the memory holds; returns when it does. Nothing to do for private memory.

        Raises
        ------
        OSError
            The file cannot take it.
        """
        cdef int error = 0
        cdef kvp_status status
        with nogil:
            status = kvp_arena_sync(&self.arena, &error)
        if status != KVP_OK:
            raise OSError(error, os.strerror(error))
