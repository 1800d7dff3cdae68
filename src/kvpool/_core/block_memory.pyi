from collections.abc import Iterable
from typing import NoReturn, final

from kvpool._core.geometry import Geometry

@final
class BlockMemory:
    def __new__(
        cls,
        geometry: Geometry,
        bases: Iterable[int],
        owner: object,
        device: tuple[int, int] = (1, 0),
        is_writable: bool = True,
        is_host: bool = True,
    ) -> BlockMemory: ...
    def __reduce__(self) -> NoReturn: ...
    def address(self, block: int, layer: int, outer: int) -> int: ...
    @property
    def geometry(self) -> Geometry: ...
    @property
    def owner(self) -> object: ...
    @property
    def device(self) -> tuple[int, int]: ...
    @property
    def is_writable(self) -> bool: ...
    @property
    def is_host(self) -> bool: ...
    @property
    def bases(self) -> tuple[int, ...]: ...
