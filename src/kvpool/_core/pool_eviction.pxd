# What:      what takes blocks out of the cache: resets, and the policy that orders evictions.
# Cost:      as the core's functions.
# Ownership: as PoolCore.
# Locking:   through PoolCore's methods; what a policy chose and when it failed, in its critical section.
# Errors:    Python exceptions; nothing has changed then.

from libc.stdint cimport int32_t, int64_t, uint32_t

from kvpool._core.libkvp cimport kvp_policy_kind, kvp_reason
from kvpool._core.pool_namespaces cimport PoolNamespaces


cdef kvp_policy_kind parse_policy(object eviction) except *


cdef class PoolEviction(PoolNamespaces):
    cdef readonly object eviction  # kept alive: a name, or a policy of the user's
    cdef object chooser            # a CustomPolicy, or None
    cdef bytes victims             # candidates that were preferred for the call that is going on
    cdef bint is_choosing          # the policy is being asked: its own calls do without it
    cdef int64_t policy_error_count
    cdef int64_t policy_refusal_count
    cdef object policy_error
    cdef int32_t max_pinned   # blocks that may be pinned
    cdef double low_share     # the low watermark

    cdef kvp_policy_kind set_policy(self, object eviction) except *
    cdef int set_limits(self, object max_pinned, object high, object low, object on_pressure) except -1
    cdef object evict_identities(self, int64_t n, uint32_t highest, kvp_reason reason, bytes name)
