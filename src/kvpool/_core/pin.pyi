from typing import final

import numpy as np
import numpy.typing as npt

from kvpool._core.handle import Handle

__pyx_capi__: dict[str, object]

@final
class Pin(Handle):
    def __len__(self) -> int: ...
    @property
    def ids(self) -> npt.NDArray[np.int32]: ...
    @property
    def released(self) -> bool: ...
