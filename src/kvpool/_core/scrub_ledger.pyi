from collections.abc import Callable
from typing import Any, NoReturn, final

from kvpool._core.block_memory import BlockMemory

__pyx_capi__: dict[str, object]

def scrub_memory(memory: BlockMemory, ids: object) -> None: ...
@final
class ScrubLedger:
    def __init__(
        self,
        memory: BlockMemory,
        rule: str = "namespaces",
        *,
        is_zeroed: bool = False,
        hook: Callable[[Any], object] | None = None,
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...
    @property
    def rule(self) -> str: ...
    def arriving(self, ids: object, space: int = 0) -> None: ...
    def leaving(self, ids: object) -> None: ...
