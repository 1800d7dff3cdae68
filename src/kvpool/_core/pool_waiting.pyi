from typing_extensions import disjoint_base

from kvpool._core.pool_core import PoolCore

@disjoint_base
class PoolWaiting(PoolCore): ...
