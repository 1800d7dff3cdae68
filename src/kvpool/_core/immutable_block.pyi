from typing import final

from kvpool._core.handle import Handle
from kvpool._core.weak_block import WeakBlock
from kvpool.types.block_state import BlockState

__pyx_capi__: dict[str, object]

@final
class ImmutableBlock(Handle):
    @property
    def id(self) -> int: ...
    @property
    def sequence_hash(self) -> int: ...
    @property
    def state(self) -> BlockState: ...
    @property
    def released(self) -> bool: ...
    def downgrade(self) -> WeakBlock: ...
