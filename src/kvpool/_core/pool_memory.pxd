# What:      which memory the pool's blocks have: storages attached to it, and buffers of others registered with it.
# Cost:      O(parts of the storage); nothing is done for a block.
# Ownership: the pool keeps the storage alive while it is attached; views keep its memory alive beyond that.
# Locking:   none of the pool's; PoolCore takes that for the blocks of a view.
# Errors:    a call that raises has changed nothing.

from kvpool._core.pool_prefetch cimport PoolPrefetch


cdef class PoolMemory(PoolPrefetch):
    cdef object detach(self)
