import sys
from typing import final

__pyx_capi__: dict[str, object]

@final
class WritableMemory:
    def __init__(self, *args: object) -> None: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...
