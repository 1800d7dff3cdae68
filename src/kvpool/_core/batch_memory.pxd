# What:      the C side of a batch of sequences, kept alive by everything that shows its arrays.
# Cost:      one object.
# Ownership: owns the arrays; the sequences in it are the SequenceBatch's.
# Locking:   none.
# Errors:    none.

from kvpool._core.libkvp cimport kvp_sequence_batch


cdef class BatchMemory:
    cdef kvp_sequence_batch batch
