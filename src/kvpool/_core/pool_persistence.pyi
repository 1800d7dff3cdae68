import os

from kvpool._core.pool_memory import PoolMemory

class PoolPersistence(PoolMemory):
    def save_index(self, path: str | os.PathLike[str]) -> int: ...
    def load_index(self, path: str | os.PathLike[str], *, elapsed: float | None = None) -> int: ...
