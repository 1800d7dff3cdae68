from collections.abc import Callable
from typing import Any, NoReturn, final

from kvpool._core.block_memory import BlockMemory

def scrub_memory(memory: BlockMemory, ids: object) -> None: ...

@final
class ScrubLedger:
    def __new__(
        cls,
        memory: BlockMemory,
        rule: str = "namespaces",
        *,
        is_zeroed: bool = False,
        hook: Callable[[Any], object] | None = None,
    ) -> ScrubLedger: ...
    def __reduce__(self) -> NoReturn: ...
    @property
    def rule(self) -> str: ...
    def arriving(self, ids: object, space: int = 0) -> None: ...
    def leaving(self, ids: object) -> None: ...
