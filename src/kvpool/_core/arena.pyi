import sys
from typing import NoReturn, final

@final
class Arena:
    def __new__(
        cls,
        nbytes: int,
        alignment: int = 256,
        *,
        fd: int = -1,
        is_writable: bool = True,
        huge_pages: bool = False,
        populate: bool = False,
    ) -> Arena: ...
    def __reduce__(self) -> NoReturn: ...
    def __len__(self) -> int: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
    @property
    def is_writable(self) -> bool: ...
    @property
    def address(self) -> int: ...
    def sync(self) -> None: ...
