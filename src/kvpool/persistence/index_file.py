"""An index as a file: a header, the columns, the namespaces."""

from __future__ import annotations

import os
import stat

from kvpool._core.hashing import hash_bytes
from kvpool.errors import IndexFileError
from kvpool.persistence.block_index import BlockIndex
from kvpool.persistence.index_header import HEADER_SIZE, IndexHeader
from kvpool.persistence.namespace_table import MAX_RECORD_SIZE, pack_namespaces, unpack_namespaces
from kvpool.persistence.replacement import replace_file

__all__ = ["read_index", "write_index"]

_ALL_FLAGS = 7
_KEEPS_DUPLICATES = 2
_MAX_NAMESPACES = 256


def write_index(path: str, index: BlockIndex) -> None:
    """Write an index to a file, which has the old one or the new one whatever happens.

    Raises
    ------
    IndexFileError
        The name of a namespace is too long.
    OSError
        It cannot be written.
    """
    namespaces = pack_namespaces(index.namespaces)
    payload = b"".join([*index.pack(), namespaces])
    header = IndexHeader(
        num_blocks=index.num_blocks,
        block_size=index.block_size,
        flags=index.flags,
        num_namespaces=len(index.namespaces),
        num_entries=len(index),
        saved_at=index.saved_at,
        namespaces_size=len(namespaces),
        payload_size=len(payload),
        payload_checksum=hash_bytes(payload),
    )
    replace_file(path, [header.to_bytes(), payload])


def read_index(path: str, num_blocks: int, block_size: int, keeps_duplicates: bool) -> BlockIndex:
    """Read an index, whoever wrote it.

    Nothing is believed before it is checked: memory is taken for the payload only when the file has it, and when it is
    no more than so many blocks can have. What is in the columns is the caller's to check.

    Parameters
    ----------
    path : str
    num_blocks, block_size : int
    keeps_duplicates : bool
        Of the pool that is to load it.

    Raises
    ------
    IndexFileError
        It is not an index of such a pool, or is damaged.
    OSError
        It cannot be read.
    """
    with open(path, "rb", opener=_open_at_once) as file:
        info = os.fstat(file.fileno())
        if not stat.S_ISREG(info.st_mode):
            raise IndexFileError("it is not a regular file")
        header = IndexHeader.from_bytes(file.read(HEADER_SIZE))
        _check(header, num_blocks, block_size, keeps_duplicates)
        if info.st_size != HEADER_SIZE + header.payload_size:
            raise IndexFileError(f"it has {info.st_size} bytes, not {HEADER_SIZE + header.payload_size}")
        payload = file.read(header.payload_size)
    if len(payload) != header.payload_size or hash_bytes(payload) != header.payload_checksum:
        raise IndexFileError("its payload is damaged: the checksum is another")
    end = header.payload_size - header.namespaces_size
    return BlockIndex(
        num_blocks=num_blocks,
        block_size=block_size,
        saved_at=header.saved_at,
        namespaces=unpack_namespaces(payload[end:], header.num_namespaces, num_blocks),
        columns=BlockIndex.unpack(payload, header.num_entries, block_size, header.flags),
    )


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting: a pipe would have the call wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _check(header: IndexHeader, num_blocks: int, block_size: int, keeps_duplicates: bool) -> None:
    """Refuse a header that is not of such a pool, or contradicts itself."""
    if header.num_blocks != num_blocks:
        raise IndexFileError(f"it is of a pool of {header.num_blocks} blocks, this one has {num_blocks}")
    if header.block_size != block_size:
        raise IndexFileError(f"it is of a pool with block_size = {header.block_size}, this one has {block_size}")
    if header.flags & ~_ALL_FLAGS:
        raise IndexFileError(f"its flags = {header.flags:#x} are not all known")
    if bool(header.flags & _KEEPS_DUPLICATES) != keeps_duplicates:
        names = ("share", "keep")
        raise IndexFileError(
            f"it is of a pool with duplicates = {names[not keeps_duplicates]!r}, "
            f"this one has {names[keeps_duplicates]!r}"
        )
    if header.num_entries > num_blocks:
        raise IndexFileError(f"it tells of {header.num_entries} blocks, the pool has {num_blocks}")
    if not 1 <= header.num_namespaces <= _MAX_NAMESPACES:
        raise IndexFileError(f"it has {header.num_namespaces} namespaces, which is not in [1, {_MAX_NAMESPACES}]")
    if header.namespaces_size > header.num_namespaces * MAX_RECORD_SIZE:
        raise IndexFileError(f"its {header.num_namespaces} namespaces take {header.namespaces_size} bytes")
    size = BlockIndex.size_of(header.num_entries, block_size, header.flags) + header.namespaces_size
    if header.payload_size != size:
        raise IndexFileError(f"its payload has {header.payload_size} bytes, its blocks and namespaces take {size}")
