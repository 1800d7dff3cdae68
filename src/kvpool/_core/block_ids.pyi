import numpy as np
import numpy.typing as npt

__pyx_capi__: dict[str, object]

def as_ids(ids: object, name: str, num_blocks: int) -> npt.NDArray[np.int32]: ...
