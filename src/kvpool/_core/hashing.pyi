from collections.abc import Iterable
from typing import Any, Literal, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from kvpool._core.token_buffer import TokenBuffer

__pyx_capi__: dict[str, object]

_TokenIds: TypeAlias = Iterable[int] | npt.NDArray[np.integer[Any]] | TokenBuffer
_Hashes: TypeAlias = npt.NDArray[np.uint64]

def sequence_hashes(
    token_ids: _TokenIds,
    block_size: SupportsIndex = 16,
    *,
    salt_hash: SupportsIndex = 0,
    parent: SupportsIndex | None = None,
    version: Literal[1, 2] = 2,
) -> _Hashes: ...
def block_hashes(token_ids: _TokenIds, block_size: SupportsIndex = 16, *, salt_hash: SupportsIndex = 0) -> _Hashes: ...
def positional_lineage_hashes(
    sequence_hashes: Iterable[int] | _Hashes, *, parent: SupportsIndex | None = None, position: SupportsIndex = 0
) -> list[int]: ...
def block_and_sequence_hashes(
    token_ids: _TokenIds,
    block_size: SupportsIndex,
    *,
    salt_hash: SupportsIndex,
    parent: SupportsIndex | None,
    version: Literal[1, 2],
) -> tuple[bytes, bytes]: ...
def hash_bytes(data: bytes, seed: SupportsIndex = 0) -> int: ...
