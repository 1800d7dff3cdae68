# What:      an allocation that waits its turn without a thread: what an event loop keeps for each waiting coroutine.
# Cost:      one object, a lease and room for the hashes of what is evicted for it.
# Ownership: owns the handle that the blocks will be in, and its place in the queue; keeps the bell alive.
# Locking:   through PoolWaiting's methods. One thread uses a request, that of its event loop.
# Errors:    those of allocate_blocks.

from kvpool._core.bell cimport Bell
from kvpool._core.libkvp cimport kvp_waiter
from kvpool._core.mutable_blocks cimport MutableBlocks
from kvpool._core.pool cimport BlockPool


cdef class BlockRequest:
    cdef BlockPool pool
    cdef Bell bell              # kept alive for the waiter
    cdef MutableBlocks blocks   # its lease is the waiter's
    cdef bytes evicted          # kept alive for the waiter: room for hashes
    cdef kvp_waiter waiter
    cdef bint has_waiter
    cdef bint has_blocks
    cdef public object future
