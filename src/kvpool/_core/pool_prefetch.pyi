from array import array
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from kvpool._core.immutable_blocks import ImmutableBlocks
from kvpool._core.namespace import Namespace
from kvpool._core.pool_lookups import PoolLookups
from kvpool.prefetch.prefetch import Prefetch
from kvpool.prefetch.prefetcher import Prefetcher
from kvpool.tokens.token_block_sequence import TokenBlockSequence

_KeysLike: TypeAlias = Sequence[bytes] | Sequence[Sequence[int]]
_HashesLike: TypeAlias = (
    npt.NDArray[np.uint64] | Sequence[int] | array[int] | memoryview | TokenBlockSequence | _KeysLike
)

@disjoint_base
class PoolPrefetch(PoolLookups):
    @property
    def prefetcher(self) -> Prefetcher: ...
    def prefetch(
        self,
        predicted_hashes: _HashesLike,
        *,
        hold: float | None = None,
        namespace: Namespace | str | None = None,
        owner: Any = None,
    ) -> Prefetch: ...
    def _copy_hashes(self, hashes: _HashesLike) -> npt.NDArray[np.uint64]: ...
    def _hold_ahead(self, hashes: _HashesLike, namespace: Namespace | str | None, owner: Any) -> ImmutableBlocks: ...
    def _count_ahead(self) -> tuple[int, int]: ...
