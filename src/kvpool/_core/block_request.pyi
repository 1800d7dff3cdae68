from typing import Any, NoReturn, final

from kvpool._core.bell import Bell
from kvpool._core.mutable_blocks import MutableBlocks
from kvpool._core.namespace import Namespace
from kvpool._core.pool import BlockPool
from kvpool.errors import NotEnoughBlocksAvailable

@final
class BlockRequest:
    def __new__(
        cls,
        pool: BlockPool,
        n: int,
        bell: Bell,
        *,
        namespace: Namespace | str | None = None,
        owner: Any = None,
    ) -> BlockRequest: ...
    def __del__(self) -> None: ...
    def __reduce__(self) -> NoReturn: ...
    future: Any
    @property
    def is_served(self) -> bool: ...
    def settle(self) -> MutableBlocks | None: ...
    def abandon(self) -> None: ...
    def shortage(self, n: int) -> NotEnoughBlocksAvailable: ...

def collect_requests(pool: BlockPool, bell: Bell) -> list[BlockRequest]: ...
