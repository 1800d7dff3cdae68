# What:      a block remembered without holding it.
# Cost:      one object.
# Ownership: keeps the pool alive, not the block.
# Locking:   none here; see PoolCore.
# Errors:    none; upgrade gives None when the block is no longer the one that was meant.

from libc.stdint cimport int32_t, uint32_t, uint64_t

from kvpool._core.pool_core cimport PoolCore


cdef class WeakBlock:
    cdef PoolCore pool              # kept alive for upgrade
    cdef readonly int32_t id
    cdef uint32_t generation        # the block's, when it was meant
    cdef readonly uint64_t sequence_hash


cdef WeakBlock new_weak_block(PoolCore pool, int32_t id, uint32_t generation, uint64_t sequence_hash)
