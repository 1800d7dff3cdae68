"""Statuses of the core as exceptions."""

from kvpool._core.libkvp cimport KVP_CONSUMED, KVP_CORRUPT, KVP_IN_USE, KVP_NO_MEMORY, KVP_STALE, kvp_status

from kvpool.errors import CorruptionError, InvalidMutableBlock, ResetError, StaleHandle

cdef dict EXCEPTIONS = {
    KVP_NO_MEMORY: MemoryError,
    KVP_STALE: StaleHandle,
    KVP_CONSUMED: InvalidMutableBlock,
    KVP_IN_USE: ResetError,
    KVP_CORRUPT: CorruptionError,
}


cdef int raise_status(kvp_status status, str what) except -1:
    raise EXCEPTIONS.get(<int>status, CorruptionError)(what)
