"""The arrays of a batch of sequences."""

cimport cython

from kvpool._core.libkvp cimport kvp_sequence_batch_destroy


@cython.final
@cython.no_gc
@cython.auto_pickle(False)
cdef class BatchMemory:
    """The arrays of a batch: they live as long as anything that shows them."""

    def __init__(self):
        raise TypeError("BatchMemory cannot be created from Python")

    def __dealloc__(self):
        kvp_sequence_batch_destroy(&self.batch)
