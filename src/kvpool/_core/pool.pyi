from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NoReturn, TypeAlias, final

import numpy as np
import numpy.typing as npt

from kvpool._core.block_sequence import BlockSequence
from kvpool._core.immutable_block import ImmutableBlock
from kvpool._core.immutable_blocks import ImmutableBlocks
from kvpool._core.mutable_block import MutableBlock
from kvpool._core.mutable_blocks import MutableBlocks
from kvpool._core.namespace import Namespace
from kvpool._core.pool_persistence import PoolPersistence
from kvpool._core.scattered_blocks import ScatteredBlocks
from kvpool.events.event_manager import EventManager
from kvpool.metrics.pool_metrics import PoolMetrics
from kvpool.storage.storage import Storage
from kvpool.tokens.token_block_sequence import TokenBlockSequence
from kvpool.types.admission import Admission

_KeysLike: TypeAlias = Sequence[bytes] | Sequence[Sequence[int]]
_HashesLike: TypeAlias = (
    npt.NDArray[np.uint64] | Sequence[int] | array[int] | memoryview | TokenBlockSequence | _KeysLike
)
_TokensLike: TypeAlias = npt.NDArray[np.integer[Any]] | array[int] | memoryview | Sequence[int]

@final
class BlockPool(PoolPersistence):
    def __new__(
        cls,
        num_blocks: int,
        block_size: int = 16,
        *,
        duplicates: Literal["share", "keep"] = "share",
        clock: Callable[[], float] | None = None,
        event_capacity: int | None = None,
        event_manager: EventManager | None = None,
        event_tokens: bool | None = None,
        event_interval: float = 0.01,
        eviction: object = "lru",
        ghost_factor: int = 4,
        max_pinned_blocks: int | None = None,
        high_watermark: float = 0.9,
        low_watermark: float = 0.7,
        on_pressure: Callable[[BlockPool, bool], object] | None = None,
        reuse_sampling: float = 0.0,
        max_namespaces: int = 0,
        key_bits: int = 64,
        key_secret: bytes | None = None,
        pool_metrics: PoolMetrics | None = None,
        storage: Storage | None = None,
        scrub: Literal["never", "namespaces", "free", "allocate"] | None = None,
        name: str = "",
    ) -> BlockPool: ...
    def __reduce__(self) -> NoReturn: ...
    def allocate_blocks(
        self, n: int, *, timeout: float | None = None, namespace: Namespace | str | None = None, owner: Any = None
    ) -> MutableBlocks: ...
    def register_blocks(
        self,
        blocks: MutableBlocks | MutableBlock | Sequence[MutableBlocks | MutableBlock],
        sequence_hashes: _HashesLike | None = None,
        *,
        parent: int | ImmutableBlock | ImmutableBlocks | None = None,
        priority: int | None = None,
        ttl: float | None = None,
        token_ids: _TokensLike | None = None,
    ) -> ImmutableBlocks: ...
    def match_sequence_hashes(
        self, hashes: _HashesLike, *, namespace: Namespace | str | None = None, owner: Any = None
    ) -> ImmutableBlocks: ...
    def match_scattered(
        self, hashes: _HashesLike, *, namespace: Namespace | str | None = None, owner: Any = None
    ) -> ScatteredBlocks: ...
    def open_sequence(
        self,
        token_ids: _TokensLike,
        *,
        namespace: Namespace | str | None = None,
        salt_hash: int = 0,
        lookahead: int = 0,
        commit_on_append: bool = True,
        owner: Any = None,
    ) -> BlockSequence: ...
    def admit(
        self,
        prompts: Iterable[_TokensLike],
        *,
        namespace: Namespace | str | None = None,
        salt_hash: int = 0,
        lookahead: int = 0,
        commit_on_append: bool = True,
        wait_for_running: bool = True,
        owners: Sequence[Any] | None = None,
    ) -> list[Admission]: ...
