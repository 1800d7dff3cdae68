"""Looking hashes up without taking blocks."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from kvpool._core.arrays cimport bool_array, uint64_array
from kvpool._core.hash_argument cimport HashArgument, close_hashes, open_hashes
from kvpool._core.hashing cimport KVP_SEQ_HASH_V2, kvp_seq_hash_chain, parse_hash
from kvpool._core.libkvp cimport KVP_NO_BLOCK, kvp_key_hash_chain
from kvpool._core.pool_eviction cimport PoolEviction
from kvpool._core.token_buffer cimport TokenBuffer, as_token_buffer

import os

import numpy as np


cdef int32_t *new_ids(uint32_t n) except NULL:
    cdef int32_t *ids = <int32_t *>PyMem_Malloc((<size_t>n + 1) * sizeof(int32_t))
    if ids == NULL:
        raise MemoryError(f"no memory to look {n} hashes up")
    return ids


cdef class PoolLookups(PoolEviction):
    """Looking hashes up. Base of :class:`BlockPool`; not useful by itself."""

    cdef int set_keys(self, object bits, object secret) except -1:
        cdef bytes words
        if type(bits) is not int or bits not in (64, 128):
            raise ValueError(f"key_bits = {bits!r} is neither 64 nor 128")
        self.has_checks = bits == 128
        if secret is None:
            words = os.urandom(16)
        elif not self.has_checks:
            raise ValueError("key_secret is given, but key_bits is not 128")
        elif not isinstance(secret, bytes) or len(secret) != 16:
            raise ValueError(f"key_secret must be 16 bytes, not {type(secret).__name__}"
                             + (f" of length {len(secret)}" if isinstance(secret, bytes) else ""))
        else:
            words = bytes(secret)
        memcpy(self.key_secret, PyBytes_AS_STRING(words), 16)
        return 0

    @property
    def key_bits(self):
        """Bits of what a block is known by: 64, or 128 with check words."""
        return 128 if self.has_checks else 64

    def sequence_keys(self, token_ids, *, namespace=None, salt_hash=0, parent=None):
        """Keys of each full block of a prompt: what a pool with ``key_bits=128`` takes in place of sequence hashes.

        Parameters
        ----------
        token_ids : array of integers, shape (n,), or sequence of int
        namespace : Namespace or str, optional
            Whose prompt it is. Its salt is added to `salt_hash`.
        salt_hash : int, default 0
            Seed of the hashes, in [0, 2**64).
        parent : pair of int, optional
            Key of the block before the first one, a row of the array that it was in.

        Returns
        -------
        ndarray of uint64, shape (n // block_size, 2), read-only
            Column 0 has the sequence hashes, as :func:`sequence_hashes` makes them; column 1 the check words:
            SipHash-2-4 under the pool's secret (Aumasson and Bernstein 2012), chained in the same way. Check words are
            secret: who knows them can look for two prompts with one key.

        Raises
        ------
        ValueError
            The pool's keys have 64 bits.

        Examples
        --------
        >>> from kvpool import BlockPool
        >>> pool = BlockPool(num_blocks=64, block_size=4, key_bits=128, key_secret=bytes(range(16)))
        >>> keys = pool.sequence_keys(range(12))
        >>> filled = pool.register_blocks(pool.allocate_blocks(3), keys)
        >>> forged = keys.copy()
        >>> forged[1, 1] += 1                 # the same sequence hash, of another prompt
        >>> len(pool.match_sequence_hashes(keys)), len(pool.match_sequence_hashes(forged))
        (3, 1)
        """
        if not self.has_checks:
            raise ValueError("the pool's keys have 64 bits, use sequence_hashes: it was made without key_bits=128")
        return self.keys_of(token_ids, self.salt_of(namespace, parse_hash(salt_hash, "salt_hash")), parent)

    cdef object keys_of(self, object token_ids, uint64_t salt, object parent):
        cdef uint64_t hash = 0, check = 0
        cdef size_t n, i
        cdef TokenBuffer tokens
        cdef bytes halves, room
        cdef uint64_t *hashes
        cdef uint64_t *keys
        if parent is not None:
            if len(parent) != 2:
                raise ValueError(f"parent has {len(parent)} halves, not 2")
            hash = parse_hash(parent[0], "parent[0]")
            check = parse_hash(parent[1], "parent[1]")
        tokens = as_token_buffer(token_ids)
        n = <size_t>tokens.size // self.block_size
        halves = PyBytes_FromStringAndSize(NULL, 16 * <Py_ssize_t>n)
        room = PyBytes_FromStringAndSize(NULL, 16 * <Py_ssize_t>n)
        hashes = <uint64_t *>PyBytes_AS_STRING(halves)
        keys = <uint64_t *>PyBytes_AS_STRING(room)
        kvp_seq_hash_chain(tokens.data, n, self.block_size, salt, KVP_SEQ_HASH_V2, NULL if parent is None else &hash,
                           hashes)
        kvp_key_hash_chain(tokens.data, n, self.block_size, salt, self.key_secret, NULL if parent is None else &check,
                           hashes + n)
        for i in range(n):
            keys[2 * i] = hashes[i]
            keys[2 * i + 1] = hashes[n + i]
        return uint64_array(room).reshape(-1, 2)

    def contains(self, hashes):
        """Whether each hash is registered, a bool array of shape (n,); takes no blocks."""
        cdef HashArgument argument
        cdef int32_t *ids
        cdef uint32_t i
        cdef bytes found
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            found = PyBytes_FromStringAndSize(NULL, argument.count)
            ids = new_ids(argument.count)
            self.find_each(argument.data, argument.count, ids)
            for i in range(argument.count):
                (<uint8_t *>PyBytes_AS_STRING(found))[i] = ids[i] != KVP_NO_BLOCK
            PyMem_Free(ids)
        finally:
            close_hashes(&argument)
        return bool_array(found)

    def match_lengths(self, prompts):
        """How long a prefix :meth:`match_sequence_hashes` would find for each prompt; takes no blocks.

        Parameters
        ----------
        prompts : iterable of arrays of uint64 (or of what else names hashes)

        Returns
        -------
        ndarray of int64, shape (number of prompts,)
            Blocks.
        """
        cdef HashArgument argument
        cdef int32_t *ids
        cdef list lengths = []
        for i, prompt in enumerate(prompts):
            open_hashes(&argument, prompt, self.block_size, self.has_checks, f"prompts[{i}]")
            try:
                ids = new_ids(argument.count)
                lengths.append(self.find_prefix(argument.data, argument.data + argument.count, argument.count, ids))
                PyMem_Free(ids)
            finally:
                close_hashes(&argument)
        return np.array(lengths, dtype=np.int64)

    def touch(self, hashes):
        """Make the registered ones among the hashes the most recently used; return how many they are."""
        cdef HashArgument argument
        cdef int64_t now = self.now()
        cdef int32_t *ids
        cdef uint32_t found
        open_hashes(&argument, hashes, self.block_size, self.has_checks, "hashes")
        try:
            ids = new_ids(argument.count)
            found = self.touch_hashes(argument.data, argument.count, now, ids)
            PyMem_Free(ids)
        finally:
            close_hashes(&argument)
        return found
