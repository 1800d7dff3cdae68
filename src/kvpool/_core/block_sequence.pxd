# What:      a request as one object: its tokens, their hashes, and the blocks that hold their KV.
# Cost:      one object, one lease and three arrays a request; a call is one lock, whatever it does.
# Ownership: owns the tokens and hashes; its lease as every handle. Arrays of its block table keep the table alive.
# Locking:   PoolCore takes the lock for blocks; all else of a sequence is read and written in the pool's critical
#            section, by its own methods and by those of its batch.
# Errors:    NotEnoughBlocksAvailable, and then nothing changed; StaleHandle without blocks.

from libc.stdint cimport int32_t, int64_t, uint32_t, uint64_t

from kvpool._core.handle cimport Handle
from kvpool._core.libkvp cimport kvp_id_table, kvp_sequence
from kvpool._core.pool_reports cimport PoolReports
from kvpool._core.token_buffer cimport TokenBuffer


cdef class BlockSequence(Handle):
    cdef object __weakref__
    cdef kvp_sequence sequence
    cdef bint is_released       # for good
    cdef bint is_in_batch       # of one SequenceBatch
    cdef object table_array     # what block_table returned last
    cdef kvp_id_table *shown    # borrowed; the table that it shows
    cdef object flight_key      # hash under which the pool says that this computes it; None: none

    cdef int check_live(self) except -1
    cdef int write(self, TokenBuffer tokens) except -1
    cdef int track(self) except -1
    cdef int retrack(self) except -1
    cdef int untrack(self) except -1
    cdef uint64_t read(self, const uint64_t *field) noexcept
    cdef object shortage(self, uint32_t missing)
    cdef tuple fork_to(self, object owner, int64_t now, uint32_t *missing)
    cdef int arrive(self, uint32_t first) except -1


cdef BlockSequence open_sequence(PoolReports pool, object token_ids, int32_t space, uint64_t salt, uint64_t lookahead,
                                 bint commits_on_append, object owner)
