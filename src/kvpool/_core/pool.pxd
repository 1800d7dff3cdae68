# What:      the pool as its users see it: arguments in, one call of PoolCore, handles and arrays out.
# Cost:      that of PoolCore's methods, and one object and one allocation for a handle.
# Ownership: see PoolCore.
# Locking:   none here: arguments are parsed and results are made outside the lock, which PoolCore takes.
# Errors:    each method says what it raises; a call that raises has changed nothing.

from kvpool._core.pool_persistence cimport PoolPersistence


cdef class BlockPool(PoolPersistence):
    cdef object __weakref__
