"""The hashes of token blocks, bit for bit those of Dynamo's token hashing."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.long cimport PyLong_AsUnsignedLongLong, PyLong_CheckExact
from libc.stdint cimport uint32_t, uint64_t

from kvpool._core.arrays cimport uint64_array
from kvpool._core.token_buffer cimport TokenBuffer, as_token_buffer

import operator

import numpy as np


# Arguments and results ------------------------------------------------------------------------------------------------


cdef object parse_index(object value, str name):
    """Return an argument as an int; a bool is taken for a mistake."""
    if PyLong_CheckExact(value):
        return value
    if not isinstance(value, (bool, np.bool_)):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{name} must be an int, not {type(value).__name__}") from None


cdef uint64_t parse_hash(object value, str name) except? 0xFFFFFFFFFFFFFFFF:
    cdef object number = parse_index(value, name)
    try:
        return PyLong_AsUnsignedLongLong(number)
    except OverflowError:
        # Python refuses to write very long integers in decimal.
        shown = number if number.bit_length() <= 128 else f"an int of {number.bit_length()} bits"
        raise ValueError(f"{name} = {shown} is not in [0, 2**64)") from None


cdef size_t parse_block_size(object value) except 0:
    cdef object number = parse_index(value, "block_size")
    if not 1 <= number <= KVP_SEQ_HASH_MAX_BLOCK:
        shown = number if number.bit_length() <= 128 else f"an int of {number.bit_length()} bits"
        raise ValueError(f"block_size = {shown} is not in [1, {KVP_SEQ_HASH_MAX_BLOCK}]")
    return number


cdef kvp_seq_hash_version parse_version(object value) except? KVP_SEQ_HASH_V2:
    cdef object number = parse_index(value, "version")
    if number == 1:
        return KVP_SEQ_HASH_V1
    if number == 2:
        return KVP_SEQ_HASH_V2
    raise ValueError(f"version = {number} is neither 1 nor 2")


cdef inline bytes new_hashes(Py_ssize_t num_hashes):
    """Make room for hashes, to be filled before anyone else sees it."""
    return PyBytes_FromStringAndSize(NULL, num_hashes * <Py_ssize_t>sizeof(uint64_t))


cdef inline uint64_t *hashes_of(bytes room) noexcept:
    return <uint64_t *>PyBytes_AS_STRING(room)


# Public functions -----------------------------------------------------------------------------------------------------


def sequence_hashes(token_ids, block_size=16, *, salt_hash=0, parent=None, version=2):
    """Hash each full block of a sequence together with all tokens before it.

    The sequence hash is what identifies a block in a pool: equal sequence hashes mean equal prefixes. Tokens after
    the last full block are left out.

    Parameters
    ----------
    token_ids : array, list, tuple or iterable of int
        Tokens in [0, 2**32): a 1-D array of any integer dtype (int32 and uint32 are not copied) or ints.
    block_size : int, default 16
        Tokens in a block, in [1, 2**20].
    salt_hash : int, default 0
        Seed of the block hashes, in [0, 2**64); sequences under different salts share no hash. Routers of Dynamo
        use that of `router_salt_hash`.
    parent : int, optional
        Sequence hash of the block before the first one, to go on with a sequence; the default begins one.
    version : {2, 1}, default 2
        Generation of the format: the chain is seeded with 1337 (2) or with the salt hash (1).

    Returns
    -------
    numpy.ndarray of uint64, shape (len(token_ids) // block_size,), read-only
        The sequence hash of each full block, in order.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, such as an array of floats or a block size of `True`.
    ValueError
        If a token or another argument is out of range; the message names the value and the bound.

    Notes
    -----
    The algorithm is Dynamo's token hashing: XXH3-64 of the little-endian tokens of a block, and XXH3-64 of the
    parent's sequence hash followed by that block hash. The first block's sequence hash is its block hash.

    Examples
    --------
    >>> from kvpool import sequence_hashes
    >>> first, second = sequence_hashes([1, 2, 3, 4, 5, 6, 7, 8, 9], block_size=4, salt_hash=1337).tolist()
    >>> first, second
    (14643705804678351452, 4945711292740353085)
    >>> sequence_hashes([5, 6, 7, 8], block_size=4, salt_hash=1337, parent=first).tolist() == [second]
    True
    """
    cdef size_t size = parse_block_size(block_size)
    cdef uint64_t salt = parse_hash(salt_hash, "salt_hash")
    cdef kvp_seq_hash_version generation = parse_version(version)
    cdef uint64_t parent_hash = 0 if parent is None else parse_hash(parent, "parent")
    cdef uint64_t *parent_or_null = NULL if parent is None else &parent_hash
    cdef TokenBuffer tokens = as_token_buffer(token_ids)
    cdef size_t num_blocks = <size_t>tokens.size // size
    cdef bytes room = new_hashes(num_blocks)
    kvp_seq_hash_chain(tokens.data, num_blocks, size, salt, generation, parent_or_null, hashes_of(room))
    return uint64_array(room)


def block_hashes(token_ids, block_size=16, *, salt_hash=0):
    """Hash the tokens of each full block by themselves.

    Equal blocks have equal block hashes wherever they stand, so a block hash does not identify a prefix; see
    `sequence_hashes`. Tokens after the last full block are left out.

    Parameters
    ----------
    token_ids : array, list, tuple or iterable of int
        Tokens in [0, 2**32): a 1-D array of any integer dtype (int32 and uint32 are not copied) or ints.
    block_size : int, default 16
        Tokens in a block, in [1, 2**20].
    salt_hash : int, default 0
        Seed of the hashes, in [0, 2**64).

    Returns
    -------
    numpy.ndarray of uint64, shape (len(token_ids) // block_size,), read-only
        The block hash of each full block: XXH3-64 of its little-endian tokens, as in Dynamo's token hashing.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a token or another argument is out of range; the message names the value and the bound.

    Examples
    --------
    >>> from kvpool import block_hashes
    >>> block_hashes([1, 2, 3, 4, 1, 2, 3, 4], block_size=4, salt_hash=1337).tolist()
    [14643705804678351452, 14643705804678351452]
    """
    cdef size_t size = parse_block_size(block_size)
    cdef uint64_t salt = parse_hash(salt_hash, "salt_hash")
    cdef TokenBuffer tokens = as_token_buffer(token_ids)
    cdef size_t num_blocks = <size_t>tokens.size // size
    cdef bytes room = new_hashes(num_blocks)
    kvp_seq_hash_blocks(tokens.data, num_blocks, size, salt, hashes_of(room))
    return uint64_array(room)


def positional_lineage_hashes(sequence_hashes, *, parent=None, position=0):
    """Pack each block's position, its sequence hash and part of its parent's into 128 bits.

    Parameters
    ----------
    sequence_hashes : array, list or iterable of int
        Sequence hashes of consecutive blocks, in [0, 2**64).
    parent : int, optional
        Sequence hash of the block before the first one. Needed if and only if `position` is not 0.
    position : int, default 0
        Position of the first block in its sequence, in blocks.

    Returns
    -------
    list of int
        One for each block, in [0, 2**128). Serialised as 16 bytes, big-endian: ``value.to_bytes(16, "big")``.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If a hash is not in [0, 2**64), a position is not in [0, 2**24), or one of `parent` and `position` is given
        without the other.

    Notes
    -----
    From Dynamo's token hashing. From the most significant bit: mode (2 bits), position (8, 16 or 24 bits in mode 0, 1
    or 2; the smallest that holds it), sequence hash (64 bits), and the low bits of the parent's sequence hash.

    Examples
    --------
    >>> from kvpool import positional_lineage_hashes
    >>> [hex(value) for value in positional_lineage_hashes([14643705804678351452, 4945711292740353085])]
    ['0x32ce3935fecb729700000000000000', '0x5128ac8de75b4f0f78e4d7fb2dca5c']
    """
    cdef uint64_t sequence_hash = 0
    cdef kvp_lineage_hash packed
    cdef object first = parse_index(position, "position")
    if not 0 <= first < KVP_LINEAGE_HASH_MAX_POSITION:
        raise ValueError(f"position = {first} is not in [0, 2**24)")
    if (parent is None) != (first == 0):
        raise ValueError(
            f"position = {first} needs a parent" if parent is None else "a block at position 0 has no parent"
        )
    cdef uint64_t parent_hash = 0 if parent is None else parse_hash(parent, "parent")
    cdef uint32_t at = first
    cdef bint is_parsed
    cdef list results = []
    # An array of hashes is turned into ints at once, which is several times faster than one after the other.
    for value in sequence_hashes.tolist() if hasattr(sequence_hashes, "tolist") else sequence_hashes:
        is_parsed = False
        try:
            sequence_hash = parse_hash(value, "")
            is_parsed = True
        except (TypeError, ValueError):
            pass
        if not is_parsed:  # again, with the name, which would take longer to make than the hash
            sequence_hash = parse_hash(value, f"sequence_hashes[{len(results)}]")
        if at >= KVP_LINEAGE_HASH_MAX_POSITION:
            raise ValueError(f"sequence_hashes[{len(results)}] is at position {at}, which is not in [0, 2**24)")
        packed = kvp_lineage_hash_make(sequence_hash, parent_hash, at)
        results.append(<object>packed.hi << 64 | packed.lo)
        parent_hash = sequence_hash
        at += 1
    return results


# For the package ------------------------------------------------------------------------------------------------------


def block_and_sequence_hashes(token_ids, block_size, *, salt_hash, parent, version):
    """Return both hashes of each full block, as the bytes of arrays of uint64.

    Arguments and errors are those of `sequence_hashes`.

    Examples
    --------
    >>> block, sequence = block_and_sequence_hashes([5, 6, 7, 8], 4, salt_hash=1337, parent=None, version=2)
    >>> block == sequence == (16777012769546811212).to_bytes(8, "little")
    True
    """
    cdef size_t size = parse_block_size(block_size)
    cdef uint64_t salt = parse_hash(salt_hash, "salt_hash")
    cdef kvp_seq_hash_version generation = parse_version(version)
    cdef uint64_t parent_hash = 0 if parent is None else parse_hash(parent, "parent")
    cdef uint64_t *parent_or_null = NULL if parent is None else &parent_hash
    cdef TokenBuffer tokens = as_token_buffer(token_ids)
    cdef size_t num_blocks = <size_t>tokens.size // size
    cdef bytes blocks = new_hashes(num_blocks)
    cdef bytes sequence = new_hashes(num_blocks)
    kvp_seq_hash_blocks(tokens.data, num_blocks, size, salt, hashes_of(blocks))
    kvp_seq_hash_links(
        hashes_of(blocks), num_blocks, parent_or_null, kvp_seq_hash_link_seed(generation, salt), hashes_of(sequence)
    )
    return blocks, sequence


def hash_bytes(data, seed=0):
    """Return XXH3-64 of bytes under a seed in [0, 2**64).

    Examples
    --------
    >>> hex(hash_bytes(b""))
    '0x2d06800538d394c2'
    """
    if not isinstance(data, bytes):
        raise TypeError(f"data must be bytes, not {type(data).__name__}")
    return kvp_seq_hash_bytes(PyBytes_AS_STRING(data), len(data), parse_hash(seed, "seed"))
