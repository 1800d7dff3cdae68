import numpy as np
import numpy.typing as npt

from kvpool._core.block_memory import BlockMemory

_Runs = tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.uint64]]

def copy_memory(
    source: BlockMemory,
    source_ids: object,
    destination: BlockMemory,
    destination_ids: object,
    threads: int | None = None,
) -> None: ...
def memory_copy_runs(
    source: BlockMemory, source_ids: object, destination: BlockMemory, destination_ids: object
) -> _Runs: ...
def gather_memory(memory: BlockMemory, ids: object, buffer: object, threads: int | None = None) -> None: ...
def scatter_memory(memory: BlockMemory, ids: object, buffer: object, threads: int | None = None) -> None: ...
def memory_runs(memory: BlockMemory, ids: object) -> _Runs: ...
