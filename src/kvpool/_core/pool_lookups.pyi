from array import array
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from kvpool._core.pool_eviction import PoolEviction
from kvpool.tokens.token_block_sequence import TokenBlockSequence

_HashesLike: TypeAlias = npt.NDArray[np.uint64] | Sequence[int] | array[int] | memoryview | TokenBlockSequence

class PoolLookups(PoolEviction):
    def contains(self, hashes: _HashesLike) -> npt.NDArray[np.bool_]: ...
    def match_lengths(self, prompts: Iterable[_HashesLike]) -> npt.NDArray[np.int64]: ...
    def touch(self, hashes: _HashesLike) -> int: ...
