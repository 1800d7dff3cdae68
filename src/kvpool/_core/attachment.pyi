from typing import final

from kvpool.storage.dtype import DType
from kvpool.storage.storage import Storage

__pyx_capi__: dict[str, object]

@final
class Attachment:
    def __init__(self, *args: object) -> None: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def dtype(self) -> DType: ...
