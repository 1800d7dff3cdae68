from typing_extensions import disjoint_base

@disjoint_base
class PoolCore:
    @property
    def num_blocks(self) -> int: ...
    @property
    def block_size(self) -> int: ...
