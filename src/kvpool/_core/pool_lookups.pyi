from array import array
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from kvpool._core.namespace import Namespace
from kvpool._core.pool_eviction import PoolEviction
from kvpool.tokens.token_block_sequence import TokenBlockSequence

_KeysLike: TypeAlias = Sequence[bytes] | Sequence[Sequence[int]]
_HashesLike: TypeAlias = (
    npt.NDArray[np.uint64] | Sequence[int] | array[int] | memoryview | TokenBlockSequence | _KeysLike
)
_TokenIds: TypeAlias = Iterable[int] | npt.NDArray[np.integer[Any]]

class PoolLookups(PoolEviction):
    @property
    def key_bits(self) -> int: ...
    def sequence_keys(
        self,
        token_ids: _TokenIds,
        *,
        namespace: Namespace | str | None = None,
        salt_hash: int = 0,
        parent: Sequence[int] | npt.NDArray[np.uint64] | None = None,
    ) -> npt.NDArray[np.uint64]: ...
    def contains(self, hashes: _HashesLike) -> npt.NDArray[np.bool_]: ...
    def match_lengths(self, prompts: Iterable[_HashesLike]) -> npt.NDArray[np.int64]: ...
    def touch(self, hashes: _HashesLike) -> int: ...
