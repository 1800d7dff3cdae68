import sys
from collections.abc import Iterable
from typing import Any, TypeAlias, final

import numpy as np
import numpy.typing as npt

__pyx_capi__: dict[str, object]

_TokenIds: TypeAlias = Iterable[int] | npt.NDArray[np.integer[Any]]

@final
class TokenBuffer:
    def __init__(self) -> None: ...
    def __len__(self) -> int: ...
    def tobytes(self) -> bytes: ...
    if sys.version_info >= (3, 12):
        def __buffer__(self, flags: int, /) -> memoryview: ...

def as_token_buffer(token_ids: _TokenIds | TokenBuffer) -> TokenBuffer: ...
