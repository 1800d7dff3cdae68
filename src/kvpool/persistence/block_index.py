"""Which block has which sequence hash, and what the pool would do with it next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kvpool.persistence.namespace_record import NamespaceRecord

__all__ = ["COLUMNS", "BlockIndex"]

COLUMNS = {
    "hashes": "<u8",
    "lifetimes": "<i8",
    "ids": "<i4",
    "parents": "<i4",
    "elders": "<i4",
    "tokens": "<u4",
    "levels": "|u1",
    "spaces": "|u1",
    "is_parked": "|u1",
    "has_tokens": "|u1",
}
"""The columns and their types, in the order in which a file has them; ``csrc/include/kvp/index_columns.h`` says what is
in them."""

_FLAGS = {"lifetimes": 1, "elders": 2, "tokens": 4, "has_tokens": 4}  # of the columns that not every index has
_NO_EXPIRY = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class BlockIndex:
    """The registered blocks of a pool, in the order in which they would be evicted, level by level.

    Attributes
    ----------
    num_blocks, block_size : int
    saved_at : int
        Nanoseconds since 1970.
    namespaces : tuple of NamespaceRecord
        By number.
    columns : dict of str to ndarray
        Those of :data:`COLUMNS`, an entry for each block (``block_size`` for each of ``tokens``). An index without
        ``elders`` is of a pool that shares duplicates; one without ``tokens`` knows none.
    """

    num_blocks: int
    block_size: int
    saved_at: int
    namespaces: tuple[NamespaceRecord, ...]
    columns: dict[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        """Return how many blocks it has."""
        return len(self.columns["ids"])

    @staticmethod
    def new_columns(
        room: int, block_size: int, keeps_duplicates: bool, has_tokens: bool
    ) -> dict[str, npt.NDArray[Any]]:
        """Return columns with room for so many blocks, with nothing in them yet."""
        columns = {}
        for name, kind in COLUMNS.items():
            if (name == "elders" and not keeps_duplicates) or (_FLAGS.get(name) == _FLAGS["tokens"] and not has_tokens):
                continue
            columns[name] = np.empty(room * (block_size if name == "tokens" else 1), np.dtype(kind).newbyteorder("="))
        return columns

    @property
    def flags(self) -> int:
        """Bits of a file's header: which columns it has."""
        flags = 0
        for name, flag in _FLAGS.items():
            if name in self.columns and (name != "lifetimes" or bool((self.columns[name] != _NO_EXPIRY).any())):
                flags |= flag
        return flags

    @staticmethod
    def size_of(count: int, block_size: int, flags: int) -> int:
        """Return the bytes of so many blocks' columns in a file."""
        return sum(size for _, _, size in _layout(count, block_size, flags))

    def pack(self) -> list[bytes]:
        """Return the columns as a file has them."""
        layout = _layout(len(self), self.block_size, self.flags)
        return [self.columns[name].astype(kind, copy=False).tobytes() for name, kind, _ in layout]

    @staticmethod
    def unpack(data: bytes, count: int, block_size: int, flags: int) -> dict[str, npt.NDArray[Any]]:
        """Return the columns that begin a file's payload, which is at least as long as :meth:`size_of` says."""
        columns, offset = {}, 0
        for name, kind, size in _layout(count, block_size, flags):
            column = np.frombuffer(data, kind, size // np.dtype(kind).itemsize, offset)
            columns[name] = column.astype(np.dtype(kind).newbyteorder("="), copy=False)
            offset += size
        if "lifetimes" not in columns:
            columns["lifetimes"] = np.full(count, _NO_EXPIRY, np.int64)
        return columns


def _layout(count: int, block_size: int, flags: int) -> list[tuple[str, str, int]]:
    """Return the columns of a file, their types and their bytes."""
    return [
        (name, kind, count * (block_size if name == "tokens" else 1) * np.dtype(kind).itemsize)
        for name, kind in COLUMNS.items()
        if name not in _FLAGS or flags & _FLAGS[name]
    ]
