"""What a file of an index begins with."""

from __future__ import annotations

import struct
from typing import NamedTuple

from kvpool._core.hashing import hash_bytes
from kvpool.errors import IndexFileError

__all__ = ["HEADER_SIZE", "IndexHeader"]

_MAGIC, _VERSION = b"KVPINDEX", 1
_BEGINNING = struct.Struct("<8sII")  # magic, version, size of the header
_FIELDS = struct.Struct("<QQIIQqQQQ")
_CHECKSUM = struct.Struct("<Q")
HEADER_SIZE = _BEGINNING.size + _FIELDS.size + _CHECKSUM.size
"""Bytes."""


class IndexHeader(NamedTuple):
    """What a file of an index says of itself; see DESIGN.md for where each field is.

    Attributes
    ----------
    num_blocks, block_size : int
        Of the pool.
    flags : int
        Which columns there are: 1 lifetimes, 2 elders, 4 tokens.
    num_namespaces : int
    num_entries : int
        Blocks in the index.
    saved_at : int
        Nanoseconds since 1970.
    namespaces_size : int
        Bytes of the payload behind the columns.
    payload_size : int
        Bytes of what follows the header.
    payload_checksum : int
        XXH3-64 of it.
    """

    num_blocks: int
    block_size: int
    flags: int
    num_namespaces: int
    num_entries: int
    saved_at: int
    namespaces_size: int
    payload_size: int
    payload_checksum: int

    def to_bytes(self) -> bytes:
        """Return the header as a file has it, its own checksum last."""
        data = _BEGINNING.pack(_MAGIC, _VERSION, HEADER_SIZE) + _FIELDS.pack(*self)
        return data + _CHECKSUM.pack(hash_bytes(data))

    @classmethod
    def from_bytes(cls, data: bytes) -> IndexHeader:
        """Read a header. What its numbers say is the caller's to check.

        Raises
        ------
        IndexFileError
            It is not one, of another version, or damaged.
        """
        if len(data) < HEADER_SIZE:
            raise IndexFileError(f"it has {len(data)} bytes, fewer than the {HEADER_SIZE} of a header")
        magic, version, size = _BEGINNING.unpack_from(data)
        if magic != _MAGIC:
            raise IndexFileError(f"it begins with {magic!r}, not {_MAGIC!r}: it is not an index")
        if version != _VERSION:
            raise IndexFileError(f"it is of version {version}, not {_VERSION}")
        if size != HEADER_SIZE:
            raise IndexFileError(f"its header has {size} bytes, not {HEADER_SIZE}")
        end = HEADER_SIZE - _CHECKSUM.size
        if _CHECKSUM.unpack_from(data, end)[0] != hash_bytes(data[:end]):
            raise IndexFileError("its header is damaged: the checksum is another")
        return cls(*_FIELDS.unpack_from(data, _BEGINNING.size))
