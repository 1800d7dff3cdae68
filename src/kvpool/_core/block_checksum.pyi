import numpy as np
import numpy.typing as npt

from kvpool._core.block_memory import BlockMemory

def memory_checksums(memory: BlockMemory, ids: object) -> npt.NDArray[np.uint64]: ...
