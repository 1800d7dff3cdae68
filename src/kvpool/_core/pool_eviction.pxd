# What:      what takes blocks out of the cache: resets, and the policy that orders evictions.
# Cost:      as the core's functions.
# Ownership: as PoolCore.
# Locking:   through PoolCore's methods only.
# Errors:    Python exceptions; nothing has changed then.

from kvpool._core.libkvp cimport kvp_policy_kind
from kvpool._core.pool_reports cimport PoolReports


cdef kvp_policy_kind parse_policy(object eviction) except *


cdef class PoolEviction(PoolReports):
    cdef readonly str eviction
