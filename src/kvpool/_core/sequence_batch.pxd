# What:      the running requests as rows of one table, and one call that appends to all of them.
# Cost:      a step is one lock, and O(1) a row and a new block. Arrays are made once.
# Ownership: owns the C batch, through a BatchMemory that the arrays keep alive; keeps the sequences alive.
# Locking:   PoolCore takes the lock for blocks; the batch and its sequences are read and written in the pool's critical
#            section.
# Errors:    NotEnoughBlocksAvailable with the rows that go without; ValueError for arguments that do not fit together.

from libc.stdint cimport uint64_t

from kvpool._core.batch_memory cimport BatchMemory
from kvpool._core.block_sequence cimport BlockSequence
from kvpool._core.libkvp cimport kvp_sequence_batch, kvp_step
from kvpool._core.pool_reports cimport PoolReports


cdef class SequenceBatch:
    cdef PoolReports pool
    cdef BatchMemory memory         # kept alive
    cdef kvp_sequence_batch *batch  # borrowed from memory
    cdef list members               # BlockSequence of each row
    cdef object tables_array
    cdef object lengths_array
    cdef object slots_array

    cdef int take(self, BlockSequence member) except -1
    cdef BlockSequence put_out(self, object row)
    cdef int check_members(self) except -1
    cdef int check_step(self, const kvp_step *step, Py_ssize_t size) except -1
    cdef bytes count_blocks(self)
    cdef int arrive(self, bytes counts) except -1
    cdef uint64_t count_missing(self, const kvp_step *step)
