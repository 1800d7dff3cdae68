from collections.abc import Iterator
from typing import final

import numpy as np
import numpy.typing as npt

from kvpool._core.handle import Handle
from kvpool._core.immutable_block import ImmutableBlock

__pyx_capi__: dict[str, object]

@final
class ScatteredBlocks(Handle):
    def __len__(self) -> int: ...
    def __getitem__(self, key: int, /) -> ImmutableBlock | None: ...
    def __iter__(self) -> Iterator[ImmutableBlock | None]: ...
    @property
    def ids(self) -> npt.NDArray[np.int32]: ...
    @property
    def hits(self) -> npt.NDArray[np.bool_]: ...
    @property
    def released(self) -> bool: ...
