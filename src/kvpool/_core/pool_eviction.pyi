from array import array
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from typing_extensions import disjoint_base

from kvpool._core.pool_reports import PoolReports
from kvpool.tokens.token_block_sequence import TokenBlockSequence
from kvpool.types.evicted_blocks import EvictedBlocks
from kvpool.types.reset_blocks_result import ResetBlocksResult

__pyx_capi__: dict[str, object]

_HashesLike: TypeAlias = npt.NDArray[np.uint64] | Sequence[int] | array[int] | memoryview | TokenBlockSequence

@disjoint_base
class PoolEviction(PoolReports):
    @property
    def eviction(self) -> str: ...
    def reset(self) -> EvictedBlocks: ...
    def reset_blocks(self, hashes: _HashesLike) -> ResetBlocksResult: ...
