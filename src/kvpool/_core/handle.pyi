from types import TracebackType
from typing import Any, NoReturn, TypeVar

from typing_extensions import disjoint_base

__pyx_capi__: dict[str, object]

_Self = TypeVar("_Self", bound=Handle)

@disjoint_base
class Handle:
    """A hold on blocks, given back when the handle goes, on ``release()`` and at the end of ``with``."""

    def __init__(self, *args: object) -> None: ...
    @property
    def owner(self) -> Any: ...
    def release(self, *, reuse_hint: int | None = None) -> None: ...
    def __enter__(self: _Self) -> _Self: ...
    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    def __reduce__(self) -> NoReturn: ...
