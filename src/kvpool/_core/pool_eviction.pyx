"""What takes blocks out of the cache, and in which order."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t

from kvpool._core.arrays cimport int32_array, uint8_array, uint64_array
from kvpool._core.hash_argument cimport HashArgument, close_hashes, open_hashes
from kvpool._core.libkvp cimport *
from kvpool._core.pool_reports cimport PoolReports
from kvpool._core.status cimport raise_status

from kvpool.policies.native import EVICTION_POLICIES
from kvpool.types.evicted_blocks import EvictedBlocks
from kvpool.types.eviction_reason import EvictionReason
from kvpool.types.reset_blocks_result import ResetBlocksResult

cdef bytes RESET = bytes([EvictionReason.RESET])


cdef object evicted_blocks(const kvp_identity *identities, uint32_t n, bytes reason):
    cdef uint32_t i
    cdef bytes hashes = PyBytes_FromStringAndSize(NULL, 8 * <Py_ssize_t>n)
    cdef bytes ids = PyBytes_FromStringAndSize(NULL, 4 * <Py_ssize_t>n)
    for i in range(n):
        (<uint64_t *>PyBytes_AS_STRING(hashes))[i] = identities[i].hash
        (<int32_t *>PyBytes_AS_STRING(ids))[i] = identities[i].id
    return EvictedBlocks(uint64_array(hashes), int32_array(ids), uint8_array(reason * n))


cdef kvp_policy_kind parse_policy(object eviction) except *:
    """Return the policy of a name."""
    if not isinstance(eviction, str):
        raise TypeError(f"eviction must be a str, not {type(eviction).__name__}")
    if eviction not in EVICTION_POLICIES:
        raise ValueError(f"eviction = {eviction!r} is not one of {', '.join(EVICTION_POLICIES)}")
    return {
        "lru": KVP_POLICY_LRU,
        "priority": KVP_POLICY_LRU,
        "fifo": KVP_POLICY_FIFO,
        "lfu": KVP_POLICY_LFU,
        "slru": KVP_POLICY_SLRU,
        "s3fifo": KVP_POLICY_S3FIFO,
        "sieve": KVP_POLICY_SIEVE,
        "arc": KVP_POLICY_ARC,
        "multi_lru": KVP_POLICY_MULTI_LRU,
        "lineage": KVP_POLICY_LRU,
        "adaptive": KVP_POLICY_ADAPTIVE,
    }[eviction]


cdef class PoolEviction(PoolReports):
    """What takes blocks out of the cache, and in which order. Base of :class:`BlockPool`; not useful by itself."""

    def reset(self):
        """Forget every cached block.

        Returns
        -------
        EvictedBlocks
            What was cached, by ascending id.

        Raises
        ------
        ResetError
            Blocks are held; says by whom.
        """
        cdef uint32_t room = <uint32_t>self.num_blocks, count = 0
        cdef kvp_identity *identities = <kvp_identity *>PyMem_Malloc(room * sizeof(kvp_identity))
        cdef kvp_status status
        if identities == NULL:
            raise MemoryError(f"no memory to report {room} blocks")
        try:
            status = self.reset_all(identities, room, &count)
            if status == KVP_OK:
                return evicted_blocks(identities, count, RESET)
        finally:
            PyMem_Free(identities)
        held = self.shortage(self.num_blocks, False)
        who = f"; by {held.describe_holders()}" if held.holders else ", or were a moment ago"
        raise_status(status, f"the pool cannot be reset while {held.total - held.available} of {held.total} blocks "
                             f"are held{who}")

    def reset_blocks(self, hashes):
        """Forget the cached blocks of these hashes, and the cached blocks that continue them.

        Parameters
        ----------
        hashes : array of uint64, shape (n,), or sequence of int, or TokenBlockSequence

        Returns
        -------
        ResetBlocksResult
            Held blocks are left as they are, and named in it.
        """
        cdef HashArgument argument
        cdef kvp_identity *identities = NULL
        cdef uint8_t *outcomes = NULL
        cdef uint32_t count = 0, room
        cdef kvp_status status = KVP_RETRY
        open_hashes(&argument, hashes, self.block_size, "hashes")
        try:
            room = argument.count
            outcomes = <uint8_t *>PyMem_Malloc(argument.count + 1)
            while status == KVP_RETRY:
                PyMem_Free(identities)
                identities = <kvp_identity *>PyMem_Malloc((<size_t>room + 1) * sizeof(kvp_identity))
                if identities == NULL or outcomes == NULL:
                    raise MemoryError(f"no memory to report {room} blocks")
                status = self.reset_some(argument.data, argument.count, outcomes, identities, room, &count)
                room = count
            given = uint64_array((<const char *>argument.data)[:8 * <Py_ssize_t>argument.count])
            outcome = uint8_array((<const char *>outcomes)[:argument.count])
            return ResetBlocksResult(evicted_blocks(identities, count, RESET), given[outcome == KVP_RESET_NOT_FOUND],
                                     given[outcome == KVP_RESET_HELD])
        finally:
            PyMem_Free(identities)
            PyMem_Free(outcomes)
            close_hashes(&argument)
