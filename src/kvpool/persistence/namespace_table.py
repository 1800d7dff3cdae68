"""The namespaces of an index, as a file has them: behind each other, the default one first."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from kvpool.errors import IndexFileError
from kvpool.persistence.namespace_record import NamespaceRecord

__all__ = ["MAX_RECORD_SIZE", "pack_namespaces", "unpack_namespaces"]

_RECORD = struct.Struct("<QIIH")  # salt hash, floor, cap, bytes of the name, which follows
_MAX_NAME = 2**16 - 1
MAX_RECORD_SIZE = _RECORD.size + _MAX_NAME
"""Bytes that a namespace takes at most."""


def pack_namespaces(namespaces: Iterable[NamespaceRecord]) -> bytes:
    """Return namespaces as a file has them.

    Raises
    ------
    IndexFileError
        A name has too many bytes.
    """
    records = []
    for name, salt_hash, floor, cap in namespaces:
        text = name.encode("utf-8", "surrogatepass")
        if len(text) > _MAX_NAME:
            raise IndexFileError(f"the name of a namespace has {len(text)} bytes, more than {_MAX_NAME}")
        records.append(_RECORD.pack(salt_hash, floor, cap, len(text)) + text)
    return b"".join(records)


def unpack_namespaces(data: bytes, count: int, num_blocks: int) -> tuple[NamespaceRecord, ...]:
    """Return the namespaces that these bytes are, no more and no less.

    Parameters
    ----------
    data : bytes
    count : int
        How many there are to be.
    num_blocks : int
        Blocks of the pool.

    Raises
    ------
    IndexFileError
        They are not, or contradict each other.
    """
    namespaces: list[NamespaceRecord] = []
    names: set[str] = set()
    offset = 0
    for number in range(count):
        if len(data) - offset < _RECORD.size:
            raise IndexFileError(f"its {count} namespaces end after {number}")
        salt_hash, floor, cap, length = _RECORD.unpack_from(data, offset)
        offset += _RECORD.size
        text = data[offset : offset + length]
        offset += length
        try:
            name = text.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise IndexFileError(f"the name of its namespace {number} is not UTF-8") from None
        if len(text) < length or name in names or (name == "") != (number == 0) or (number == 0 and salt_hash != 0):
            raise IndexFileError(f"its namespace {number} is cut short, has the name of another, or is not the default")
        if not floor <= cap <= num_blocks:
            raise IndexFileError(f"its namespace {number} has floor = {floor} and cap = {cap} of {num_blocks} blocks")
        names.add(name)
        namespaces.append(NamespaceRecord(name, salt_hash, floor, cap))
    if offset != len(data):
        raise IndexFileError(f"its {count} namespaces take {offset} bytes, not {len(data)}")
    return tuple(namespaces)
