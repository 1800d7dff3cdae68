"""What must hold between the parts of the model."""

from __future__ import annotations

from collections import Counter

from kvpool.errors import CorruptionError
from kvpool.testing.model_block import PROTECTED_LEVEL
from kvpool.testing.model_pool import ModelPool

__all__ = ["check_model"]


def check_model(pool: ModelPool) -> None:
    """Check that blocks, stack, lists and registry tell the same story; CorruptionError if they do not."""
    orders = [(space, level, ids) for space, order in enumerate(pool.orders) for level, ids in order.items()]
    listed = [block_id for _, _, ids in orders for block_id in ids]
    parked = [i for i, block in enumerate(pool.blocks) if block.is_parked]
    registered = [i for i, block in enumerate(pool.blocks) if block.sequence_hash is not None]
    parents = Counter(pool.blocks[i].parent for i in registered)
    inactive = [i for i, block in enumerate(pool.blocks) if block.refs == 0]
    facts = {
        "every inactive block is in one place": sorted(pool.empty + listed + parked) == inactive,
        "the empty blocks have no identity": all(pool.blocks[i].sequence_hash is None for i in pool.empty),
        "a list has the blocks of its level and namespace": all(
            block.space == space and (PROTECTED_LEVEL if block.is_spared else block.level) == level
            for space, level, ids in orders
            for block in (pool.blocks[i] for i in ids)
        ),
        "what is spared is protected": all(
            i in pool.protected for i, block in enumerate(pool.blocks) if block.is_spared
        ),
        "what is protected is registered": pool.protected <= set(registered),
        "a parent is of the same namespace": all(
            block.parent is None or pool.blocks[block.parent].space == block.space for block in pool.blocks
        ),
        "floors can be held": sum(max(quota.floor, pool.held(i)) for i, quota in enumerate(pool.quotas))
        <= pool.num_blocks,
        "a parked block has children": all(pool.blocks[i].children > 0 for i in parked),
        "children are counted": all(pool.blocks[i].children == parents[i] for i in registered),
        "a parent is registered": all(i is None or pool.blocks[i].sequence_hash is not None for i in parents),
        "a held block holds its parent": all(
            parent is None or pool.blocks[parent].refs > 0
            for parent in (pool.blocks[i].parent for i in registered if pool.blocks[i].refs)
        ),
        "the registry has the registered blocks": sorted(i for ids in pool.registry.values() for i in ids)
        == registered,
    }
    for fact, holds in facts.items():
        if not holds:
            raise CorruptionError(f"not so: {fact}")
