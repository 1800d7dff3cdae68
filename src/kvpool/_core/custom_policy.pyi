from typing import final

import numpy as np

__pyx_capi__: dict[str, object]

COLUMNS: np.dtype[np.void]
FORMS: tuple[str, ...]

@final
class CustomPolicy:
    def name_victims(self, records: bytes, n: int) -> tuple[bytes, int]: ...
